/* SPDX-License-Identifier: MIT
 *
 * test_posix_sem.c -- posix_sem.c: POSIX semaphores, also as they are where the C library has no
 * sem_clockwait().
 */
#include "facts.h"

/* The same once more, under other names, and with a function that nobody has. */
#define sem_clockwait no_sem_clockwait
#define pyipc_posix_sem_open looking_sem_open
#define pyipc_posix_sem_close looking_sem_close
#define pyipc_posix_sem_unlink looking_sem_unlink
#define pyipc_now_posix_sem_init looking_sem_init
#define pyipc_now_posix_sem_try looking_sem_try
#define pyipc_posix_sem_wait looking_sem_wait
#define pyipc_now_posix_sem_post looking_sem_post
#define pyipc_now_posix_sem_value looking_sem_value
#pragma weak no_sem_clockwait
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#include "../../csrc/posix_sem.c"
#pragma GCC diagnostic error "-Wmissing-prototypes"
#undef sem_clockwait
#undef pyipc_posix_sem_open
#undef pyipc_posix_sem_close
#undef pyipc_posix_sem_unlink
#undef pyipc_now_posix_sem_init
#undef pyipc_now_posix_sem_try
#undef pyipc_posix_sem_wait
#undef pyipc_now_posix_sem_post
#undef pyipc_now_posix_sem_value

enum { NEW = PYIPC_POSIX_CREATE | PYIPC_POSIX_EXCLUSIVE };

static char name[64];	/* nobody else's */

typedef int wait_call(char *sem, int64_t deadline_ns);

static wait_call *const waits[] = { pyipc_posix_sem_wait, looking_sem_wait };

#define EACH_WAIT(call) for (size_t i_ = 0; i_ < 2; i_++) for (wait_call *call = waits[i_]; call; call = NULL)

static char *opened(int flags, uint32_t value)
{
	int64_t sem = 0;

	EQUAL(0, pyipc_posix_sem_open(name, flags, 0600, value, &sem));
	return (char *) (intptr_t) sem;
}

static void end_it(char *sem)
{
	EQUAL(0, pyipc_posix_sem_close(sem));
	EQUAL(0, pyipc_posix_sem_unlink(name));
}

/* An unnamed one, which two processes have. */
static char *shared(uint32_t value)
{
	char *sem = (char *) shared_numbers();

	CHECK(sem != NULL);
	EQUAL(0, pyipc_now_posix_sem_init(sem, value));
	return sem;
}

static void forget(char *sem)
{
	EQUAL(0, munmap(sem, 4096));
}

/* In futex(2), where the C library does the waiting, or in a nap. */
static int sleeps(wait_call *call, pid_t child)
{
	return (call != looking_sem_wait && is_in(child, child, SYS_futex)) || is_in(child, child, SYS_clock_nanosleep);
}

static void it_is_found_by_its_name_until_that_is_removed(void)
{
	int64_t none = 77;
	char *sem, *again;

	EQUAL(-ENOENT, pyipc_posix_sem_open(name, 0, 0, 0, &none));
	EQUAL(-ENOENT, pyipc_posix_sem_unlink(name));
	sem = opened(NEW, 2);
	EQUAL(-EEXIST, pyipc_posix_sem_open(name, NEW, 0600, 1, &none));
	EQUAL(77, none);
	again = opened(PYIPC_POSIX_CREATE, 9);
	EQUAL(2, pyipc_now_posix_sem_value(again));
	EQUAL(0, pyipc_now_posix_sem_try(again));
	EQUAL(1, pyipc_now_posix_sem_value(sem));
	EQUAL(0, pyipc_posix_sem_close(again));
	EQUAL(0, pyipc_posix_sem_unlink(name));
	EQUAL(-ENOENT, pyipc_posix_sem_open(name, 0, 0, 0, &none));
	EQUAL(0, pyipc_now_posix_sem_try(sem));
	EQUAL(-EAGAIN, pyipc_now_posix_sem_try(sem));
	EQUAL(0, pyipc_posix_sem_close(sem));
}

static void who_asks_for_what_cannot_be_is_told(void)
{
	char longer[400];
	int64_t none = 77;

	memset(longer, 'x', sizeof longer);
	longer[0] = '/';
	longer[sizeof longer - 1] = '\0';
	CHECK(pyipc_posix_sem_open(longer, NEW, 0600, 1, &none) < 0);
	CHECK(pyipc_posix_sem_unlink(longer) < 0);
	EQUAL(-EINVAL, pyipc_posix_sem_open(name, NEW, 0600, (uint32_t) PYIPC_POSIX_SEM_MOST + 1, &none));
	EQUAL(-EINVAL, pyipc_posix_sem_open(name, NEW, 0600, UINT32_MAX, &none));
	EQUAL(77, none);
	EQUAL(-ENOENT, pyipc_posix_sem_unlink(name));
}

static void there_can_be_so_many_and_no_more(void)
{
	char *sem = opened(NEW, PYIPC_POSIX_SEM_MOST - 1);
	char *unnamed = shared(PYIPC_POSIX_SEM_MOST);

	EQUAL(0, pyipc_now_posix_sem_post(sem));
	EQUAL(-EOVERFLOW, pyipc_now_posix_sem_post(sem));
	EQUAL(-EOVERFLOW, pyipc_now_posix_sem_post(unnamed));
	EQUAL(PYIPC_POSIX_SEM_MOST, pyipc_now_posix_sem_value(sem));
	EQUAL(PYIPC_POSIX_SEM_MOST, pyipc_now_posix_sem_value(unnamed));
	EQUAL(-EINVAL, pyipc_now_posix_sem_init(unnamed, (uint32_t) PYIPC_POSIX_SEM_MOST + 1));
	forget(unnamed);
	end_it(sem);
}

static void an_unnamed_one_stays_within_its_bytes(void)
{
	char *memory = (char *) shared_numbers();

	memset(memory, UNTOUCHED, 4096);
	EQUAL(0, pyipc_now_posix_sem_init(memory + 64, 1));
	EQUAL(0, pyipc_now_posix_sem_post(memory + 64));
	EQUAL(0, pyipc_posix_sem_wait(memory + 64, 0));
	EQUAL(1, pyipc_now_posix_sem_value(memory + 64));
	CHECK(untouched(memory, 64) && untouched(memory + 64 + PYIPC_POSIX_SEM_SIZE, 4096 - 64 - PYIPC_POSIX_SEM_SIZE));
	forget(memory);
}

static void a_deadline_that_is_past_is_one_try(void)
{
	int64_t past[] = { 0, 1, -1, INT64_MIN, now_ns() };
	char *sem = shared(0);

	EACH_WAIT(call)
		for (size_t i = 0; i < sizeof past / sizeof *past; i++) {
			EQUAL(-ETIMEDOUT, call(sem, past[i]));
			EQUAL(0, pyipc_now_posix_sem_post(sem));
			EQUAL(0, call(sem, past[i]));
			EQUAL(0, pyipc_now_posix_sem_value(sem));
		}
	forget(sem);
}

static void a_wait_ends_at_its_deadline_and_not_before(void)
{
	char *sem = shared(0);

	EACH_WAIT(call)
		for (int64_t span = 1000; span <= 100000000; span *= 10) {
			int64_t deadline = now_ns() + span;

			EQUAL(-ETIMEDOUT, call(sem, deadline));
			CHECK(now_ns() >= deadline);
		}
	forget(sem);
}

static void a_long_wait_goes_up_now_and_then(void)
{
	char *sem = shared(0);

	EACH_WAIT(call) {
		int64_t began = now_ns();

		EQUAL(-EINTR, call(sem, i_ ? INT64_MAX : began + (int64_t) 60 * PYIPC_SECOND));
		CHECK(now_ns() >= began + PYIPC_SECOND);
	}
	forget(sem);
}

/* What ends a call with EINTR before a second is over is a signal. */
static int wait_long(wait_call *call, char *sem)
{
	int64_t began;
	int result;

	do {
		began = now_ns();
		result = call(sem, INT64_MAX);
	} while (result == -EINTR && now_ns() - began >= PYIPC_SECOND);
	return result;
}

static pid_t child_that_waits(wait_call *call, char *sem)
{
	pid_t child = fork_child();

	if (child == 0)
		_exit(-wait_long(call, sem));
	WAIT_FOR(sleeps(call, child));
	return child;
}

static void who_waits_gets_what_is_given(void)
{
	EACH_WAIT(call) {
		char *sem = i_ ? shared(0) : opened(NEW, 0);
		pid_t child = child_that_waits(call, sem);

		EQUAL(0, pyipc_now_posix_sem_post(sem));
		EQUAL(0, end_of(child));
		EQUAL(0, pyipc_now_posix_sem_value(sem));
		if (i_)
			forget(sem);
		else
			end_it(sem);
	}
}

static void a_signal_ends_a_wait_and_takes_nothing(void)
{
	EACH_WAIT(call) {
		char *sem = shared(0);
		pid_t child;

		handle(SIGUSR1, 0);
		child = child_that_waits(call, sem);
		EQUAL(EINTR, signal_until_end_of(child, SIGUSR1));
		EQUAL(0, pyipc_now_posix_sem_post(sem));
		EQUAL(1, pyipc_now_posix_sem_value(sem));
		(void) signal(SIGUSR1, SIG_DFL);
		forget(sem);
	}
}

static void who_is_killed_takes_nothing_along(void)
{
	EACH_WAIT(call) {
		char *sem = shared(0);

		EQUAL(1000 + SIGKILL, kill_and_reap(child_that_waits(call, sem)));
		EQUAL(0, pyipc_now_posix_sem_post(sem));
		EQUAL(0, pyipc_now_posix_sem_try(sem));
		forget(sem);
	}
}

static int to_and_fro(wait_call *call, char *mine, char *theirs, int count)
{
	while (count-- > 0)
		if (pyipc_now_posix_sem_post(theirs) < 0 || wait_long(call, mine) < 0)
			return 1;
	return 0;
}

static void waiting_neither_loses_nor_makes_up(void)
{
	EACH_WAIT(call) {
		char *one = shared(0), *other = shared(0);
		pid_t child = fork_child();

		if (child == 0)
			_exit(to_and_fro(call, one, other, 2000));
		EQUAL(0, to_and_fro(waits[0], other, one, 2000));	/* each kind meets the first */
		EQUAL(0, end_of(child));
		EQUAL(0, pyipc_now_posix_sem_value(one) + pyipc_now_posix_sem_value(other));
		forget(one);
		forget(other);
	}
}

static int others_may(void)
{
	int64_t sem;

	if (!become_nobody())
		return CANNOT;
	if (pyipc_posix_sem_unlink(name) != -EACCES)
		return 1;
	return -pyipc_posix_sem_open(name, 0, 0, 0, &sem);
}

static void who_has_no_permission_is_told(void)
{
	char *sem = opened(NEW, 1);
	pid_t child = fork_child();
	int result;

	if (child == 0)
		_exit(others_may());
	result = end_of(child);
	end_it(sem);
	if (result == CANNOT)
		NOT_RUN("only root can become another user");
	EQUAL(EACCES, result);
}

int main(void)
{
	begin();
	(void) snprintf(name, sizeof name, "/pyipc-test-%d", (int) getpid());
	RUN(it_is_found_by_its_name_until_that_is_removed);
	RUN(who_asks_for_what_cannot_be_is_told);
	RUN(there_can_be_so_many_and_no_more);
	RUN(an_unnamed_one_stays_within_its_bytes);
	RUN(a_deadline_that_is_past_is_one_try);
	RUN(a_wait_ends_at_its_deadline_and_not_before);
	RUN(a_long_wait_goes_up_now_and_then);
	RUN(who_waits_gets_what_is_given);
	RUN(a_signal_ends_a_wait_and_takes_nothing);
	RUN(who_is_killed_takes_nothing_along);
	RUN(waiting_neither_loses_nor_makes_up);
	RUN(who_has_no_permission_is_told);
	return report();
}
