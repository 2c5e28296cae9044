/* SPDX-License-Identifier: MIT
 *
 * test_sync_lock.c -- locks between processes and threads: whose they are, and how a wait ends.
 */
#include "locks.h"

#include <pthread.h>

static struct object a_lock(uint32_t flags)
{
	return make_object(PYIPC_LOCK, flags, 0);
}

/* In a child that holds it until it is killed. */
static pid_t holder_of(const struct object *o, int *told_it)
{
	pid_t child;

	tell(told_it, 0);
	child = fork_child();
	if (child == 0) {
		struct pyipc_sync s = join_in(o, 0);

		if (pyipc_now_lock_try(&s) == 0)
			tell(told_it, 1);
		for (;;)
			(void) pause();
	}
	WAIT_FOR(told(told_it));
	return child;
}

static void one_has_it_at_a_time(void)
{
	struct object o = a_lock(0);
	struct pyipc_sync one = join_in(&o, 0), other = join_in(&o, 0);

	EQUAL(-EPERM, pyipc_now_lock_release(&one));
	EQUAL(0, pyipc_now_lock_try(&one));
	EQUAL(-EAGAIN, pyipc_now_lock_try(&other));
	EQUAL(-EAGAIN, pyipc_now_lock_try(&one));
	EQUAL(1, pyipc_now_lock_depth(&one));
	EQUAL(0, pyipc_now_lock_depth(&other));
	EQUAL(-ETIMEDOUT, acquire_by(&other, now_ns() + 20000000));
	EQUAL(0, pyipc_now_lock_release(&other));	/* anybody may */
	EQUAL(0, pyipc_now_lock_held(&one));
	EQUAL(0, acquire_by(&other, in_seconds(5)));
	EQUAL(0, pyipc_now_lock_recovered(&other));
	leave_it(&one);
	leave_it(&other);
	end_object(&o);
}

static void a_recursive_one_counts(void)
{
	struct object o = a_lock(PYIPC_SYNC_RECURSIVE);
	struct pyipc_sync one = join_in(&o, 0), other = join_in(&o, 0);

	for (int i = 1; i <= 3; i++) {
		EQUAL(0, i % 2 ? pyipc_now_lock_try(&one) : acquire_by(&one, in_seconds(5)));
		EQUAL(i, pyipc_now_lock_depth(&one));
	}
	for (int i = 3; i >= 1; i--) {
		EQUAL(-EAGAIN, pyipc_now_lock_try(&other));
		EQUAL(-EPERM, pyipc_now_lock_release(&other));
		EQUAL(0, pyipc_now_lock_release(&one));
	}
	EQUAL(-EPERM, pyipc_now_lock_release(&one));
	EQUAL(0, pyipc_now_lock_try(&other));
	leave_it(&one);
	leave_it(&other);
	end_object(&o);
}

static void the_dead_are_in_nobodys_way(void)
{
	struct object o = a_lock(0);
	struct pyipc_sync s = join_in(&o, 0);
	int *numbers = shared_numbers();

	for (int try_it = 0; try_it < 2; try_it++) {
		EQUAL(1000 + SIGKILL, kill_and_reap(holder_of(&o, numbers)));
		EQUAL(0, try_it ? pyipc_now_lock_try(&s) : acquire_by(&s, in_seconds(1)));
		EQUAL(1, pyipc_now_lock_recovered(&s));
		EQUAL(0, pyipc_now_lock_release(&s));
		EQUAL(0, pyipc_now_lock_recovered(&s));
	}
	EQUAL(2, s.recoveries);
	leave_it(&s);
	(void) munmap(numbers, 4096);
	end_object(&o);
}

static void a_strict_one_tells_of_the_dead(void)
{
	struct object o = a_lock(PYIPC_SYNC_STRICT);
	struct pyipc_sync s = join_in(&o, 0);
	int *numbers = shared_numbers();
	int32_t taken = -1;

	EQUAL(1000 + SIGKILL, kill_and_reap(holder_of(&o, numbers)));
	EQUAL(-EOWNERDEAD, pyipc_now_lock_try(&s));
	EQUAL(-EOWNERDEAD, acquire_by(&s, in_seconds(1)));
	EQUAL(0, pyipc_now_lock_recovered(&s));
	EQUAL(0, pyipc_lock_recover(&s, &taken, now_ns(), in_seconds(1)));
	EQUAL(1, taken);
	EQUAL(1, pyipc_now_lock_recovered(&s));
	EQUAL(0, pyipc_now_lock_release(&s));
	EQUAL(0, pyipc_now_lock_try(&s));
	leave_it(&s);
	(void) munmap(numbers, 4096);
	end_object(&o);
}

static void a_signal_ends_a_wait(void)
{
	struct object o = a_lock(0);
	struct pyipc_sync s = join_in(&o, 0);
	int *numbers = shared_numbers();
	pid_t holder = holder_of(&o, numbers), child = fork_child();

	if (child == 0) {
		struct pyipc_sync mine = join_in(&o, 0);

		handle(SIGUSR1, SA_RESTART);
		EQUAL(-EINTR, pyipc_lock_acquire(&mine, numbers + 1, now_ns(), INT64_MAX));
		CHECK(signals_seen > 0);
		_exit(all_was_well());
	}
	WAIT_FOR(is_in(child, child, SYS_futex));
	EQUAL(0, signal_until_end_of(child, SIGUSR1));
	EQUAL(1000 + SIGKILL, kill_and_reap(holder));
	leave_it(&s);
	(void) munmap(numbers, 4096);
	end_object(&o);
}

/* Once a second it wants to be called again; and is then no less patient. */
static void a_long_wait_looks_around(void)
{
	struct object o = a_lock(0);
	struct pyipc_sync s = join_in(&o, 0);
	int *numbers = shared_numbers();
	pid_t holder = holder_of(&o, numbers);
	int64_t since = now_ns();
	struct timespec used[2];

	EQUAL(-EINTR, pyipc_lock_acquire(&s, numbers + 1, since, INT64_MAX));
	CHECK(now_ns() - since < 5 * (int64_t) PYIPC_SECOND);
	(void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used[0]);
	EQUAL(-EINTR, pyipc_lock_acquire(&s, numbers + 1, since, INT64_MAX));
	(void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used[1]);
	EQUAL(0, told(numbers + 1));
	CHECK((used[1].tv_sec - used[0].tv_sec) * PYIPC_SECOND + used[1].tv_nsec - used[0].tv_nsec < PYIPC_SECOND / 20);
	CHECK(now_ns() - since >= 2 * (int64_t) PYIPC_SECOND - 1000000);
	EQUAL(1000 + SIGKILL, kill_and_reap(holder));
	leave_it(&s);
	(void) munmap(numbers, 4096);
	end_object(&o);
}

/* What a peer may write there. */
static void nonsense_in_the_word(void)
{
	static const uint32_t words[] = { UINT32_MAX, GUARD_WAITERS, 0x7fffffff, 1023, 1024, 5 };
	struct object o = a_lock(0);
	struct pyipc_sync s = join_in(&o, 0);

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		memcpy(o.mapped + SYNC_LINES, &words[i], sizeof words[i]);
		EQUAL(0, acquire_by(&s, in_seconds(1)));
		EQUAL(0, pyipc_now_lock_release(&s));
	}
	leave_it(&s);
	end_object(&o);
}

static void what_is_no_lock_is_refused(void)
{
	struct object o = a_lock(0);
	struct pyipc_sync s = join_in(&o, 0), another = { .me = { .spins = 0 } };
	uint32_t major = 77;

	EQUAL(-EINVAL, pyipc_sync_open(&another, o.mapped, o.size, s.me.life, PYIPC_SEMAPHORE));
	EQUAL(-EINVAL, pyipc_sync_open(&another, o.mapped, 100, s.me.life, PYIPC_LOCK));
	memcpy(o.mapped + 8, &major, sizeof major);
	EQUAL(-EPROTONOSUPPORT, pyipc_sync_open(&another, o.mapped, o.size, s.me.life, PYIPC_LOCK));
	memset(o.mapped, 0, 8);
	EQUAL(-EINVAL, pyipc_sync_open(&another, o.mapped, o.size, s.me.life, PYIPC_LOCK));
	EQUAL(-EINVAL, pyipc_now_sync_size(PYIPC_RWLOCK + 1, 0));
	EQUAL(-EINVAL, pyipc_now_sync_size(PYIPC_BARRIER, 0));
	EQUAL(-EINVAL, pyipc_now_sync_size(PYIPC_BARRIER, PYIPC_MOST_PARTIES + 1));
	leave_it(&s);
	end_object(&o);
}

static void nobody_of_a_fork_until_it_joins(void)
{
	struct object o = a_lock(PYIPC_SYNC_RECURSIVE);
	struct pyipc_sync s = join_in(&o, 0);
	int32_t taken = -1;
	pid_t child;

	EQUAL(0, pyipc_now_lock_try(&s));
	child = fork_child();
	if (child == 0) {
		EQUAL(0, pyipc_member_forked(&s.me));
		EQUAL(-ENOTCONN, pyipc_now_lock_try(&s));
		EQUAL(-ENOTCONN, pyipc_lock_acquire(&s, &taken, 0, 0));
		EQUAL(0, pyipc_now_lock_depth(&s));
		EQUAL(0, pyipc_member_join(&s.me, s.me.roster, s.me.life));
		EQUAL(0, pyipc_now_lock_depth(&s));
		EQUAL(-EAGAIN, pyipc_now_lock_try(&s));
		EQUAL(-EPERM, pyipc_now_lock_release(&s));
		_exit(all_was_well());
	}
	EQUAL(0, end_of(child));
	EQUAL(1, pyipc_now_lock_depth(&s));
	leave_it(&s);
	end_object(&o);
}

int main(void)
{
	begin();
	RUN(one_has_it_at_a_time);
	RUN(a_recursive_one_counts);
	RUN(the_dead_are_in_nobodys_way);
	RUN(a_strict_one_tells_of_the_dead);
	RUN(a_signal_ends_a_wait);
	RUN(a_long_wait_looks_around);
	RUN(nonsense_in_the_word);
	RUN(what_is_no_lock_is_refused);
	RUN(nobody_of_a_fork_until_it_joins);
	return report();
}
