/* SPDX-License-Identifier: MIT
 *
 * test_signals.c -- signals.c: dispositions to the bit, masks, values, signals as data; and children by pid.
 */
#include "facts.h"

enum { USR1_BIT = 1 << (SIGUSR1 - 1) };

static int came, came_value, came_pid;

static void note(int signal_number, siginfo_t *info, void *context)
{
	(void) context;
	came = signal_number;
	came_value = info->si_value.sival_int;
	came_pid = info->si_pid;
}

static uint64_t blocked_now(void)
{
	uint64_t before = 0;

	EQUAL(0, pyipc_now_signal_mask(PYIPC_BLOCK, 0, &before));
	return before;
}

static void what_was_there_comes_back_to_the_bit(void)
{
	struct pyipc_disposition before, now, ignored = { .handler = 1 }, by_default = { .handler = 0 };
	struct sigaction mine = { .sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_RESTART | SA_NODEFER };
	struct sigaction found;

	(void) sigemptyset(&mine.sa_mask);
	(void) sigaddset(&mine.sa_mask, SIGHUP);
	EQUAL(0, sigaction(SIGUSR1, &mine, NULL));
	EQUAL(0, pyipc_now_signal_get(SIGUSR1, &before));
	EQUAL(1 << (SIGHUP - 1), before.mask);
	EQUAL(0, pyipc_now_signal_set(SIGUSR1, &ignored));
	EQUAL(0, raise(SIGUSR1));
	EQUAL(0, came);
	EQUAL(0, sigaction(SIGUSR1, NULL, &found));
	CHECK(found.sa_handler == SIG_IGN);
	EQUAL(0, pyipc_now_signal_set(SIGUSR1, &before));
	EQUAL(0, pyipc_now_signal_get(SIGUSR1, &now));
	EQUAL(0, memcmp(&before, &now, sizeof now));
	EQUAL(0, sigaction(SIGUSR1, NULL, &found));
	CHECK(found.sa_sigaction == note);
	CHECK(sigismember(&found.sa_mask, SIGHUP) == 1);
	CHECK((found.sa_flags & (SA_SIGINFO | SA_RESTART | SA_NODEFER)) == (SA_SIGINFO | SA_RESTART | SA_NODEFER));
	EQUAL(0, raise(SIGUSR1));
	EQUAL(SIGUSR1, came);
	came = 0;
	EQUAL(0, pyipc_now_signal_set(SIGUSR1, &by_default));
	EQUAL(0, sigaction(SIGUSR1, NULL, &found));
	CHECK(found.sa_handler == SIG_DFL);
}

static void what_cannot_be_is_refused(void)
{
	struct pyipc_disposition found, ignored = { .handler = 1 };

	memset(&found, UNTOUCHED, sizeof found);
	EQUAL(-EINVAL, pyipc_now_signal_get(0, &found));
	EQUAL(-EINVAL, pyipc_now_signal_get(65, &found));
	EQUAL(-EINVAL, pyipc_now_signal_get(-1, &found));
	CHECK(untouched(&found, sizeof found));
	EQUAL(-EINVAL, pyipc_now_signal_set(SIGKILL, &ignored));
	EQUAL(-EINVAL, pyipc_now_signal_set(SIGSTOP, &ignored));
	EQUAL(-EINVAL, pyipc_now_signal_set(1000, &ignored));
}

static void a_thread_blocks_what_it_is_told(void)
{
	uint64_t first = blocked_now(), before;
	sigset_t set;

	EQUAL(0, pyipc_now_signal_mask(PYIPC_BLOCK, USR1_BIT | 1ULL << 63, &before));
	EQUAL(first, before);
	EQUAL(first | USR1_BIT | 1ULL << 63, blocked_now());
	EQUAL(0, pthread_sigmask(SIG_BLOCK, NULL, &set));
	CHECK(sigismember(&set, SIGUSR1) == 1);
	EQUAL(0, pyipc_now_signal_mask(PYIPC_UNBLOCK, 1ULL << 63, &before));
	EQUAL(first | USR1_BIT, blocked_now());
	EQUAL(0, pyipc_now_signal_mask(PYIPC_UNBLOCK, USR1_BIT, &before));
	EQUAL(first, blocked_now());
}

static void a_value_goes_along(void)
{
	struct sigaction mine = { .sa_sigaction = note, .sa_flags = SA_SIGINFO };
	int32_t owner = -1;
	int result = pyipc_now_pidfd_open(getpid(), &owner);

	EQUAL(0, sigaction(SIGUSR1, &mine, NULL));
	EQUAL(0, pyipc_now_signal_queue(getpid(), SIGUSR1, INT32_MIN));
	EQUAL(SIGUSR1, came);
	EQUAL(INT32_MIN, came_value);
	EQUAL(getpid(), came_pid);
	if (result == 0 && (result = pyipc_now_pidfd_queue(&owner, SIGUSR1, 77)) == 0) {
		EQUAL(77, came_value);
		EQUAL(getpid(), came_pid);
		EQUAL(-EINVAL, pyipc_now_pidfd_queue(&owner, 1000, 1));
	}
	EQUAL(0, pyipc_fd_close(&owner));
	EQUAL(-EBADF, pyipc_now_pidfd_queue(&owner, SIGUSR1, 1));
	EQUAL(-ESRCH, pyipc_now_signal_queue(INT32_MAX, SIGUSR1, 1));
	EQUAL(-ESRCH, pyipc_now_signal_send(INT32_MAX, SIGUSR1));
	EQUAL(-EINVAL, pyipc_now_signal_send(getpid(), 1000));
	EQUAL(0, pyipc_now_signal_send(getpid(), 0));
	(void) signal(SIGUSR1, SIG_DFL);
	came = came_value = 0;
}

static void signals_are_read_one_by_one(void)
{
	uint64_t before, wanted = USR1_BIT | 1ULL << (SIGRTMIN - 1);
	struct pyipc_signal got;
	int32_t owner = nothing_yet();

	EQUAL(0, pyipc_now_signal_mask(PYIPC_BLOCK, wanted, &before));
	EQUAL(0, pyipc_now_signalfd(wanted, &owner));
	CHECK(is_close_on_exec(owner));
	memset(&got, UNTOUCHED, sizeof got);
	EQUAL(-EAGAIN, pyipc_now_signalfd_read(&owner, &got));
	EQUAL(0, fcntl(owner, F_SETFL, 0));	/* a forked child may */
	EQUAL(-EAGAIN, pyipc_now_signalfd_read(&owner, &got));
	CHECK(untouched(&got, sizeof got));
	for (int value = -1; value < 2; value++)
		EQUAL(0, pyipc_now_signal_queue(getpid(), SIGRTMIN, value));
	EQUAL(0, pyipc_now_signal_send(getpid(), SIGUSR1));
	EQUAL(0, pyipc_now_signal_send(getpid(), SIGUSR1));
	EQUAL(0, pyipc_now_signalfd_read(&owner, &got));
	EQUAL(SIGUSR1, got.number);
	EQUAL(SI_USER, got.code);
	for (int value = -1; value < 2; value++) {
		EQUAL(0, pyipc_now_signalfd_read(&owner, &got));
		EQUAL(SIGRTMIN, got.number);
		EQUAL(SI_QUEUE, got.code);
		EQUAL(value, got.value);
		EQUAL(getpid(), got.pid);
		EQUAL(getuid(), got.uid);
	}
	EQUAL(-EAGAIN, pyipc_now_signalfd_read(&owner, &got));
	EQUAL(0, pyipc_fd_close(&owner));
	EQUAL(-EBADF, pyipc_now_signalfd_read(&owner, &got));
	EQUAL(0, pyipc_now_signal_mask(PYIPC_UNBLOCK, wanted & ~before, &before));
}

static void what_is_no_signalfd_is_refused(void)
{
	struct pyipc_signal got;
	int32_t owner;
	int ends[2];

	pipe_ends(ends);
	owner = ends[0];
	memset(&got, UNTOUCHED, sizeof got);
	EQUAL(-EAGAIN, pyipc_now_signalfd_read(&owner, &got));
	EQUAL(1, write(ends[1], "x", 1));
	EQUAL(-EINVAL, pyipc_now_signalfd_read(&owner, &got));
	CHECK(untouched(&got, sizeof got));
	close_both(ends);
}

static void a_child_has_its_status_by_its_pid_once(void)
{
	struct pyipc_exit end;
	pid_t child = sleeping_child();

	memset(&end, UNTOUCHED, sizeof end);
	EQUAL(-EAGAIN, pyipc_now_child_status(child, 1, &end));
	EQUAL(-ECHILD, pyipc_now_child_status(getpid(), 0, &end));
	EQUAL(-EINVAL, pyipc_now_child_status(0, 0, &end));
	EQUAL(-EINVAL, pyipc_now_child_status(-1, 1, &end));
	CHECK(untouched(&end, sizeof end));
	EQUAL(0, kill(child, SIGTERM));
	WAIT_FOR(pyipc_now_child_status(child, 0, &end) == 0);
	EQUAL(0, pyipc_now_child_status(child, 1, &end));
	EQUAL(child, end.pid);
	EQUAL(SIGTERM, end.signal);
	EQUAL(-1, end.code);
	EQUAL(-ECHILD, pyipc_now_child_status(child, 0, &end));
}

int main(void)
{
	begin();
	RUN(what_was_there_comes_back_to_the_bit);
	RUN(what_cannot_be_is_refused);
	RUN(a_thread_blocks_what_it_is_told);
	RUN(a_value_goes_along);
	RUN(signals_are_read_one_by_one);
	RUN(what_is_no_signalfd_is_refused);
	RUN(a_child_has_its_status_by_its_pid_once);
	return report();
}
