/* SPDX-License-Identifier: MIT
 *
 * test_memory.c -- memory.c: memory behind a descriptor; and mapping.c: mapping it.
 */
#include "facts.h"

#include <sys/socket.h>

#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#endif
#ifndef MFD_CLOEXEC
#define MFD_CLOEXEC 1
#define MFD_ALLOW_SEALING 2
#endif

/* linux/memfd.h and linux/fcntl.h of Linux 6.3 */
enum { NOEXEC_SEAL = 8, SEAL_EXEC = 0x20 };

enum { MEGA = 1 << 20, PIECE = 64 * MEGA };

static int32_t memory_of(uint64_t size)
{
	int32_t owner = nothing_yet();

	EQUAL(0, pyipc_memory_create(size, 0, &owner));
	CHECK(is_close_on_exec(owner));
	return owner;
}

static struct pyipc_memory_stat stat_of(int number)
{
	struct pyipc_memory_stat stat;

	memset(&stat, UNTOUCHED, sizeof stat);
	EQUAL(0, pyipc_now_memory_stat(number, &stat));
	return stat;
}

static uint64_t size_of(int number)
{
	struct stat stat;

	EQUAL(0, fstat(number, &stat));
	return (uint64_t) stat.st_size;
}

static uint64_t bytes_present(int number)
{
	struct stat stat;

	EQUAL(0, fstat(number, &stat));
	return (uint64_t) stat.st_blocks * 512;
}

static char *map(int number, uint64_t size, int flags)
{
	int64_t address = pyipc_map(number, size, flags);

	CHECK(address > 0);
	return address > 0 ? (char *) address : NULL;
}

/* Another description of the same memory, that cannot write. */
static int read_only(int number)
{
	char path[64];
	int other;

	(void) snprintf(path, sizeof path, "/proc/self/fd/%d", number);
	other = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(other >= 0);
	return other;
}

/* A file of some file system, which has no name any more. */
static int regular_file(void)
{
	char path[] = "/tmp/pyipc-test-XXXXXX";
	int number = mkostemp(path, O_CLOEXEC);

	CHECK(number >= 0);
	EQUAL(0, unlink(path));
	return number;
}

/* ---- making it ---- */

static void it_is_zero_and_as_large_as_was_asked(void)
{
	static const uint64_t sizes[] = { 0, 1, 4096, 10000, INT64_C(1) << 40, INT64_MAX };

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		int32_t owner = memory_of(sizes[i]);
		struct pyipc_memory_stat stat = stat_of(owner);
		char byte = 'x';

		EQUAL(sizes[i], size_of(owner));
		EQUAL(sizes[i], stat.size);
		EQUAL(0, stat.huge);
		EQUAL(0, stat.read_only);
		EQUAL(0, bytes_present(owner));
		EQUAL(sizes[i] > 0, pread(owner, &byte, 1, 0));
		EQUAL(sizes[i] ? 0 : 'x', byte);
		EQUAL(0, pyipc_fd_close(&owner));
	}
}

static void sizes_the_kernel_cannot_give_are_refused(void)
{
	int32_t owner = nothing_yet();

	EQUAL(-EINVAL, pyipc_memory_create((uint64_t) INT64_MAX + 1, 0, &owner));
	EQUAL(-EINVAL, pyipc_memory_create(UINT64_MAX, 0, &owner));
	CHECK(is_untouched(owner));
	owner = memory_of(4096);
	EQUAL(-EINVAL, pyipc_memory_grow(owner, (uint64_t) INT64_MAX + 1));
	EQUAL(-EINVAL, pyipc_memory_grow(owner, UINT64_MAX));
	CHECK(pyipc_memory_reserve(owner, (uint64_t) INT64_MAX, 4096) < 0);
	EQUAL(-EINVAL, pyipc_memory_reserve(owner, UINT64_MAX, 4096));
	EQUAL(-EINVAL, pyipc_memory_reserve(owner, 0, 0));
	EQUAL(4096, size_of(owner));
	EQUAL(0, pyipc_fd_close(&owner));
}

static void it_is_sealed_against_shrinking_from_birth(void)
{
	int32_t owner = memory_of(10000);

	EQUAL(PYIPC_SEAL_SHRINK, stat_of(owner).seals & ~SEAL_EXEC);
	EQUAL(-1, ftruncate(owner, 9999));
	EQUAL(EPERM, errno);
	EQUAL(-1, ftruncate(owner, 0));
	EQUAL(EPERM, errno);
	EQUAL(10000, size_of(owner));
	EQUAL(0, ftruncate(owner, 10001));
	EQUAL(0, pyipc_fd_close(&owner));
}

static void it_can_never_be_executed_where_the_kernel_knows_that(void)
{
	long number = syscall(SYS_memfd_create, "test", MFD_CLOEXEC | NOEXEC_SEAL);
	struct stat stat;
	int32_t owner;

	if (number < 0)
		NOT_RUN("the kernel knows no such seal");
	EQUAL(0, close((int) number));
	owner = memory_of(4096);
	CHECK(stat_of(owner).seals & SEAL_EXEC);
	EQUAL(0, fstat(owner, &stat));
	EQUAL(0, stat.st_mode & 0111);
	EQUAL(-1, fchmod(owner, 0777));
	EQUAL(EPERM, errno);
	EQUAL(0, pyipc_fd_close(&owner));
}

static void an_older_kernel_makes_it_without_that_seal(void)
{
	pid_t child = fork_child();
	int status;

	if (child == 0) {
		int32_t owner;

		if (!answer(SYS_memfd_create, EINVAL, 1, MFD_CLOEXEC | MFD_ALLOW_SEALING | NOEXEC_SEAL))
			_exit(CANNOT);
		owner = memory_of(4096);
		EQUAL(PYIPC_SEAL_SHRINK, stat_of(owner).seals);
		_exit(all_was_well());
	}
	status = end_of(child);
	if (status == CANNOT)
		NOT_RUN("no seccomp filter can be set");
	EQUAL(0, status);
}

static void a_full_table_and_a_limit_on_files_leave_nothing_behind(void)
{
	pid_t child = fork_child();

	if (child == 0) {
		struct rlimit limit = { .rlim_cur = MEGA, .rlim_max = MEGA };
		int32_t owner = memory_of(4096);
		int32_t none = nothing_yet();
		int before = descriptors_open();

		(void) signal(SIGXFSZ, SIG_IGN);
		EQUAL(0, setrlimit(RLIMIT_FSIZE, &limit));
		EQUAL(-EFBIG, pyipc_memory_create(MEGA + 1, 0, &none));
		EQUAL(before, descriptors_open());
		EQUAL(-EFBIG, pyipc_memory_grow(owner, MEGA + 1));
		EQUAL(-EFBIG, pyipc_memory_reserve(owner, 0, MEGA + 1));
		EQUAL(-EFBIG, pyipc_memory_reserve(owner, MEGA, 1));
		EQUAL(4096, size_of(owner));
		EQUAL(0, pyipc_memory_grow(owner, MEGA));
		leave_room_for(0);
		EQUAL(-EMFILE, pyipc_memory_create(4096, 0, &none));
		CHECK(is_untouched(none));
		_exit(all_was_well());
	}
	EQUAL(0, end_of(child));
}

/* A file system on hugetlbfs gives whole pages; are there none, making them present fails. */
static void huge_pages_are_given_or_refused(void)
{
	static const struct { int flag; uint64_t size; } kinds[] = {
		{ PYIPC_MEMORY_HUGE_2M, UINT64_C(2) << 20 }, { PYIPC_MEMORY_HUGE_1G, UINT64_C(1) << 30 },
	};
	int given = 0;

	for (int i = 0; i < 2; i++) {
		int32_t owner = nothing_yet();
		int64_t address;
		int64_t result = pyipc_memory_create(kinds[i].size, kinds[i].flag, &owner);

		if (result < 0) {
			CHECK(result == -ENODEV || result == -ENOSYS || result == -EPERM || result == -EINVAL);
			CHECK(is_untouched(owner));
			continue;
		}
		given++;
		EQUAL(kinds[i].size, stat_of(owner).size);
		EQUAL(kinds[i].size, stat_of(owner).huge);
		EQUAL(PYIPC_SEAL_SHRINK, stat_of(owner).seals & ~SEAL_EXEC);
		CHECK(is_close_on_exec(owner));
		result = pyipc_memory_reserve(owner, 0, kinds[i].size);
		CHECK(result == -ENOSPC || result == -ENOMEM || result == PIECE ||
		      result == (int64_t) kinds[i].size);
		address = pyipc_map(owner, kinds[i].size, PYIPC_MAP_WRITABLE);
		CHECK(address > 0 || address == -ENOMEM);
		if (address > 0 && result > 0)
			*(char *) address = 1;
		if (address > 0)
			EQUAL(0, pyipc_unmap((char *) address, kinds[i].size));
		EQUAL(0, pyipc_fd_close(&owner));
		EQUAL(-EINVAL, pyipc_memory_create(4096, kinds[i].flag, &owner));	/* no whole page */
		EQUAL(-1, owner);
	}
	if (!given)
		NOT_RUN("the kernel makes no memory of huge pages");
}

static void a_size_of_huge_pages_that_does_not_exist_is_an_error(void)
{
	int32_t owner = nothing_yet();
	int both = PYIPC_MEMORY_HUGE_2M | PYIPC_MEMORY_HUGE_1G;

	CHECK(pyipc_memory_create(UINT64_C(1) << 31, both, &owner) < 0);
	CHECK(is_untouched(owner));
}

/* ---- growing ---- */

static void it_grows_and_keeps_what_is_in_it(void)
{
	int32_t owner = memory_of(4096);
	char data[8] = "";

	EQUAL(4, pwrite(owner, "kept", 4, 4092));
	EQUAL(0, pyipc_memory_grow(owner, 10000));
	EQUAL(10000, size_of(owner));
	EQUAL(5, pread(owner, data, 5, 4092));
	EQUAL(0, memcmp(data, "kept", 5));
	EQUAL(0, pyipc_memory_grow(owner, INT64_MAX));
	EQUAL(INT64_MAX, size_of(owner));
	EQUAL(0, pyipc_fd_close(&owner));
}

static void growing_to_less_changes_nothing(void)
{
	int32_t owner = memory_of(10000);

	EQUAL(4, pwrite(owner, "kept", 4, 9996));
	EQUAL(0, pyipc_memory_grow(owner, 10000));
	EQUAL(0, pyipc_memory_grow(owner, 9999));
	EQUAL(0, pyipc_memory_grow(owner, 0));
	EQUAL(10000, size_of(owner));
	EQUAL(0, pyipc_memory_seal(owner, PYIPC_SEAL_GROW));
	EQUAL(0, pyipc_memory_grow(owner, 10000));
	EQUAL(0, pyipc_memory_grow(owner, 0));
	EQUAL(-EPERM, pyipc_memory_grow(owner, 10001));
	EQUAL(10000, size_of(owner));
	EQUAL(0, pyipc_fd_close(&owner));
}

/* Each asks for what the other may have passed by then, and neither takes anything away. */
static int grows_to(int number, uint64_t first)
{
	for (uint64_t size = first; size < 20000; size += 2)
		if (pyipc_memory_grow(number, size) != 0 || size_of(number) < size)
			return 1;
	return 0;
}

static void two_processes_grow_it_at_once(void)
{
	int32_t owner = memory_of(1);
	pid_t child = fork_child();

	if (child == 0)
		_exit(grows_to(owner, 2));
	EQUAL(0, grows_to(owner, 3));
	EQUAL(0, end_of(child));
	EQUAL(19999, size_of(owner));
	EQUAL(0, pyipc_fd_close(&owner));
}

/* ---- reserving ---- */

static void reserving_makes_the_pages_present(void)
{
	int32_t owner = memory_of(2 * MEGA);
	char data[4] = "";

	EQUAL(0, bytes_present(owner));
	EQUAL(MEGA, pyipc_memory_reserve(owner, 0, MEGA));
	CHECK(bytes_present(owner) >= MEGA);
	EQUAL(3, pwrite(owner, "abc", 3, MEGA / 2));
	EQUAL(MEGA, pyipc_memory_reserve(owner, 0, MEGA));
	EQUAL(3, pread(owner, data, 3, MEGA / 2));
	EQUAL(0, strcmp(data, "abc"));
	EQUAL(2 * MEGA, size_of(owner));
	EQUAL(MEGA, pyipc_memory_reserve(owner, MEGA, MEGA));
	CHECK(bytes_present(owner) >= 2 * MEGA);
	EQUAL(2 * MEGA, size_of(owner));
	EQUAL(0, pyipc_fd_close(&owner));
}

static void what_is_reserved_past_the_end_waits_for_it_or_is_given_back(void)
{
	int32_t owner = memory_of(4096);

	EQUAL(MEGA, pyipc_memory_reserve(owner, 4096, MEGA));
	EQUAL(4096, size_of(owner));
	CHECK(bytes_present(owner) >= MEGA);
	EQUAL(0, pyipc_memory_grow(owner, 4096));	/* no larger after all */
	CHECK(bytes_present(owner) <= 4096);
	EQUAL(MEGA, pyipc_memory_reserve(owner, 4096, MEGA));
	EQUAL(0, pyipc_memory_grow(owner, MEGA));
	EQUAL(MEGA, size_of(owner));
	EQUAL(0, pyipc_memory_seal(owner, PYIPC_SEAL_GROW));
	EQUAL(MEGA, pyipc_memory_reserve(owner, 0, MEGA));
	EQUAL(-EPERM, pyipc_memory_reserve(owner, 0, MEGA + 1));
	EQUAL(MEGA, size_of(owner));
	EQUAL(0, pyipc_fd_close(&owner));
}

static void a_lot_is_reserved_piece_by_piece(void)
{
	int32_t owner = memory_of(PIECE + 5000);

	EQUAL(PIECE, pyipc_memory_reserve(owner, 0, PIECE + 5000));
	CHECK(bytes_present(owner) >= PIECE && bytes_present(owner) < PIECE + 5000);
	EQUAL(5000, pyipc_memory_reserve(owner, PIECE, 5000));
	CHECK(bytes_present(owner) >= PIECE + 5000);
	EQUAL(PIECE, pyipc_memory_reserve(owner, 0, PIECE));
	EQUAL(PIECE + 5000, size_of(owner));
	EQUAL(0, pyipc_fd_close(&owner));
}

/* ---- seals ---- */

static void seals_add_up_until_no_more_may_be_added(void)
{
	int32_t owner = memory_of(4096);

	EQUAL(0, pyipc_memory_seal(owner, PYIPC_SEAL_GROW));
	EQUAL(0, pyipc_memory_seal(owner, 0));
	EQUAL(PYIPC_SEAL_SHRINK | PYIPC_SEAL_GROW, stat_of(owner).seals & ~SEAL_EXEC);
	EQUAL(-EINVAL, pyipc_memory_seal(owner, 1 << 30));
	EQUAL(0, pyipc_memory_seal(owner, PYIPC_SEAL_SEAL));
	EQUAL(PYIPC_SEAL_SHRINK | PYIPC_SEAL_GROW | PYIPC_SEAL_SEAL, stat_of(owner).seals & ~SEAL_EXEC);
	EQUAL(-EPERM, pyipc_memory_seal(owner, PYIPC_SEAL_WRITE));
	EQUAL(-EPERM, pyipc_memory_seal(owner, PYIPC_SEAL_GROW));
	EQUAL(fcntl(owner, F_GET_SEALS), stat_of(owner).seals);
	EQUAL(0, pyipc_fd_close(&owner));
}

static void it_is_not_sealed_against_writing_while_somebody_can_write(void)
{
	int32_t owner = memory_of(4096);
	char *memory = map(owner, 4096, PYIPC_MAP_WRITABLE);

	memcpy(memory, "said", 5);
	EQUAL(-EBUSY, pyipc_memory_seal(owner, PYIPC_SEAL_WRITE));
	EQUAL(PYIPC_SEAL_SHRINK, stat_of(owner).seals & ~SEAL_EXEC);
	EQUAL(0, pyipc_unmap(memory, 4096));
	EQUAL(0, pyipc_memory_seal(owner, PYIPC_SEAL_WRITE));
	EQUAL(-1, pwrite(owner, "x", 1, 0));
	EQUAL(EPERM, errno);
	EQUAL(-EPERM, pyipc_map(owner, 4096, PYIPC_MAP_WRITABLE));
	EQUAL(0, pyipc_memory_grow(owner, 8192));	/* which is another seal's */
	EQUAL(0, pyipc_fd_close(&owner));
}

static void what_nobody_can_write_any_more_is_mapped_privately(void)
{
	int32_t owner = memory_of(4096);
	char *one, *other;

	EQUAL(4, pwrite(owner, "said", 4, 0));
	EQUAL(0, pyipc_memory_seal(owner, PYIPC_SEAL_WRITE | PYIPC_SEAL_GROW));
	one = map(owner, 4096, PYIPC_MAP_PRIVATE);
	other = map(owner, 4096, PYIPC_MAP_PRIVATE | PYIPC_MAP_WRITABLE);
	EQUAL(0, strcmp(one, "said"));
	EQUAL(0, strcmp(other, "said"));
	other[0] = 'p';
	EQUAL(0, strcmp(one, "said"));
	EQUAL(0, pyipc_unmap(one, 4096));
	EQUAL(0, pyipc_unmap(other, 4096));
	EQUAL(0, pyipc_fd_close(&owner));
}

static void only_mappings_of_before_can_write_after_the_seal_on_those_to_come(void)
{
	int32_t owner = memory_of(4096);
	char *memory = map(owner, 4096, PYIPC_MAP_WRITABLE);
	int result = pyipc_memory_seal(owner, PYIPC_SEAL_FUTURE_WRITE);
	char data[2] = "";

	if (result == 0) {
		memory[0] = 'x';
		EQUAL(1, pread(owner, data, 1, 0));
		EQUAL('x', data[0]);
		EQUAL(-EPERM, pyipc_map(owner, 4096, PYIPC_MAP_WRITABLE));
		EQUAL(-1, pwrite(owner, "y", 1, 0));
		EQUAL(PYIPC_SEAL_SHRINK | PYIPC_SEAL_FUTURE_WRITE, stat_of(owner).seals & ~SEAL_EXEC);
	}
	EQUAL(0, pyipc_unmap(memory, 4096));
	EQUAL(0, pyipc_fd_close(&owner));
	if (result == -EINVAL)
		NOT_RUN("the kernel knows no such seal");
	EQUAL(0, result);
}

/* ---- mapping ---- */

/* The status of a child that writes there: the signal that ended it, or 0. */
static int end_of_a_write_to(volatile char *address)
{
	pid_t child = fork_child();

	if (child == 0) {
		(void) signal(SIGSEGV, SIG_DFL);	/* AddressSanitizer has its own */
		(void) signal(SIGBUS, SIG_DFL);
		*address = 'x';
		_exit(0);
	}
	return end_of(child);
}

static void what_one_mapping_writes_the_other_reads(void)
{
	int32_t owner = memory_of(10000);
	char *one = map(owner, 10000, PYIPC_MAP_WRITABLE);
	char *other = map(owner, 10000, 0);

	CHECK(one != other);
	one[9999] = 'x';
	EQUAL('x', other[9999]);
	EQUAL(0, end_of_a_write_to(one + 5000));	/* another process */
	EQUAL('x', other[5000]);
	EQUAL(0, pyipc_unmap(one, 10000));
	EQUAL(0, pyipc_fd_close(&owner));
	EQUAL('x', other[9999]);	/* the memory is there as long as a mapping is */
	EQUAL(0, pyipc_unmap(other, 10000));
}

static void a_mapping_that_is_not_writable_cannot_be_written(void)
{
	int32_t owner = memory_of(4096);
	char *shared = map(owner, 4096, 0);
	char *private = map(owner, 4096, PYIPC_MAP_PRIVATE);

	EQUAL(0, shared[4095]);
	EQUAL(1000 + SIGSEGV, end_of_a_write_to(shared));
	EQUAL(1000 + SIGSEGV, end_of_a_write_to(private));
	EQUAL(0, shared[0]);
	EQUAL(0, pyipc_unmap(shared, 4096));
	EQUAL(0, pyipc_unmap(private, 4096));
	EQUAL(0, pyipc_fd_close(&owner));
}

static void what_is_unmapped_is_there_no_more(void)
{
	uint64_t page = (uint64_t) sysconf(_SC_PAGESIZE);
	int32_t owner = memory_of(2 * page);
	char *memory = map(owner, 2 * page, PYIPC_MAP_WRITABLE);
	unsigned char pages[2];

	EQUAL(0, mincore(memory, 2 * page, pages));
	EQUAL(-EINVAL, pyipc_unmap(memory + 1, 2 * page));
	EQUAL(-EINVAL, pyipc_unmap(memory, 0));
	EQUAL(0, mincore(memory, 2 * page, pages));
	EQUAL(0, pyipc_unmap(memory, 2 * page));
	EQUAL(-1, mincore(memory, page, pages));
	EQUAL(ENOMEM, errno);
	EQUAL(-1, mincore(memory + page, page, pages));
	EQUAL(ENOMEM, errno);
	EQUAL(0, pyipc_fd_close(&owner));
}

static void what_cannot_be_mapped_is_an_error(void)
{
	int32_t owner = memory_of(4096);
	int reader = read_only(owner);
	int ends[2];

	EQUAL(-EINVAL, pyipc_map(owner, 0, PYIPC_MAP_WRITABLE));
	EQUAL(-ENOMEM, pyipc_map(owner, INT64_MAX, 0));
	EQUAL(-ENOMEM, pyipc_map(owner, UINT64_MAX - 4096, 0));
	EQUAL(-EACCES, pyipc_map(reader, 4096, PYIPC_MAP_WRITABLE));
	EQUAL(0, pyipc_unmap(map(reader, 4096, 0), 4096));
	EQUAL(0, pyipc_unmap(map(reader, 4096, PYIPC_MAP_WRITABLE | PYIPC_MAP_PRIVATE), 4096));
	pipe_ends(ends);
	EQUAL(-ENODEV, pyipc_map(ends[0], 4096, 0));
	EQUAL(-EBADF, pyipc_map(-1, 4096, 0));
	EQUAL(-EBADF, pyipc_map(closed_number(), 4096, 0));
	close_both(ends);
	EQUAL(0, close(reader));
	EQUAL(0, pyipc_fd_close(&owner));
}

/* ---- memory from elsewhere ---- */

static void a_descriptor_that_only_reads_is_told(void)
{
	int32_t owner = memory_of(10000);
	int reader = read_only(owner);
	struct pyipc_memory_stat stat = stat_of(reader);

	EQUAL(1, stat.read_only);
	EQUAL(10000, stat.size);
	EQUAL(stat_of(owner).seals, stat.seals);
	EQUAL(0, stat_of(owner).read_only);
	EQUAL(-EPERM, pyipc_memory_seal(reader, PYIPC_SEAL_GROW));
	EQUAL(-EINVAL, pyipc_memory_grow(reader, 20000));
	EQUAL(-EBADF, pyipc_memory_reserve(reader, 0, 20000));
	EQUAL(10000, size_of(owner));
	EQUAL(0, close(reader));
	EQUAL(0, pyipc_fd_close(&owner));
}

static void a_regular_file_is_memory_too(void)
{
	int file = regular_file();
	struct pyipc_memory_stat stat;
	int seals = fcntl(file, F_GET_SEALS);	/* on a tmpfs: that there can be none */
	char *memory;

	EQUAL(0, pyipc_memory_grow(file, 5000));
	stat = stat_of(file);
	EQUAL(5000, stat.size);
	EQUAL(seals == -1 ? 0 : seals, stat.seals);
	EQUAL(0, stat.huge);
	EQUAL(0, stat.read_only);
	memory = map(file, 5000, PYIPC_MAP_WRITABLE);
	memory[4999] = 'x';
	EQUAL(0, pyipc_unmap(memory, 5000));
	CHECK(pyipc_memory_seal(file, PYIPC_SEAL_GROW) < 0);
	EQUAL(0, close(file));
}

static void what_is_no_memory_is_enodev(void)
{
	int others[] = {
		open("/dev/zero", O_RDWR | O_CLOEXEC), open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), -1, -1,
	};
	struct pyipc_memory_stat stat;

	pipe_ends(others + 3);
	memset(&stat, UNTOUCHED, sizeof stat);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		EQUAL(-ENODEV, pyipc_now_memory_stat(others[i], &stat));
		CHECK(pyipc_memory_grow(others[i], 4096) < 0);
		CHECK(pyipc_memory_reserve(others[i], 0, 4096) < 0);
		CHECK(pyipc_memory_seal(others[i], PYIPC_SEAL_GROW) < 0);
		EQUAL(0, close(others[i]));
		EQUAL(-EBADF, pyipc_now_memory_stat(others[i], &stat));
		EQUAL(-EBADF, pyipc_memory_grow(others[i], 4096));
		EQUAL(-EBADF, pyipc_memory_reserve(others[i], 0, 4096));
		EQUAL(-EBADF, pyipc_memory_seal(others[i], PYIPC_SEAL_GROW));
	}
	EQUAL(-EBADF, pyipc_now_memory_stat(-1, &stat));
	CHECK(untouched(&stat, sizeof stat));
}

int main(void)
{
	begin();
	RUN(it_is_zero_and_as_large_as_was_asked);
	RUN(sizes_the_kernel_cannot_give_are_refused);
	RUN(it_is_sealed_against_shrinking_from_birth);
	RUN(it_can_never_be_executed_where_the_kernel_knows_that);
	RUN(an_older_kernel_makes_it_without_that_seal);
	RUN(a_full_table_and_a_limit_on_files_leave_nothing_behind);
	RUN(huge_pages_are_given_or_refused);
	RUN(a_size_of_huge_pages_that_does_not_exist_is_an_error);
	RUN(it_grows_and_keeps_what_is_in_it);
	RUN(growing_to_less_changes_nothing);
	RUN(two_processes_grow_it_at_once);
	RUN(reserving_makes_the_pages_present);
	RUN(what_is_reserved_past_the_end_waits_for_it_or_is_given_back);
	RUN(a_lot_is_reserved_piece_by_piece);
	RUN(seals_add_up_until_no_more_may_be_added);
	RUN(it_is_not_sealed_against_writing_while_somebody_can_write);
	RUN(what_nobody_can_write_any_more_is_mapped_privately);
	RUN(only_mappings_of_before_can_write_after_the_seal_on_those_to_come);
	RUN(what_one_mapping_writes_the_other_reads);
	RUN(a_mapping_that_is_not_writable_cannot_be_written);
	RUN(what_is_unmapped_is_there_no_more);
	RUN(what_cannot_be_mapped_is_an_error);
	RUN(a_descriptor_that_only_reads_is_told);
	RUN(a_regular_file_is_memory_too);
	RUN(what_is_no_memory_is_enodev);
	return report();
}
