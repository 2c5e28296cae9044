/* SPDX-License-Identifier: MIT
 *
 * test_posix_shm.c -- posix_shm.c: shared memory with a name.
 */
#include "facts.h"

#define PLACE "/dev/shm/"

static char name[64], path[80];	/* nobody else's */

static int32_t unnamed(uint64_t size, int mode)
{
	int32_t fd = -1;

	EQUAL(0, pyipc_posix_shm_create(mode, &fd));
	EQUAL(0, pyipc_posix_shm_resize(fd, size));
	return fd;
}

static int32_t memory(uint64_t size, int mode)
{
	int32_t fd = unnamed(size, mode);

	EQUAL(0, pyipc_posix_shm_link(fd, name));
	return fd;
}

static int64_t size_of(int number)
{
	struct stat stat;

	return fstat(number, &stat) == 0 ? stat.st_size : -1;
}

static int mode_of(int number)
{
	struct stat stat;

	return fstat(number, &stat) == 0 ? (int) (stat.st_mode & 07777) : -1;
}

static int is_there(void)
{
	struct stat stat;

	return lstat(path, &stat) == 0;
}

static void end_it(int32_t *fd)
{
	EQUAL(0, pyipc_fd_close(fd));
	EQUAL(0, pyipc_posix_shm_unlink(name));
	CHECK(!is_there());
}

static void memory_has_no_name_until_it_gets_one(void)
{
	int32_t fd = unnamed(12345, 0640), found = -1;

	CHECK(is_close_on_exec(fd));
	EQUAL(0640, mode_of(fd));
	EQUAL(-ENOENT, pyipc_posix_shm_open(name, 0, &found));
	EQUAL(0, pyipc_posix_shm_link(fd, name));
	EQUAL(0, pyipc_posix_shm_open(name, 0, &found));
	CHECK(is_close_on_exec(found) && same_file(fd, found));
	EQUAL(12345, size_of(found));
	EQUAL(0, pyipc_fd_close(&found));
	EQUAL(0, pyipc_posix_shm_unlink(name));
	EQUAL(-ENOENT, pyipc_posix_shm_unlink(name));
	EQUAL(-ENOENT, pyipc_posix_shm_open(name, 1, &found));
	EQUAL(-1, found);
	EQUAL(0, pyipc_fd_close(&fd));
}

static void a_name_that_is_taken_stays_whose_it_is(void)
{
	int32_t fd = memory(1, 0600), second = unnamed(2, 0600), found = -1;

	EQUAL(-EEXIST, pyipc_posix_shm_link(second, name));
	EQUAL(0, pyipc_posix_shm_open(name, 1, &found));
	EQUAL(1, size_of(found));
	EQUAL(0, pyipc_fd_close(&found));
	EQUAL(0, pyipc_fd_close(&second));
	end_it(&fd);
}

static void the_mode_is_less_the_umask(void)
{
	mode_t before = umask(027);
	int32_t fd = memory(1, 07666);

	(void) umask(before);
	EQUAL(0640, mode_of(fd));
	end_it(&fd);
}

static void what_is_no_memory_is_refused_and_waited_for_by_nobody(void)
{
	char longer[6000];
	int32_t fd = nothing_yet();

	EQUAL(0, symlink("/etc/passwd", path));
	EQUAL(-ELOOP, pyipc_posix_shm_open(name, 1, &fd));
	EQUAL(0, unlink(path));
	EQUAL(0, mkdir(path, 0700));
	EQUAL(-EISDIR, pyipc_posix_shm_open(name, 0, &fd));
	EQUAL(-EISDIR, pyipc_posix_shm_unlink(name));
	EQUAL(0, rmdir(path));
	memset(longer, 'x', sizeof longer);
	for (size_t length = 256; length < sizeof longer; length += 2500) {
		longer[length] = '\0';
		EQUAL(-ENAMETOOLONG, pyipc_posix_shm_open(longer, 1, &fd));
		EQUAL(-ENAMETOOLONG, pyipc_posix_shm_unlink(longer));
		EQUAL(-ENAMETOOLONG, pyipc_posix_shm_link(0, longer));
		longer[length] = 'x';
	}
	CHECK(is_untouched(fd));
	EQUAL(0, mkfifo(path, 0600));
	fd = -1;
	EQUAL(0, pyipc_posix_shm_open(name, 1, &fd));
	EQUAL(0, pyipc_fd_close(&fd));
	EQUAL(0, unlink(path));
}

static void a_number_that_is_not_open_is_said(void)
{
	int32_t fd = closed_number(), none = -1;
	char byte = 0;

	EQUAL(-EBADF, pyipc_posix_shm_resize(fd, 1));
	EQUAL(-ENOENT, pyipc_posix_shm_link(fd, name));
	EQUAL(-EBADF, pyipc_posix_shm_read(&fd, &byte, 1, 0));
	EQUAL(-EBADF, pyipc_posix_shm_write(&fd, &byte, 1, 0));
	EQUAL(-EBADF, pyipc_now_posix_shm_read(&none, &byte, 1, 0));
	EQUAL(-EBADF, pyipc_now_posix_shm_write(&none, &byte, 1, 0));
	CHECK(!is_there());
}

static void reading_and_writing_are_whole_or_not_at_all(void)
{
	int32_t fd = memory(100, 0600), looking = -1;
	char data[200];

	EQUAL(0, pyipc_posix_shm_open(name, 1, &looking));
	EQUAL(5, pyipc_posix_shm_write(&fd, "hello", 5, 95));
	EQUAL(-ENODATA, pyipc_posix_shm_write(&fd, "hello", 5, 96));
	EQUAL(-ENODATA, pyipc_now_posix_shm_write(&fd, "hello", 5, 101));
	EQUAL(100, size_of(fd));
	memset(data, UNTOUCHED, sizeof data);
	EQUAL(100, pyipc_posix_shm_read(&looking, data, 100, 0));
	CHECK(!memcmp(data + 94, "\0hello", 6) && untouched(data + 100, 100));
	EQUAL(-ENODATA, pyipc_posix_shm_read(&looking, data, 101, 0));
	EQUAL(-ENODATA, pyipc_now_posix_shm_read(&looking, data, 1, 100));
	EQUAL(0, pyipc_now_posix_shm_read(&looking, data, 0, 100));
	EQUAL(0, pyipc_now_posix_shm_write(&fd, data, 0, 100));
	EQUAL(-EBADF, pyipc_posix_shm_write(&looking, "x", 1, 0));
	EQUAL(0, pyipc_fd_close(&looking));
	end_it(&fd);
}

static void no_size_and_no_place_is_too_strange(void)
{
	static const uint64_t strange[] = { 1ull << 62, INT64_MAX, 1ull << 63, UINT64_MAX };
	int32_t fd = memory(100, 0600);
	char byte;

	for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
		EQUAL(-ENODATA, pyipc_posix_shm_write(&fd, &byte, 1, strange[i]));
		EQUAL(-ENODATA, pyipc_posix_shm_write(&fd, &byte, strange[i], 0));
		CHECK(pyipc_posix_shm_read(&fd, &byte, 1, strange[i]) < 0);
	}
	EQUAL(-EINVAL, pyipc_posix_shm_resize(fd, 1ull << 63));
	EQUAL(-EINVAL, pyipc_posix_shm_resize(fd, UINT64_MAX));
	EQUAL(100, size_of(fd));
	end_it(&fd);
}

static void what_another_process_takes_away_is_an_error_and_no_signal(void)
{
	enum { SIZE = 1 << 16, ROUNDS = 2000 };
	static char data[SIZE];
	int32_t fd = memory(SIZE, 0600);
	int whole = 0, gone = 0;
	pid_t child = fork_child();

	if (child == 0) {
		int32_t theirs = -1;

		if (pyipc_posix_shm_open(name, 0, &theirs) < 0)
			_exit(1);
		for (;;) {
			(void) pyipc_posix_shm_resize(theirs, 0);
			(void) pyipc_posix_shm_resize(theirs, SIZE);
		}
	}
	for (int64_t end = now_ns() + (int64_t) PATIENCE_S * PYIPC_SECOND;
	     (whole < ROUNDS || !gone) && now_ns() < end;) {
		int64_t read = pyipc_posix_shm_read(&fd, data, SIZE, 0);
		int64_t wrote = pyipc_posix_shm_write(&fd, data, SIZE, 0);

		whole += read == SIZE;
		gone += read == -ENODATA;
		CHECK(read == SIZE || read == -ENODATA);
		CHECK(wrote == SIZE || wrote == -ENODATA);
	}
	CHECK(whole && gone);
	EQUAL(1000 + SIGKILL, kill_and_reap(child));
	end_it(&fd);
}

static void more_is_read_than_the_kernel_reads_at_once(void)
{
	enum { PART = 1 << 26, PARTS = 33 };	/* 2 GiB, and a little: all of it is the same memory */
	char *all = mmap(NULL, (size_t) PART * PARTS, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int32_t part = unnamed(PART, 0600), zeros = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	CHECK(all != MAP_FAILED && zeros >= 0);
	for (size_t i = 0; i < PARTS; i++)
		CHECK(mmap(all + i * PART, PART, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, part, 0) !=
		      MAP_FAILED);
	EQUAL((int64_t) PART * PARTS, pyipc_posix_shm_read(&zeros, all, (uint64_t) PART * PARTS, 0));
	EQUAL(0, munmap(all, (size_t) PART * PARTS));
	EQUAL(0, pyipc_fd_close(&part));
	EQUAL(0, pyipc_fd_close(&zeros));
}

static int others_may(const char *what)
{
	int32_t fd = -1;
	int result;

	if (!become_nobody())
		return CANNOT;
	result = pyipc_posix_shm_open(name, *what == 'r', &fd);
	return result < 0 ? -result : 0;
}

static void who_has_no_permission_is_told(void)
{
	int32_t fd = memory(1, 0644);
	int results[2];

	for (int i = 0; i < 2; i++) {
		pid_t child = fork_child();

		if (child == 0)
			_exit(others_may(i ? "r" : "w"));
		results[i] = end_of(child);
	}
	end_it(&fd);
	if (results[0] == CANNOT)
		NOT_RUN("only root can become another user");
	EQUAL(EACCES, results[0]);
	EQUAL(0, results[1]);
}

/* As shm_open(3), and then ftruncate(2). */
static int32_t got(int flags, uint64_t size)
{
	int32_t fd = nothing_yet();
	int result = pyipc_posix_shm_get(name, flags, 0600, size, &fd);

	if (result == 0) {
		CHECK(is_close_on_exec(fd));
		return fd;
	}
	CHECK(is_untouched(fd));
	return result;
}

static void got_as_the_flags_say(void)
{
	int32_t fd, other;

	EQUAL(-ENOENT, got(O_RDWR, 0));
	fd = got(O_RDWR | O_CREAT, 4096);
	EQUAL(4096, size_of(fd));
	EQUAL(0600, mode_of(fd));
	EQUAL(-EEXIST, got(O_RDWR | O_CREAT | O_EXCL, 4096));
	other = got(O_RDWR | O_CREAT, 0);
	CHECK(same_file(fd, other));
	EQUAL(4096, size_of(other));
	EQUAL(0, pyipc_fd_close(&other));
	other = got(O_RDWR, 8192);
	EQUAL(8192, size_of(fd));
	EQUAL(0, pyipc_fd_close(&other));
	other = got(O_RDWR | O_TRUNC, 0);
	EQUAL(0, size_of(fd));
	EQUAL(0, pyipc_fd_close(&other));
	end_it(&fd);
}

static void what_could_not_get_its_size_is_there_only_if_it_was_before(void)
{
	int32_t fd;

	EQUAL(-EINVAL, got(O_RDWR | O_CREAT, UINT64_MAX));
	CHECK(!is_there());
	EQUAL(-EINVAL, got(O_RDWR | O_CREAT | O_EXCL, UINT64_MAX));
	CHECK(!is_there());
	fd = memory(4096, 0600);
	EQUAL(-EINVAL, got(O_RDWR | O_CREAT, UINT64_MAX));
	EQUAL(-EINVAL, got(O_RDONLY, 8192));	/* which may not be resized */
	CHECK(is_there());
	EQUAL(4096, size_of(fd));
	end_it(&fd);
}

/* One makes it and takes its name away, all the time: nobody meets an error meanwhile. */
static void got_while_others_make_and_remove_it(void)
{
	pid_t child = fork_child();
	int32_t fd;

	if (child == 0)
		for (;;) {
			fd = got(O_RDWR | O_CREAT, 4096);
			(void) pyipc_fd_close(&fd);
			(void) pyipc_posix_shm_unlink(name);
		}
	for (int i = 0; i < 30000; i++) {
		fd = got(O_RDWR | O_CREAT, 4096);
		CHECK(fd >= 0);
		(void) pyipc_fd_close(&fd);
	}
	EQUAL(1000 + SIGKILL, kill_and_reap(child));
	(void) pyipc_posix_shm_unlink(name);
}

int main(void)
{
	begin();
	(void) snprintf(name, sizeof name, "pyipc-test-%d", (int) getpid());
	(void) snprintf(path, sizeof path, PLACE "%s", name);
	RUN(memory_has_no_name_until_it_gets_one);
	RUN(a_name_that_is_taken_stays_whose_it_is);
	RUN(the_mode_is_less_the_umask);
	RUN(got_as_the_flags_say);
	RUN(what_could_not_get_its_size_is_there_only_if_it_was_before);
	RUN(got_while_others_make_and_remove_it);
	RUN(what_is_no_memory_is_refused_and_waited_for_by_nobody);
	RUN(a_number_that_is_not_open_is_said);
	RUN(reading_and_writing_are_whole_or_not_at_all);
	RUN(no_size_and_no_place_is_too_strange);
	RUN(what_another_process_takes_away_is_an_error_and_no_signal);
	RUN(more_is_read_than_the_kernel_reads_at_once);
	RUN(who_has_no_permission_is_told);
	return report();
}
