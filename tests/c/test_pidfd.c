/* SPDX-License-Identifier: MIT
 *
 * test_pidfd.c -- pidfd.c: processes by descriptor.
 */
#include "facts.h"

static int32_t pidfd_of(pid_t process)
{
	int32_t owner = nothing_yet();
	int result = pyipc_now_pidfd_open(process, &owner);

	if (result < 0) {
		EQUAL(0, result);
		CHECK(is_untouched(owner));
		return -1;
	}
	CHECK(is_close_on_exec(owner));
	return owner;
}

/* NULL if it has them; a sandbox may say EPERM. */
static const char *why_no_pidfds(void)
{
	int32_t owner = -1;
	struct pyipc_exit end;
	int result = pyipc_now_pidfd_open(getpid(), &owner);

	if (result == 0)
		result = pyipc_now_pidfd_status(&owner, 0, &end);
	(void) pyipc_fd_close(&owner);
	if (result == -ENOSYS || result == -EPERM)
		return "the kernel opens no pidfd";
	return result == -EINVAL ? "the kernel waits for no pidfd" : NULL;
}

static int status_of(const int32_t *owner, int reap, struct pyipc_exit *ret_exit)
{
	int result;

	memset(ret_exit, UNTOUCHED, sizeof *ret_exit);
	result = pyipc_now_pidfd_status(owner, reap, ret_exit);
	CHECK(result == 0 || untouched(ret_exit, sizeof *ret_exit));
	return result;
}

static void a_process_is_there_until_it_is_reaped(void)
{
	pid_t child;
	int32_t owner;

	if (why_no_pidfds())
		NOT_RUN(why_no_pidfds());
	child = sleeping_child();
	owner = pidfd_of(child);
	EQUAL(0, pyipc_now_pidfd_send(&owner, 0));
	EQUAL(1000 + SIGKILL, kill_and_reap(child));
	EQUAL(-ESRCH, pyipc_now_pidfd_send(&owner, 0));
	EQUAL(-ESRCH, pyipc_now_pidfd_send(&owner, SIGKILL));
	EQUAL(0, pyipc_fd_close(&owner));
}

static void a_child_that_runs_has_no_status_yet(void)
{
	struct pyipc_exit end;
	pid_t child;
	int32_t owner;

	if (why_no_pidfds())
		NOT_RUN(why_no_pidfds());
	child = sleeping_child();
	owner = pidfd_of(child);
	EQUAL(-EAGAIN, status_of(&owner, 0, &end));
	EQUAL(-EAGAIN, status_of(&owner, 1, &end));
	EQUAL(-ETIMEDOUT, pyipc_fd_wait(owner, PYIPC_READABLE, 0));
	EQUAL(1000 + SIGKILL, kill_and_reap(child));
	EQUAL(0, pyipc_fd_close(&owner));
}

static void the_status_stays_until_it_is_reaped(void)
{
	struct pyipc_exit end;
	pid_t child;
	int32_t owner;

	if (why_no_pidfds())
		NOT_RUN(why_no_pidfds());
	child = fork_child();
	if (child == 0)
		_exit(42);
	owner = pidfd_of(child);
	EQUAL(0, wait_on(owner, PYIPC_READABLE));
	for (int reap = 0; reap < 3; reap++) {		/* not, not, and with any number that is not 0 */
		EQUAL(0, status_of(&owner, reap == 2 ? 4 : 0, &end));
		EQUAL(child, end.pid);
		EQUAL(42, end.code);
		EQUAL(0, end.signal);
		EQUAL(0, end.dumped);
	}
	EQUAL(-1, waitpid(child, NULL, WNOHANG));
	EQUAL(ECHILD, errno);
	EQUAL(-ECHILD, status_of(&owner, 1, &end));
	EQUAL(0, pyipc_fd_close(&owner));
}

static void a_signal_that_ends_a_process_is_its_status(void)
{
	struct pyipc_exit end;
	pid_t child;
	int32_t owner;

	if (why_no_pidfds())
		NOT_RUN(why_no_pidfds());
	child = sleeping_child();
	owner = pidfd_of(child);
	EQUAL(0, pyipc_now_pidfd_send(&owner, SIGKILL));
	EQUAL(0, wait_on(owner, PYIPC_READABLE));
	EQUAL(0, status_of(&owner, 1, &end));
	EQUAL(child, end.pid);
	EQUAL(-1, end.code);
	EQUAL(SIGKILL, end.signal);
	EQUAL(0, end.dumped);
	EQUAL(0, pyipc_fd_close(&owner));
}

static void a_signal_reaches_its_handler(void)
{
	int *numbers = shared_numbers();
	pid_t child;
	int32_t owner;

	if (why_no_pidfds())
		NOT_RUN(why_no_pidfds());
	child = fork_child();
	if (child == 0) {
		handle(SIGUSR1, 0);
		tell(numbers, 1);
		while (!signals_seen)
			(void) look_again_until(0);
		_exit(7);
	}
	owner = pidfd_of(child);
	WAIT_FOR(told(numbers));
	EQUAL(0, pyipc_now_pidfd_send(&owner, SIGUSR1));
	EQUAL(7, end_of(child));
	EQUAL(0, pyipc_fd_close(&owner));
	(void) munmap(numbers, 4096);
}

/* A directory of its own, where the dump is all there is. */
static void dump_core_in(const char *directory)
{
	struct rlimit limit;

	(void) getrlimit(RLIMIT_CORE, &limit);
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_CORE, &limit) != 0 || chdir(directory) != 0)
		_exit(CANNOT);
	(void) signal(SIGABRT, SIG_DFL);
	(void) prctl(PR_SET_DUMPABLE, 1);
	abort();
}

static void empty_and_remove(const char *directory)
{
	DIR *list = opendir(directory);

	for (struct dirent *entry; list && (entry = readdir(list));)
		(void) unlinkat(dirfd(list), entry->d_name, 0);
	if (list)
		(void) closedir(list);
	EQUAL(0, rmdir(directory));
}

static void a_core_dump_is_told(void)
{
	char directory[] = "/tmp/pyipc-test-XXXXXX";
	char pattern[128];
	struct pyipc_exit end;
	int status = 0;
	pid_t child;
	int32_t owner;

	if (why_no_pidfds())
		NOT_RUN(why_no_pidfds());
	if (!read_setting("/proc/sys/kernel/core_pattern", pattern, sizeof pattern) || strpbrk(pattern, "|/@"))
		NOT_RUN("core dumps go to a place that is not ours");
	CHECK(mkdtemp(directory));
	child = fork_child();
	if (child == 0)
		dump_core_in(directory);
	owner = pidfd_of(child);
	EQUAL(0, wait_on(owner, PYIPC_READABLE));
	EQUAL(0, status_of(&owner, 0, &end));
	EQUAL(child, waitpid(child, &status, 0));
	EQUAL(0, pyipc_fd_close(&owner));
	empty_and_remove(directory);
	if (!WIFSIGNALED(status) || !WCOREDUMP(status))
		NOT_RUN("no core is dumped here");
	EQUAL(1, end.dumped);
	EQUAL(SIGABRT, end.signal);
	EQUAL(-1, end.code);
}

static void a_process_that_is_no_child_of_ours_has_no_status(void)
{
	int32_t owner;
	pid_t child;

	if (why_no_pidfds())
		NOT_RUN(why_no_pidfds());
	owner = pidfd_of(getpid());
	child = fork_child();
	if (child == 0) {
		struct pyipc_exit end;

		EQUAL(-ECHILD, status_of(&owner, 1, &end));
		EQUAL(0, pyipc_now_pidfd_send(&owner, 0));
		_exit(all_was_well());
	}
	EQUAL(0, end_of(child));
	EQUAL(0, pyipc_fd_close(&owner));
}

static void there_is_no_process_of_such_a_pid(void)
{
	int32_t owner = nothing_yet();
	pid_t child = fork_child();

	if (child == 0)
		_exit(0);
	EQUAL(0, end_of(child));
	if (why_no_pidfds())
		NOT_RUN(why_no_pidfds());
	EQUAL(-ESRCH, pyipc_now_pidfd_open(INT32_MAX, &owner));
	EQUAL(-ESRCH, pyipc_now_pidfd_open(child, &owner));
	EQUAL(-EINVAL, pyipc_now_pidfd_open(0, &owner));
	EQUAL(-EINVAL, pyipc_now_pidfd_open(-1, &owner));
	EQUAL(-EINVAL, pyipc_now_pidfd_open(INT32_MIN, &owner));
	CHECK(is_untouched(owner));
}

static void there_is_no_such_signal(void)
{
	int32_t owner;

	if (why_no_pidfds())
		NOT_RUN(why_no_pidfds());
	owner = pidfd_of(getpid());
	EQUAL(-EINVAL, pyipc_now_pidfd_send(&owner, 1000));
	EQUAL(-EINVAL, pyipc_now_pidfd_send(&owner, -1));
	EQUAL(0, pyipc_fd_close(&owner));
}

static void what_is_no_pidfd_is_ebadf(void)
{
	int ends[2];
	int32_t owners[3];
	int32_t copy = nothing_yet();

	if (why_no_pidfds())
		NOT_RUN(why_no_pidfds());
	pipe_ends(ends);
	owners[0] = ends[0];
	owners[1] = closed_number();
	owners[2] = -1;
	for (int i = 0; i < 3; i++) {
		struct pyipc_exit end;

		EQUAL(-EBADF, pyipc_now_pidfd_send(&owners[i], 0));
		EQUAL(-EBADF, status_of(&owners[i], 0, &end));
		EQUAL(-EBADF, pyipc_now_pidfd_getfd(&owners[i], ends[0], &copy));
	}
	CHECK(is_untouched(copy));
	close_both(ends);
}

/* The end for writing is in the child alone, until we have a copy of it. */
static void a_copy_of_its_descriptor_is_the_same_file(void)
{
	int32_t copy = nothing_yet();
	int ends[2];
	pid_t child;
	int32_t owner;
	int result;
	char got = 0;

	if (why_no_pidfds())
		NOT_RUN(why_no_pidfds());
	pipe_ends(ends);
	child = sleeping_child();
	owner = pidfd_of(child);
	EQUAL(0, close(ends[1]));
	CHECK(!nobody_writes(ends[0]));
	result = pyipc_now_pidfd_getfd(&owner, ends[1], &copy);
	if (result == 0) {
		CHECK(is_close_on_exec(copy));
		EQUAL(-EBADF, pyipc_now_pidfd_getfd(&owner, 4000, &copy));
		EQUAL(-EBADF, pyipc_now_pidfd_getfd(&owner, -1, &copy));
	} else {
		CHECK(is_untouched(copy));
		copy = -1;
	}
	EQUAL(1000 + SIGKILL, kill_and_reap(child));
	if (result == 0) {
		CHECK(same_file(copy, ends[0]));
		EQUAL(1, write(copy, "x", 1));
		EQUAL(1, read(ends[0], &got, 1));
		EQUAL('x', got);
		CHECK(!nobody_writes(ends[0]));
		EQUAL(0, pyipc_fd_close(&copy));
		EQUAL(-ESRCH, pyipc_now_pidfd_getfd(&owner, ends[0], &copy));
	}
	CHECK(nobody_writes(ends[0]));
	EQUAL(0, pyipc_fd_close(&owner));
	EQUAL(0, close(ends[0]));
	if (result == -ENOSYS || result == -EPERM)
		NOT_RUN("the kernel gives no copy of a child's descriptor");
	EQUAL(0, result);
}

static void who_has_no_permission_is_told(void)
{
	int32_t owner;
	pid_t child;
	int status;

	if (why_no_pidfds())
		NOT_RUN(why_no_pidfds());
	owner = pidfd_of(getpid());
	child = fork_child();
	if (child == 0) {
		int32_t copy = nothing_yet();
		int result;

		if (!become_nobody())
			_exit(CANNOT);
		EQUAL(-EPERM, pyipc_now_pidfd_send(&owner, 0));
		result = pyipc_now_pidfd_getfd(&owner, STDOUT_FILENO, &copy);
		CHECK(result == -EPERM || result == -ENOSYS);
		CHECK(is_untouched(copy));
		_exit(all_was_well());
	}
	status = end_of(child);
	EQUAL(0, pyipc_fd_close(&owner));
	if (status == CANNOT)
		NOT_RUN("cannot become another user");
	EQUAL(0, status);
}

int main(void)
{
	begin();
	RUN(a_process_is_there_until_it_is_reaped);
	RUN(a_child_that_runs_has_no_status_yet);
	RUN(the_status_stays_until_it_is_reaped);
	RUN(a_signal_that_ends_a_process_is_its_status);
	RUN(a_signal_reaches_its_handler);
	RUN(a_core_dump_is_told);
	RUN(a_process_that_is_no_child_of_ours_has_no_status);
	RUN(there_is_no_process_of_such_a_pid);
	RUN(there_is_no_such_signal);
	RUN(what_is_no_pidfd_is_ebadf);
	RUN(a_copy_of_its_descriptor_is_the_same_file);
	RUN(who_has_no_permission_is_told);
	return report();
}
