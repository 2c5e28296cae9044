/* SPDX-License-Identifier: MIT
 *
 * memory.c -- memory behind a descriptor: create, reserve, grow, seal (memfd_create(2)).
 *
 * Memory that shrinks under a mapping is SIGBUS for whoever touches it, so ours is born sealed
 * against that.  The seals of a descriptor from elsewhere are looked at first and its size after
 * them: a seal stays, so what was true of the size stays true.
 */
#define _GNU_SOURCE		/* F_ADD_SEALS, fallocate() */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "internal.h"

/* linux/memfd.h and linux/magic.h; the C library's memfd_create() is younger than our floor. */
enum { CLOEXEC = 1, ALLOW_SEALING = 2, HUGETLB = 4, NOEXEC_SEAL = 8, HUGE_SHIFT = 26 };
enum { HUGETLBFS = 0x958458f6 };
#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#endif

static unsigned kernel_flags(int flags)
{
	unsigned kernel = CLOEXEC | ALLOW_SEALING;

	if (flags & PYIPC_MEMORY_HUGE_2M)
		kernel |= HUGETLB | (21u << HUGE_SHIFT);
	if (flags & PYIPC_MEMORY_HUGE_1G)
		kernel |= HUGETLB | (30u << HUGE_SHIFT);
	return kernel;
}

/* Never to be executed, if the kernel knows that (6.3): vm.memfd_noexec=2 insists on it, and an
 * older kernel does not know the flag. */
static int64_t make(unsigned flags)
{
	int64_t number = neg_errno(syscall(SYS_memfd_create, "pyipc", flags | NOEXEC_SEAL));

	return number == -EINVAL ? neg_errno(syscall(SYS_memfd_create, "pyipc", flags)) : number;
}

int pyipc_memory_create(uint64_t size, int flags, int32_t *ret_fd)
{
	int64_t number;
	int64_t result;

	if (size > INT64_MAX)
		return -EINVAL;
	number = make(kernel_flags(flags));
	if (number < 0)
		return (int) number;
	result = neg_errno(ftruncate((int) number, (off_t) size));
	if (result == 0)
		result = neg_errno(fcntl((int) number, F_ADD_SEALS, PYIPC_SEAL_SHRINK));
	if (result < 0) {
		(void) close((int) number);
		return (int) result;
	}
	*ret_fd = (int) number;
	return 0;
}

/* Make the pages of this range present; the size stays as it is.  Piece by piece, since the kernel
 * throws away what a signal interrupts: gives how much is done, at least one piece or an errno. */
int64_t pyipc_memory_reserve(int number, uint64_t offset, uint64_t size)
{
	enum { PIECE = 64 << 20 };
	uint64_t piece = size < PIECE ? size : PIECE;
	int64_t result = neg_errno(fallocate(number, FALLOC_FL_KEEP_SIZE, (off_t) offset, (off_t) piece));

	return result < 0 ? result : (int64_t) piece;
}

/* To at least this size, and no pages behind it: never below what another process made it meanwhile,
 * which the seal against shrinking turns into EPERM.  (What has no such seal is looked at before; its
 * other users are trusted.) */
int pyipc_memory_grow(int number, uint64_t size)
{
	struct stat stat;
	int64_t result;

	if (fstat(number, &stat) == 0 && size <= INT64_MAX && (uint64_t) stat.st_size > size)
		return 0;
	result = size > INT64_MAX ? -EINVAL : neg_errno(ftruncate(number, (off_t) size));

	if (result == -EPERM && fstat(number, &stat) == 0 && (uint64_t) stat.st_size >= size)
		return 0;
	return (int) result;
}

int pyipc_now_memory_stat(int number, struct pyipc_memory_stat *ret_stat)
{
	int seals = fcntl(number, F_GET_SEALS);
	int flags = fcntl(number, F_GETFL);
	struct statfs place;
	struct stat stat;

	if (flags == -1 || fstat(number, &stat) == -1 || fstatfs(number, &place) == -1)
		return -errno;
	if (stat.st_size < 0 || !S_ISREG(stat.st_mode))
		return -ENODEV;
	*ret_stat = (struct pyipc_memory_stat){
		.size = (uint64_t) stat.st_size,
		.seals = seals == -1 ? 0 : seals,	/* EINVAL: a file that cannot be sealed */
		.huge = (uint32_t) place.f_type == HUGETLBFS ? (int32_t) place.f_bsize : 0,
		.read_only = (flags & O_ACCMODE) == O_RDONLY,
	};
	return 0;
}

int pyipc_memory_seal(int number, int seals)
{
	return (int) neg_errno(fcntl(number, F_ADD_SEALS, seals));
}
