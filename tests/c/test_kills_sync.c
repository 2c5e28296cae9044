/* SPDX-License-Identifier: MIT
 *
 * test_kills_sync.c -- a process is killed at each instruction of what it does with a lock or its like,
 * and the others go on.
 *
 * How: stepping.h.  After each death, whoever lives must get what the dead one had, and what others sleep
 * for, soon: nobody may have to wait for long slices.
 */
#include "locks.h"

#ifndef __x86_64__
int main(void)
{
	printf("  not run: single steps: loads and stores that belong together cannot be stepped through here\n");
	return report();
}
#else

#include "stepping.h"

struct scene {
	struct object o;
	struct pyipc_sync ours;
	pid_t sleepers[2];
	int said[2];		/* what sleepers say, a letter each */
};

/* What the victim does, before and when it is killed; who else is there; and what must be so afterwards. */
struct deed {
	uint32_t kind, flags, value;
	void (*prepare)(struct scene *);
	void (*before)(struct pyipc_sync *);
	void (*call)(struct pyipc_sync *);
	void (*go_on)(struct scene *);
};

static int64_t soon(void)
{
	return now_ns() + SOON_NS;
}

/* As one who has waited for long: it looks around once a second, and is seen to sleep. */
static int64_t long_ago(void)
{
	return now_ns() - 10 * (int64_t) PYIPC_SECOND;
}

static int64_t late(void)
{
	return in_seconds(PATIENCE_S);
}

static int32_t taken;

/* ---- those who sleep ---- */

static pid_t a_sleeper(struct scene *s, char letter, void (*call)(struct pyipc_sync *))
{
	pid_t child = fork_child();

	if (child == 0) {
		struct pyipc_sync mine = join_in(&s->o, 0);

		call(&mine);
		(void) !write(s->said[1], &letter, 1);
		for (;;)
			(void) pause();
	}
	WAIT_FOR(is_in(child, child, SYS_futex));
	return child;
}

static char next_said(const struct scene *s)
{
	struct pollfd said = { .fd = s->said[0], .events = POLLIN };
	char letter = '-';

	if (poll(&said, 1, SOON_NS / 1000000) == 1)
		(void) !read(s->said[0], &letter, 1);
	return letter;
}

static int nothing_said(const struct scene *s)
{
	struct pollfd said = { .fd = s->said[0], .events = POLLIN };

	return poll(&said, 1, 0) == 0;
}

static void nobody(struct scene *s)
{
	(void) s;
}

static void nothing(struct pyipc_sync *s)
{
	(void) s;
}

/* Somebody has died and left this word, which is the first one of all kinds. */
static void the_dead_have_it(struct scene *s)
{
	struct pyipc_sync gone = join_in(&s->o, 0);

	memcpy(s->o.mapped + SYNC_LINES, &gone.me.id, sizeof gone.me.id);
	leave_it(&gone);
}

static void one_sleeps(struct scene *s, void (*call)(struct pyipc_sync *))
{
	s->sleepers[0] = a_sleeper(s, 'S', call);
}

/* ---- locks ---- */

static void take_lock(struct pyipc_sync *s)
{
	(void) pyipc_now_lock_try(s);
}

static void wait_for_lock(struct pyipc_sync *s)
{
	(void) AGAIN(pyipc_lock_acquire(s, &taken, long_ago(), late()));
}

static void sleep_for_lock(struct pyipc_sync *s)
{
	(void) acquire_by(s, late());
}

static void recover_lock(struct pyipc_sync *s)
{
	(void) AGAIN(pyipc_lock_recover(s, &taken, long_ago(), late()));
}

static void release_lock(struct pyipc_sync *s)
{
	(void) pyipc_now_lock_release(s);
}

static void take_and_release_lock(struct pyipc_sync *s)
{
	take_lock(s);
	release_lock(s);
}

static void take_and_release_twice(struct pyipc_sync *s)
{
	take_lock(s);
	take_lock(s);
	release_lock(s);
	release_lock(s);
}

static void we_have_the_lock(struct scene *s)
{
	EQUAL(0, pyipc_now_lock_try(&s->ours));
}

static void we_have_it_and_one_sleeps(struct scene *s)
{
	we_have_the_lock(s);
	one_sleeps(s, sleep_for_lock);
}

static void the_lock_can_be_had(struct scene *s)
{
	for (int i = 0; i < 2; i++) {
		EQUAL(0, acquire_by(&s->ours, soon()));
		EQUAL(0, pyipc_now_lock_release(&s->ours));
	}
	EQUAL(0, pyipc_now_lock_recovered(&s->ours));
}

static void we_let_go_and_it_can_be_had(struct scene *s)
{
	EQUAL(0, pyipc_now_lock_release(&s->ours));
	the_lock_can_be_had(s);
}

static void we_let_go_and_the_sleeper_has_it(struct scene *s)
{
	EQUAL(0, pyipc_now_lock_release(&s->ours));
	EQUAL('S', next_said(s));
}

static void the_sleeper_has_it(struct scene *s)
{
	EQUAL('S', next_said(s));
}

static void it_can_be_recovered(struct scene *s)
{
	EQUAL(0, AGAIN(pyipc_lock_recover(&s->ours, &taken, now_ns(), soon())));
	EQUAL(0, pyipc_now_lock_release(&s->ours));
	the_lock_can_be_had(s);
}

/* It sleeps for us, and the victim becomes the owner in our place. */
static void one_will_sleep_for_the_lock(struct scene *s)
{
	EQUAL(0, pyipc_now_lock_try(&s->ours));
	one_sleeps(s, sleep_for_lock);
}

static void take_over_from_us(struct pyipc_sync *s)
{
	uint32_t *word = &sync_of(s)->lock.word;

	__atomic_store_n(word, s->me.id | GUARD_WAITERS, __ATOMIC_SEQ_CST);
}

/* ---- semaphores ---- */

static void take_permit(struct pyipc_sync *s)
{
	(void) pyipc_now_semaphore_try(s);
}

static void wait_for_permit(struct pyipc_sync *s)
{
	(void) AGAIN(pyipc_semaphore_acquire(s, &taken, long_ago(), late()));
}

static void sleep_for_permit(struct pyipc_sync *s)
{
	(void) AGAIN(pyipc_semaphore_acquire(s, &taken, now_ns(), late()));
}

static void release_permit(struct pyipc_sync *s)
{
	(void) AGAIN(pyipc_semaphore_release(s, late()));
}

static void take_and_release_permit(struct pyipc_sync *s)
{
	take_permit(s);
	(void) pyipc_now_semaphore_release(s);
}

static void take_all_permits(struct pyipc_sync *s)
{
	while (pyipc_now_semaphore_try(s) == 0)
		;
}

static void one_sleeps_for_a_permit(struct scene *s)
{
	one_sleeps(s, sleep_for_permit);
}

static void two_sleep_for_a_permit(struct scene *s)
{
	for (int i = 0; i < 2; i++)
		s->sleepers[i] = a_sleeper(s, 'S', sleep_for_permit);
}

static int64_t value_of(struct scene *s)
{
	return AGAIN(pyipc_semaphore_value(&s->ours, soon()));
}

/* As many can be had as it says, and no more. */
static void so_many_can_be_had(struct scene *s, int64_t least, int64_t most)
{
	int64_t value = value_of(s);

	CHECK(value >= least && value <= most);
	for (int64_t i = 0; i < value; i++)
		EQUAL(0, AGAIN(pyipc_semaphore_acquire(&s->ours, &taken, now_ns(), soon())));
	EQUAL(-EAGAIN, pyipc_now_semaphore_try(&s->ours));
	for (int64_t i = 0; i < value; i++)
		EQUAL(0, AGAIN(pyipc_semaphore_release(&s->ours, soon())));
	EQUAL(value, value_of(s));
}

static void two_can_be_had(struct scene *s)
{
	so_many_can_be_had(s, 2, 2);
}

static void one_or_two_can_be_had(struct scene *s)
{
	so_many_can_be_had(s, 1, 2);
}

static void two_or_three_can_be_had(struct scene *s)
{
	so_many_can_be_had(s, 2, 3);
}

static void none_can_be_given(struct scene *s)
{
	EQUAL(-EOVERFLOW, AGAIN(pyipc_semaphore_release(&s->ours, soon())));
	two_can_be_had(s);
}

static void we_give_one_and_the_sleeper_has_it(struct scene *s)
{
	EQUAL(0, AGAIN(pyipc_semaphore_release(&s->ours, soon())));
	EQUAL('S', next_said(s));
}

static void both_sleepers_have_theirs(struct scene *s)
{
	EQUAL('S', next_said(s));
	EQUAL('S', next_said(s));
}

/* ---- events ---- */

static void set_event(struct pyipc_sync *s)
{
	(void) pyipc_now_event_set(s);
}

static void clear_event(struct pyipc_sync *s)
{
	(void) pyipc_now_event_clear(s);
}

static void wait_for_event(struct pyipc_sync *s)
{
	(void) AGAIN(pyipc_event_wait(s, 0, long_ago(), late()));
}

static void sleep_for_event(struct pyipc_sync *s)
{
	(void) AGAIN(pyipc_event_wait(s, 0, now_ns(), late()));
}

static void one_sleeps_for_the_event(struct scene *s)
{
	one_sleeps(s, sleep_for_event);
}

static void it_is_set_for_the_sleeper(struct scene *s)
{
	if (pyipc_now_event_count(&s->ours) == 0)
		EQUAL(1, pyipc_now_event_set(&s->ours));
	EQUAL('S', next_said(s));
}

static void it_can_be_set(struct scene *s)
{
	(void) pyipc_now_event_clear(&s->ours);
	EQUAL(0, pyipc_now_event_count(&s->ours) % 2);
	EQUAL(1, pyipc_now_event_set(&s->ours));
	EQUAL(1, pyipc_now_event_count(&s->ours) % 2);
}

/* ---- conditions ---- */

static int32_t place = -1;

static void be_one_who_waits(struct pyipc_sync *s)
{
	(void) AGAIN(pyipc_condition_enlist(s, &place, late()));
	(void) AGAIN(pyipc_condition_sleep(s, &place, long_ago(), late()));
}

static void be_one_who_waits_at_first(struct pyipc_sync *s)
{
	(void) AGAIN(pyipc_condition_enlist(s, &place, late()));
	(void) AGAIN(pyipc_condition_sleep(s, &place, now_ns(), late()));
}

static void be_there(struct pyipc_sync *s)
{
	(void) AGAIN(pyipc_condition_enlist(s, &place, late()));
}

static void go_away(struct pyipc_sync *s)
{
	(void) AGAIN(pyipc_condition_delist(s, &place, late()));
}

static void notify_one(struct pyipc_sync *s)
{
	(void) AGAIN(pyipc_condition_notify(s, 1, late()));
}

static void notify_all(struct pyipc_sync *s)
{
	(void) AGAIN(pyipc_condition_notify(s, INT32_MAX, late()));
}

static void one_waits(struct scene *s)
{
	one_sleeps(s, be_one_who_waits_at_first);
}

static void two_wait(struct scene *s)
{
	for (int i = 0; i < 2; i++)
		s->sleepers[i] = a_sleeper(s, "ST"[i], be_one_who_waits_at_first);
}

/* It reaches the one who lives, and nobody else. */
static void a_notify_reaches_the_sleeper(struct scene *s)
{
	CHECK(nothing_said(s));
	EQUAL(1, AGAIN(pyipc_condition_notify(&s->ours, 1, soon())));
	EQUAL('S', next_said(s));
	EQUAL(0, AGAIN(pyipc_condition_notify(&s->ours, 5, soon())));
}

/* One of two, or none, was reached. */
static void the_rest_can_be_notified(struct scene *s)
{
	int64_t rest = AGAIN(pyipc_condition_notify(&s->ours, 5, soon()));

	CHECK(rest >= 0 && rest <= 2);
	CHECK(next_said(s) != '-' && next_said(s) != '-');
	EQUAL(0, AGAIN(pyipc_condition_notify(&s->ours, 5, soon())));
}

static void we_can_wait(struct scene *s)
{
	EQUAL(0, AGAIN(pyipc_condition_enlist(&s->ours, &place, soon())));
	EQUAL(1, AGAIN(pyipc_condition_notify(&s->ours, 5, soon())));
	EQUAL(0, AGAIN(pyipc_condition_sleep(&s->ours, &place, now_ns(), soon())));
	EQUAL(-1, place);
}

/* ---- barriers ---- */

static void come_acting(struct pyipc_sync *s, int acts, int64_t since)
{
	struct pyipc_arrival arrival;

	if (AGAIN(pyipc_barrier_arrive(s, acts, &arrival, since, late())) < 0)
		return;
	if (arrival.acts)
		(void) AGAIN(pyipc_barrier_acted(s, arrival.generation, 1, late()));
	else if (!arrival.passed)
		(void) AGAIN(pyipc_barrier_wait(s, arrival.generation, since, late()));
}

static void come(struct pyipc_sync *s)
{
	come_acting(s, 0, long_ago());
}

static void come_at_first(struct pyipc_sync *s)
{
	come_acting(s, 0, now_ns());
}

static void come_and_act(struct pyipc_sync *s)
{
	come_acting(s, 1, long_ago());
}

static void abort_it(struct pyipc_sync *s)
{
	(void) AGAIN(pyipc_barrier_abort(s, late()));
}

static void one_has_come(struct scene *s)
{
	one_sleeps(s, come_at_first);
}

static void come_as_the_last(struct scene *s)
{
	struct pyipc_arrival arrival = { .place = -1 };

	EQUAL(0, AGAIN(pyipc_barrier_arrive(&s->ours, 0, &arrival, now_ns(), soon())));
	EQUAL(1, arrival.passed);
}

/* With the victim, or else with us. */
static void the_sleeper_passes(struct scene *s)
{
	if (s->ours.value == 2 && AGAIN(pyipc_barrier_waiting(&s->ours, soon())) == 1)
		come_as_the_last(s);
	EQUAL('S', next_said(s));
}

/* With the victim, or it sees that it died at its action, or else with us. */
static void the_sleeper_goes_on(struct scene *s)
{
	if (load(&sync_of(&s->ours)->barrier.actor) == 0 && !pyipc_now_barrier_broken(&s->ours))
		the_sleeper_passes(s);
	else
		EQUAL('S', next_said(s));
}

/* All it takes is one sleeper, who has come before or comes now. */
static void it_takes_two_of_the_living(struct scene *s)
{
	one_has_come(s);
	WAIT_FOR(AGAIN(pyipc_barrier_waiting(&s->ours, soon())) == 1);	/* it may sleep for the guard of the dead */
	come_as_the_last(s);
	EQUAL('S', next_said(s));
}

static void it_can_be_made_as_new(struct scene *s)
{
	EQUAL(0, AGAIN(pyipc_barrier_abort(&s->ours, soon())));
	EQUAL('S', next_said(s));
	EQUAL(1, pyipc_now_barrier_broken(&s->ours));
	EQUAL(0, AGAIN(pyipc_barrier_reset(&s->ours, soon())));
	EQUAL(0, pyipc_now_barrier_broken(&s->ours));
}

/* ---- locks to read and write ---- */

static void take_rw(struct pyipc_sync *s, int write, int64_t since)
{
	(void) AGAIN(pyipc_rwlock_acquire(s, write, &taken, since, late()));
}

static void wait_to_read(struct pyipc_sync *s)
{
	take_rw(s, 0, long_ago());
}

static void wait_to_write(struct pyipc_sync *s)
{
	take_rw(s, 1, long_ago());
}

static void sleep_to_read(struct pyipc_sync *s)
{
	take_rw(s, 0, now_ns());
}

static void sleep_to_write(struct pyipc_sync *s)
{
	take_rw(s, 1, now_ns());
}

static void read_no_more(struct pyipc_sync *s)
{
	(void) AGAIN(pyipc_rwlock_release(s, 0, late()));
}

static void write_no_more(struct pyipc_sync *s)
{
	(void) AGAIN(pyipc_rwlock_release(s, 1, late()));
}

static void read_a_while(struct pyipc_sync *s)
{
	wait_to_read(s);
	read_no_more(s);
}

static void write_a_while(struct pyipc_sync *s)
{
	wait_to_write(s);
	write_no_more(s);
}

static void want_to_write_no_more(struct pyipc_sync *s)
{
	(void) AGAIN(pyipc_rwlock_acquire(s, 1, &taken, long_ago(), now_ns() + 1000000));
}

static void the_dead_write(struct scene *s)
{
	struct pyipc_sync gone = join_in(&s->o, 0);

	EQUAL(0, pyipc_rwlock_acquire(&gone, 1, &taken, now_ns(), 0));
	leave_it(&gone);
}

static void we_read(struct scene *s)
{
	EQUAL(0, pyipc_rwlock_acquire(&s->ours, 0, &taken, now_ns(), 0));
}

static void we_read_and_one_wants_to_write(struct scene *s)
{
	we_read(s);
	one_sleeps(s, sleep_to_write);
}

static void one_wants_to_read(struct scene *s)
{
	one_sleeps(s, sleep_to_read);
}

static void one_wants_to_write(struct scene *s)
{
	one_sleeps(s, sleep_to_write);
}

static void it_can_be_read_and_written(struct scene *s)
{
	for (int write = 1; write >= 0; write--) {
		EQUAL(0, AGAIN(pyipc_rwlock_acquire(&s->ours, write, &taken, now_ns(), soon())));
		EQUAL(0, AGAIN(pyipc_rwlock_release(&s->ours, write, soon())));
	}
}

/* That word goes only to one who reads. */
static void the_word_of_a_dead_writer_is_not_lost(struct scene *s)
{
	const struct sync *y = sync_of(&s->ours);
	int read = 0;

	for (int slot = 0; slot < 4; slot++)
		read += (uint32_t) load_long(&y->holdings.of[slot]) != 0;
	CHECK(load(&y->rwlock.writer) != 0 || read == 1);
	it_can_be_read_and_written(s);
}

static void we_read_no_more_and_it_can_be_written(struct scene *s)
{
	EQUAL(0, AGAIN(pyipc_rwlock_release(&s->ours, 0, soon())));
	it_can_be_read_and_written(s);
}

static void we_read_no_more_and_the_sleeper_has_it(struct scene *s)
{
	EQUAL(0, AGAIN(pyipc_rwlock_release(&s->ours, 0, soon())));
	EQUAL('S', next_said(s));
}

/* ---- all of it ---- */

static pid_t victim_of(const struct scene *s, const struct deed *deed, int *prepared)
{
	pid_t victim = fork_victim();

	if (victim == 0) {
		struct pyipc_sync mine = join_in(&s->o, 2);

		deed->before(&mine);
		tell(prepared, 1);
		while (told(prepared) == 1)
			(void) sched_yield();
		step_me();
		deed->call(&mine);
		was_stepped();
	}
	return victim;
}

/* Who sleeps does so for what the victim has: so it comes after that. */
static pid_t begin_scene(struct scene *s, const struct deed *deed, int *prepared)
{
	pid_t victim;

	*s = (struct scene){ .o = make_object(deed->kind, deed->flags, deed->value) };
	pipe_ends(s->said);
	s->ours = join_in(&s->o, 0);
	tell(prepared, 0);
	if (deed->before == nothing || deed->before == take_over_from_us)
		deed->prepare(s);
	victim = victim_of(s, deed, prepared);
	while (told(prepared) == 0)
		(void) sched_yield();
	if (deed->before != nothing && deed->before != take_over_from_us)
		deed->prepare(s);
	tell(prepared, 2);
	see_it_stop(victim);
	return victim;
}

static void end_scene(struct scene *s)
{
	for (int i = 0; i < 2; i++)
		if (s->sleepers[i])
			(void) kill_and_reap(s->sleepers[i]);
	leave_it(&s->ours);
	close_both(s->said);
	end_object(&s->o);
}

static int deaths;

static void killed_at_each_instruction(const char *what, const struct deed *deed)
{
	struct scene s;
	int *prepared = shared_numbers();
	int steps, reached = 0, recovered = 0;
	pid_t victim;

	(void) alarm(PATIENCE_S);
	victim = begin_scene(&s, deed, prepared);
	CHECK(trace(victim, &steps) != STOPPED);
	end_it(victim);
	end_scene(&s);
	for (int at = 0, there; at < steps && check_ok == 1; at = place_after(at, there)) {
		victim = begin_scene(&s, deed, prepared);
		there = run_to(victim, at);
		reached += there;
		end_it(victim);
		deed->go_on(&s);
		recovered += s.ours.recoveries > 0;
		end_scene(&s);
		if (check_ok != 1)
			printf("  killed after %d instructions\n", at + 1);
	}
	CHECK(reached > steps * 3 / 4);	/* who sleeps looks around, and is in the way or not */
	deaths += reached;
	(void) munmap(prepared, 4096);
	printf("  %s: killed at %d of %d instructions; we took over %d times\n", what, reached, steps, recovered);
}

#define KILLED(name, ...) static void name(void) \
{ \
	static const struct deed deed = { __VA_ARGS__ }; \
	killed_at_each_instruction(#name, &deed); \
}

#define LOCK PYIPC_LOCK, 0, 0
KILLED(lock_taking_and_releasing, LOCK, nobody, nothing, take_and_release_lock, the_lock_can_be_had)
KILLED(lock_waiting, LOCK, we_have_the_lock, nothing, wait_for_lock, we_let_go_and_it_can_be_had)
KILLED(lock_waiting_beside_another, LOCK, we_have_it_and_one_sleeps, nothing, wait_for_lock,
       we_let_go_and_the_sleeper_has_it)
KILLED(lock_releasing_to_one_who_sleeps, LOCK, one_will_sleep_for_the_lock, take_over_from_us, release_lock,
       the_sleeper_has_it)
KILLED(lock_taking_from_the_dead, LOCK, the_dead_have_it, nothing, take_lock, the_lock_can_be_had)
KILLED(lock_waiting_for_the_dead, LOCK, the_dead_have_it, nothing, wait_for_lock, the_lock_can_be_had)
KILLED(lock_recovering, PYIPC_LOCK, PYIPC_SYNC_STRICT, 0, the_dead_have_it, nothing, recover_lock,
       it_can_be_recovered)
KILLED(lock_again_and_again, PYIPC_LOCK, PYIPC_SYNC_RECURSIVE, 0, nobody, nothing, take_and_release_twice,
       the_lock_can_be_had)

#define SEMAPHORE PYIPC_SEMAPHORE, PYIPC_SYNC_UNDO
KILLED(semaphore_taking_and_releasing, SEMAPHORE, 2, nobody, nothing, take_and_release_permit, two_can_be_had)
KILLED(semaphore_bounded, PYIPC_SEMAPHORE, PYIPC_SYNC_UNDO | PYIPC_SYNC_BOUNDED, 2, nobody, nothing,
       take_and_release_permit, none_can_be_given)
KILLED(semaphore_releasing, SEMAPHORE, 2, nobody, take_permit, release_permit, two_can_be_had)
KILLED(semaphore_giving, SEMAPHORE, 2, nobody, nothing, release_permit, two_or_three_can_be_had)
KILLED(semaphore_without_undo, PYIPC_SEMAPHORE, 0, 2, nobody, nothing, take_permit, one_or_two_can_be_had)
KILLED(semaphore_giving_without_undo, PYIPC_SEMAPHORE, 0, 2, nobody, nothing, release_permit,
       two_or_three_can_be_had)
KILLED(semaphore_of_the_dead, SEMAPHORE, 2, the_dead_have_it, nothing, wait_for_permit, two_can_be_had)
KILLED(semaphore_waiting_beside_another, SEMAPHORE, 0, one_sleeps_for_a_permit, nothing, wait_for_permit,
       we_give_one_and_the_sleeper_has_it)
KILLED(semaphore_releasing_to_those_who_sleep, SEMAPHORE, 2, two_sleep_for_a_permit, take_all_permits,
       release_permit, both_sleepers_have_theirs)

#define EVENT PYIPC_EVENT, 0, 0
KILLED(event_setting, EVENT, one_sleeps_for_the_event, nothing, set_event, it_is_set_for_the_sleeper)
KILLED(event_clearing, EVENT, nobody, set_event, clear_event, it_can_be_set)
KILLED(event_waiting, EVENT, one_sleeps_for_the_event, nothing, wait_for_event, it_is_set_for_the_sleeper)

#define CONDITION PYIPC_CONDITION, 0, 0
KILLED(condition_waiting, CONDITION, one_waits, nothing, be_one_who_waits, a_notify_reaches_the_sleeper)
KILLED(condition_waiting_longer, CONDITION, one_waits, be_there, go_away, a_notify_reaches_the_sleeper)
KILLED(condition_notifying_one, CONDITION, two_wait, nothing, notify_one, the_rest_can_be_notified)
KILLED(condition_notifying_all, CONDITION, two_wait, nothing, notify_all, the_rest_can_be_notified)
KILLED(condition_of_the_dead, CONDITION, the_dead_have_it, nothing, be_there, we_can_wait)

#define BARRIER PYIPC_BARRIER, 0, 2
KILLED(barrier_coming_first, BARRIER, nobody, nothing, come, it_takes_two_of_the_living)
KILLED(barrier_coming_last, BARRIER, one_has_come, nothing, come, the_sleeper_passes)
KILLED(barrier_acting, BARRIER, one_has_come, nothing, come_and_act, the_sleeper_goes_on)
KILLED(barrier_aborting, BARRIER, one_has_come, nothing, abort_it, it_can_be_made_as_new)

#define RWLOCK PYIPC_RWLOCK, 0, 0
KILLED(rwlock_reading, RWLOCK, nobody, nothing, read_a_while, it_can_be_read_and_written)
KILLED(rwlock_writing, RWLOCK, nobody, nothing, write_a_while, it_can_be_read_and_written)
KILLED(rwlock_waiting_to_write, RWLOCK, we_read, nothing, wait_to_write, we_read_no_more_and_it_can_be_written)
KILLED(rwlock_wanting_no_more, RWLOCK, we_read, nothing, want_to_write_no_more,
       we_read_no_more_and_it_can_be_written)
KILLED(rwlock_waiting_beside_another, RWLOCK, we_read_and_one_wants_to_write, nothing, wait_to_write,
       we_read_no_more_and_the_sleeper_has_it)
KILLED(rwlock_written_for_a_reader, RWLOCK, one_wants_to_read, wait_to_write, write_no_more, the_sleeper_has_it)
KILLED(rwlock_read_for_a_writer, RWLOCK, one_wants_to_write, wait_to_read, read_no_more, the_sleeper_has_it)
KILLED(rwlock_of_a_dead_writer, RWLOCK, the_dead_write, nothing, wait_to_read,
       the_word_of_a_dead_writer_is_not_lost)
KILLED(rwlock_of_the_dead, RWLOCK, the_dead_have_it, nothing, wait_to_write, it_can_be_read_and_written)

int main(void)
{
	begin();
	stay_on_one_processor();
	RUN(lock_taking_and_releasing);
	RUN(lock_waiting);
	RUN(lock_waiting_beside_another);
	RUN(lock_releasing_to_one_who_sleeps);
	RUN(lock_taking_from_the_dead);
	RUN(lock_waiting_for_the_dead);
	RUN(lock_recovering);
	RUN(lock_again_and_again);
	RUN(semaphore_taking_and_releasing);
	RUN(semaphore_bounded);
	RUN(semaphore_releasing);
	RUN(semaphore_giving);
	RUN(semaphore_without_undo);
	RUN(semaphore_giving_without_undo);
	RUN(semaphore_of_the_dead);
	RUN(semaphore_waiting_beside_another);
	RUN(semaphore_releasing_to_those_who_sleep);
	RUN(event_setting);
	RUN(event_clearing);
	RUN(event_waiting);
	RUN(condition_waiting);
	RUN(condition_waiting_longer);
	RUN(condition_notifying_one);
	RUN(condition_notifying_all);
	RUN(condition_of_the_dead);
	RUN(barrier_coming_first);
	RUN(barrier_coming_last);
	RUN(barrier_acting);
	RUN(barrier_aborting);
	RUN(rwlock_reading);
	RUN(rwlock_writing);
	RUN(rwlock_waiting_to_write);
	RUN(rwlock_wanting_no_more);
	RUN(rwlock_waiting_beside_another);
	RUN(rwlock_written_for_a_reader);
	RUN(rwlock_read_for_a_writer);
	RUN(rwlock_of_a_dead_writer);
	RUN(rwlock_of_the_dead);
	printf("  %d deaths\n", deaths);
	return report();
}

#endif
