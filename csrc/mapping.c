/* SPDX-License-Identifier: MIT
 *
 * mapping.c -- map and unmap what a descriptor holds; work on mapped memory that takes long enough
 * to drop the GIL for.
 */
#define _GNU_SOURCE		/* madvise() */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23	/* Linux 5.14 */
#endif

int pyipc_copy(char *to, const char *from, uint64_t size)
{
	memmove(to, from, size);	/* a view may be written into the memory it looks at */
	return 0;
}

/* Make every page of the range present, so that a lack of memory is an error here and not a
 * SIGBUS later.  Where the kernel cannot do it in one call, touch each page: an atomic "add
 * nothing" writes, yet cannot undo what another process stores in the same byte meanwhile. */
int pyipc_populate(char *address, uint64_t size)
{
	int64_t result = neg_errno(madvise(address, size, MADV_POPULATE_WRITE));

	if (result == -EFAULT)		/* "would be a SIGBUS": huge pages that were not reserved */
		return -ENOMEM;
	/* EINVAL has two causes: an old kernel, or a range that cannot be written.  Ask which. */
	if (result != -EINVAL || madvise(address, 0, MADV_POPULATE_WRITE) == 0)
		return (int) result;
	for (uint64_t page = 0; page < size; page += (uint64_t) sysconf(_SC_PAGESIZE))
		(void) __atomic_fetch_add(address + page, 0, __ATOMIC_RELAXED);
	return 0;
}

/* Private is for memory that nobody can write any more: before Linux 6.7 a shared mapping of it is
 * refused, readable or not, and there is no difference to see. */
int64_t pyipc_map(int fd, uint64_t size, int flags)
{
	int protection = PROT_READ | (flags & PYIPC_MAP_WRITABLE ? PROT_WRITE : 0);
	int kind = flags & PYIPC_MAP_PRIVATE ? MAP_PRIVATE : MAP_SHARED;

	return neg_errno((int64_t) mmap(NULL, size, protection, kind, fd, 0));
}

int pyipc_unmap(char *address, uint64_t size)
{
	return (int) neg_errno(munmap(address, size));
}
