/* SPDX-License-Identifier: MIT
 *
 * test_sync_threads.c -- threads that share locks and their like, for ThreadSanitizer: each store that
 * another thread reads is ordered before that by what the files of csrc/ say orders it.
 */
#include "locks.h"

#include <pthread.h>

enum { THREADS = 4, EACH = 3000 };

struct part {
	struct pyipc_sync *s, *lock;
	uint32_t *number;	/* not atomic: what is tested protects it */
	int who, wrong;
};

/* With a handle each, or all with one. */
static void in_threads(struct object *o, int handles, int spins, void *(*work)(void *), struct part common)
{
	struct pyipc_sync s[THREADS];
	struct part parts[THREADS];
	pthread_t threads[THREADS];

	for (int i = 0; i < handles; i++)
		s[i] = join_in(o, spins);
	for (int i = 0; i < THREADS; i++) {
		parts[i] = common;
		parts[i].s = &s[i % handles];
		parts[i].who = i;
		EQUAL(0, pthread_create(&threads[i], NULL, work, &parts[i]));
	}
	for (int i = 0; i < THREADS; i++) {
		EQUAL(0, pthread_join(threads[i], NULL));
		EQUAL(0, parts[i].wrong);
	}
	for (int i = 0; i < handles; i++)
		leave_it(&s[i]);
	end_object(o);
}

static void *adds_under_a_lock(void *argument)
{
	struct part *p = argument;

	for (int i = 0; i < EACH; i++) {
		(void) acquire_by(p->s, INT64_MAX);
		++*p->number;
		(void) pyipc_now_lock_release(p->s);
	}
	return NULL;
}

static void *adds_under_a_semaphore(void *argument)
{
	struct part *p = argument;
	int32_t taken;

	for (int i = 0; i < EACH; i++) {
		if (pyipc_now_semaphore_try(p->s) < 0)
			(void) AGAIN(pyipc_semaphore_acquire(p->s, &taken, now_ns(), INT64_MAX));
		++*p->number;
		if (pyipc_now_semaphore_release(p->s) < 0)
			(void) AGAIN(pyipc_semaphore_release(p->s, INT64_MAX));
	}
	return NULL;
}

static void *adds_or_reads(void *argument)
{
	struct part *p = argument;
	uint32_t last = 0;
	int32_t taken;

	for (int i = 0; i < EACH; i++) {
		int write = (i + p->who) % 4 == 0;

		(void) AGAIN(pyipc_rwlock_acquire(p->s, write, &taken, now_ns(), INT64_MAX));
		if (write)
			++*p->number;
		else if (*p->number < last)
			p->wrong++;
		else
			last = *p->number;
		(void) AGAIN(pyipc_rwlock_release(p->s, write, INT64_MAX));
	}
	return NULL;
}

/* Each in turn adds to it, between two barriers. */
static void *adds_in_turn(void *argument)
{
	struct part *p = argument;
	struct pyipc_arrival arrival;

	for (int i = 0; i < EACH / 10; i++) {
		if (i % THREADS == p->who)
			++*p->number;
		(void) AGAIN(pyipc_barrier_arrive(p->s, i % 7 == 0, &arrival, now_ns(), INT64_MAX));
		if (arrival.acts)
			(void) AGAIN(pyipc_barrier_acted(p->s, arrival.generation, 1, INT64_MAX));
		else if (!arrival.passed)
			(void) AGAIN(pyipc_barrier_wait(p->s, arrival.generation, now_ns(), INT64_MAX));
	}
	return NULL;
}

/* Each waits until the number is its own, modulo how many they are. */
static void *adds_when_told(void *argument)
{
	struct part *p = argument;
	int32_t place;

	(void) acquire_by(p->lock, INT64_MAX);
	for (int i = 0; i < EACH / 30; i++) {
		while (*p->number % THREADS != (uint32_t) p->who) {
			(void) AGAIN(pyipc_condition_enlist(p->s, &place, INT64_MAX));
			(void) pyipc_now_lock_release(p->lock);
			(void) AGAIN(pyipc_condition_sleep(p->s, &place, now_ns(), INT64_MAX));
			(void) acquire_by(p->lock, INT64_MAX);
		}
		++*p->number;
		(void) AGAIN(pyipc_condition_notify(p->s, INT32_MAX, INT64_MAX));
	}
	(void) pyipc_now_lock_release(p->lock);
	return NULL;
}

static void *sets_or_waits(void *argument)
{
	struct part *p = argument;

	if (p->who == 0) {
		*p->number = 7;
		(void) pyipc_now_event_set(p->s);
		return NULL;
	}
	if (pyipc_now_event_count(p->s) % 2 == 0)
		(void) AGAIN(pyipc_event_wait(p->s, 0, now_ns(), INT64_MAX));
	p->wrong = *p->number != 7;
	return NULL;
}

static void with(uint32_t kind, uint32_t flags, uint32_t value, void *(*work)(void *), uint32_t expected)
{
	for (int way = 0; way < 4; way++) {
		struct object o = make_object(kind, flags, value);
		uint32_t number = 0;

		in_threads(&o, way % 2 ? 1 : THREADS, way / 2 ? 100 : 0, work, (struct part){ .number = &number });
		EQUAL(expected, number);
	}
}

static void a_lock(void)
{
	with(PYIPC_LOCK, 0, 0, adds_under_a_lock, THREADS * EACH);
}

static void a_recursive_lock(void)
{
	with(PYIPC_LOCK, PYIPC_SYNC_RECURSIVE, 0, adds_under_a_lock, THREADS * EACH);
}

static void a_semaphore(void)
{
	with(PYIPC_SEMAPHORE, PYIPC_SYNC_UNDO, 1, adds_under_a_semaphore, THREADS * EACH);
}

static void a_semaphore_without_undo(void)
{
	with(PYIPC_SEMAPHORE, 0, 1, adds_under_a_semaphore, THREADS * EACH);
}

static void a_lock_to_read_and_write(void)
{
	with(PYIPC_RWLOCK, 0, 0, adds_or_reads, THREADS * EACH / 4);
}

static void a_barrier(void)
{
	with(PYIPC_BARRIER, 0, THREADS, adds_in_turn, EACH / 10);
}

static void an_event(void)
{
	with(PYIPC_EVENT, 0, 0, sets_or_waits, 7);
}

static void a_condition(void)
{
	struct object o = make_object(PYIPC_CONDITION, 0, 0), of_lock = make_object(PYIPC_LOCK, 0, 0);
	struct pyipc_sync lock = join_in(&of_lock, 0);
	uint32_t number = 0;

	in_threads(&o, 1, 0, adds_when_told, (struct part){ .number = &number, .lock = &lock });
	EQUAL(THREADS * (EACH / 30), number);
	leave_it(&lock);
	end_object(&of_lock);
}

int main(void)
{
	begin();
	RUN(a_lock);
	RUN(a_recursive_lock);
	RUN(a_semaphore);
	RUN(a_semaphore_without_undo);
	RUN(a_lock_to_read_and_write);
	RUN(a_barrier);
	RUN(an_event);
	RUN(a_condition);
	return report();
}
