/* SPDX-License-Identifier: MIT
 *
 * test_file_lock.c -- files that are there to be locked: which are opened, who has the lock, and waits.
 */
#include "facts.h"

static char directory[40];
static char path[64], other[64];

static void in_a_directory(void)
{
	EQUAL(1, mkdtemp(strcpy(directory, "/tmp/pyipc-test-XXXXXX")) != NULL);
	(void) snprintf(path, sizeof path, "%s/lock", directory);
	(void) snprintf(other, sizeof other, "%s/other", directory);
}

static void end_directory(void)
{
	(void) unlink(path);
	(void) unlink(other);
	(void) rmdir(path);
	EQUAL(0, rmdir(directory));
}

static int32_t opened(int shared)
{
	int32_t fd = -1;

	CHECK(pyipc_lock_file_open(path, 0600, shared, &fd) >= 0);
	return fd;
}

static int try(int32_t fd, int shared)
{
	return pyipc_lock_file(fd, shared, 0, 0);
}

static int wait_for(int32_t fd, int64_t deadline)
{
	int64_t began = now_ns();
	int result;

	do
		result = pyipc_lock_file(fd, 0, began, deadline);
	while (result == -EINTR);
	return result;
}

static mode_t mode_of(const char *file)
{
	struct stat stat = { .st_mode = 0 };

	EQUAL(0, lstat(file, &stat));
	return stat.st_mode & 07777;
}

/* ---- files ---- */

static void a_file_is_made_with_exactly_its_mode(void)
{
	mode_t before = umask(077);
	int32_t fd = nothing_yet();

	in_a_directory();
	CHECK(pyipc_lock_file_open(path, 0666, 1, &fd) >= 0);
	(void) umask(before);
	EQUAL(0666, mode_of(path));
	CHECK(is_close_on_exec(fd));
	EQUAL(0, try(fd, 1));	/* whoever makes it may write */
	EQUAL(0, pyipc_fd_close(&fd));
	EQUAL(0, chmod(path, 0640));
	CHECK(pyipc_lock_file_open(path, 0666, 0, &fd) >= 0);	/* one that is there keeps its own */
	EQUAL(0640, mode_of(path));
	EQUAL(0, pyipc_fd_close(&fd));
	end_directory();
}

static void refused(int error_number, const char *name)
{
	int32_t fd = nothing_yet();

	EQUAL(-error_number, pyipc_lock_file_open(name, 0600, 0, &fd));
	CHECK(is_untouched(fd));
}

static void what_is_no_regular_file_is_refused(void)
{
	in_a_directory();
	refused(ENXIO, directory);
	refused(ENXIO, "/dev/null");
	EQUAL(0, mkfifo(path, 0600));
	refused(ENXIO, path);
	EQUAL(0, unlink(path));
	EQUAL(0, symlink(other, path));
	refused(ELOOP, path);	/* and "other" was not made */
	EQUAL(-1, access(other, F_OK));
	refused(ENOENT, "/proc/no/such/directory");
	end_directory();
}

static void as_nobody_files_of_others_are_refused(void)
{
	pid_t child;

	in_a_directory();
	EQUAL(0, chmod(directory, 0755));
	child = fork_child();
	if (child == 0) {
		if (!become_nobody())
			_exit(CANNOT);
		refused(EACCES, path);
		_exit(all_was_well() ? 1 : 0);
	}
	{
		int status = end_of(child);

		CHECK(status == 0 || status == CANNOT);
	}
	end_directory();
}

/* ---- who has it ---- */

static void descriptions_exclude_each_other(void)
{
	int32_t one, two;

	in_a_directory();
	one = opened(0);
	two = opened(0);
	EQUAL(0, try(one, 0));
	EQUAL(-ETIMEDOUT, try(two, 0));
	EQUAL(0, pyipc_unlock_file(one));
	EQUAL(0, try(two, 0));
	EQUAL(-ETIMEDOUT, try(one, 0));
	EQUAL(0, pyipc_fd_close(&two));
	EQUAL(0, try(one, 0));
	EQUAL(0, pyipc_fd_close(&one));
	EQUAL(-EBADF, try(-1, 0));
	EQUAL(-EBADF, pyipc_unlock_file(-1));
	end_directory();
}

/* Of memory and /tmp, and not of what asks somebody else. */
static void the_kernel_keeps_the_locks_of_a_local_file(void)
{
	int32_t one = -1, two = -1;

	EQUAL(1, mkdtemp(strcpy(directory, "/dev/shm/pyipc-XXXXXX")) != NULL);
	(void) snprintf(path, sizeof path, "%s/lock", directory);
	EQUAL(1, pyipc_lock_file_open(path, 0600, 0, &one));
	EQUAL(1, pyipc_lock_file_open(path, 0600, 0, &two));
	EQUAL(0, pyipc_now_lock_file(one, 0));
	EQUAL(-EAGAIN, pyipc_now_lock_file(two, 1));
	EQUAL(0, pyipc_now_unlock_file(one));
	EQUAL(0, pyipc_now_lock_file(two, 1));
	EQUAL(0, pyipc_fd_close(&one));
	EQUAL(0, pyipc_fd_close(&two));
	EQUAL(0, pyipc_lock_file_open("/proc/self/comm", 0600, 1, &one));
	EQUAL(0, pyipc_fd_close(&one));
	end_directory();
}

static void shared_ones_exclude_only_the_others(void)
{
	int32_t one, two, three;

	in_a_directory();
	three = opened(0);
	one = opened(1);
	two = opened(1);
	EQUAL(0, try(one, 1));
	EQUAL(0, try(two, 1));
	EQUAL(-ETIMEDOUT, try(three, 0));
	EQUAL(0, pyipc_unlock_file(one));
	EQUAL(-ETIMEDOUT, try(three, 0));
	EQUAL(0, pyipc_unlock_file(two));
	EQUAL(0, try(three, 0));
	EQUAL(-ETIMEDOUT, try(one, 1));
	EQUAL(0, pyipc_fd_close(&one));
	EQUAL(0, pyipc_fd_close(&two));
	EQUAL(0, pyipc_fd_close(&three));
	end_directory();
}

static pid_t child_that_holds_it(void)
{
	int *said = shared_numbers();
	pid_t child = fork_child();

	if (child == 0) {
		int32_t fd = opened(0);

		tell(said, try(fd, 0) == 0 ? 1 : 2);
		for (;;)
			(void) pause();
	}
	WAIT_FOR(told(said));
	EQUAL(1, told(said));
	EQUAL(0, munmap(said, 4096));
	return child;
}

static void a_dead_holder_has_it_no_more(void)
{
	int32_t fd;
	pid_t child;

	in_a_directory();
	fd = opened(0);
	child = child_that_holds_it();
	EQUAL(-ETIMEDOUT, try(fd, 0));
	EQUAL(1000 + SIGKILL, kill_and_reap(child));
	EQUAL(0, try(fd, 0));
	EQUAL(0, pyipc_fd_close(&fd));
	end_directory();
}

/* ---- waits ---- */

static void a_wait_ends_by_time(void)
{
	int32_t one, two;
	int64_t began;

	in_a_directory();
	one = opened(0);
	two = opened(0);
	EQUAL(0, try(one, 0));
	began = now_ns();
	EQUAL(-ETIMEDOUT, wait_for(two, began + PYIPC_SECOND / 20));
	CHECK(now_ns() - began >= PYIPC_SECOND / 20);
	CHECK(now_ns() - began < 5LL * PYIPC_SECOND);
	began = now_ns();
	EQUAL(-EINTR, pyipc_lock_file(two, 0, began, began + 10LL * PYIPC_SECOND));
	CHECK(now_ns() - began < 5LL * PYIPC_SECOND);
	EQUAL(0, pyipc_fd_close(&one));
	EQUAL(0, pyipc_fd_close(&two));
	end_directory();
}

/* A wait without an end is the kernel's, one with an end is naps. */
static void a_wait_ends_with_the_lock(int64_t seconds, long sleeps_in)
{
	int32_t fd;
	pid_t child;

	in_a_directory();
	fd = opened(0);
	EQUAL(0, try(fd, 0));
	child = fork_child();
	if (child == 0)
		_exit(wait_for(opened(0), seconds ? now_ns() + seconds * PYIPC_SECOND : INT64_MAX) == 0 ? 0 : 1);
	WAIT_FOR(is_in(child, child, sleeps_in));
	EQUAL(0, pyipc_unlock_file(fd));
	EQUAL(0, end_of(child));
	EQUAL(0, pyipc_fd_close(&fd));
	end_directory();
}

static void a_wait_without_an_end_ends_with_the_lock(void)
{
	a_wait_ends_with_the_lock(0, SYS_fcntl);
}

static void a_wait_with_an_end_ends_with_the_lock(void)
{
	a_wait_ends_with_the_lock(PATIENCE_S, SYS_clock_nanosleep);
}

static void a_signal_ends_a_wait_without_an_end(void)
{
	int32_t fd;
	pid_t child;

	in_a_directory();
	fd = opened(0);
	EQUAL(0, try(fd, 0));
	child = fork_child();
	if (child == 0) {
		handle(SIGUSR1, 0);
		_exit(pyipc_lock_file(opened(0), 0, 0, INT64_MAX) == -EINTR ? 0 : 1);
	}
	WAIT_FOR(is_in(child, child, SYS_fcntl));
	EQUAL(0, signal_until_end_of(child, SIGUSR1));
	EQUAL(0, pyipc_fd_close(&fd));
	end_directory();
}

/* ---- filesystems ---- */

static void a_filesystem_without_such_locks_says_so(void)
{
	static const int answers[] = { EINVAL, EOPNOTSUPP, ENOSYS };

	for (int i = 0; i < 3; i++) {
		pid_t child;
		int status;

		in_a_directory();
		child = fork_child();
		if (child == 0) {
			int32_t fd = opened(0);

			if (!answer(SYS_fcntl, answers[i], 1, 37))
				_exit(CANNOT);
			_exit(try(fd, 0) == -ENOTSUP ? 0 : 1);
		}
		status = end_of(child);
		end_directory();
		if (status == CANNOT)
			NOT_RUN("no seccomp filter to be had");
		EQUAL(0, status);
	}
}

int main(void)
{
	begin();
	RUN(a_file_is_made_with_exactly_its_mode);
	RUN(what_is_no_regular_file_is_refused);
	RUN(as_nobody_files_of_others_are_refused);
	RUN(descriptions_exclude_each_other);
	RUN(the_kernel_keeps_the_locks_of_a_local_file);
	RUN(shared_ones_exclude_only_the_others);
	RUN(a_dead_holder_has_it_no_more);
	RUN(a_wait_ends_by_time);
	RUN(a_wait_without_an_end_ends_with_the_lock);
	RUN(a_wait_with_an_end_ends_with_the_lock);
	RUN(a_signal_ends_a_wait_without_an_end);
	RUN(a_filesystem_without_such_locks_says_so);
	return report();
}
