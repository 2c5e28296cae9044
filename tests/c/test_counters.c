/* SPDX-License-Identifier: MIT
 *
 * test_counters.c -- nothing that is counted is lost or counted twice, whoever counts and dies.
 */
#include "facts.h"

#include <pthread.h>

enum { THREADS = 4, ROUNDS = 20000, COUNT = 3, WORDS = COUNT * PYIPC_COUNTER_STRIDE / 8 };

static _Alignas(128) int64_t counters[WORDS];

static void each_call_does_what_it_says(void)
{
	int64_t words[WORDS] = { 0 };

	EQUAL(5, pyipc_now_counter_add(words, 1, 5));
	EQUAL(-2, pyipc_now_counter_add(words, 1, -7));
	EQUAL(-2, pyipc_now_counter_get(words, 1));
	EQUAL(-2, pyipc_now_counter_exchange(words, 1, INT64_MAX));
	EQUAL(INT64_MIN, pyipc_now_counter_add(words, 1, 1));
	EQUAL(0, pyipc_now_counter_compare_exchange(words, 1, 3, 4));
	EQUAL(1, pyipc_now_counter_compare_exchange(words, 1, INT64_MIN, 4));
	EQUAL(4, pyipc_now_counter_get(words, 1));
	for (int i = 0; i < WORDS; i++)
		EQUAL(i == PYIPC_COUNTER_STRIDE / 8 ? 4 : 0, words[i]);
}

static void *count(void *unused)
{
	(void) unused;
	for (int i = 0; i < ROUNDS; i++) {
		int64_t seen;

		(void) pyipc_now_counter_add(counters, 0, 1);
		do
			seen = pyipc_now_counter_get(counters, 1);
		while (!pyipc_now_counter_compare_exchange(counters, 1, seen, seen - 1));
		(void) pyipc_now_counter_exchange(counters, 2, i);
	}
	return NULL;
}

static void threads_count_each_once(void)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		EQUAL(0, pthread_create(&threads[i], NULL, count, NULL));
	for (int i = 0; i < THREADS; i++)
		EQUAL(0, pthread_join(threads[i], NULL));
	EQUAL(THREADS * ROUNDS, pyipc_now_counter_get(counters, 0));
	EQUAL(-THREADS * ROUNDS, pyipc_now_counter_get(counters, 1));
	EQUAL(ROUNDS - 1, pyipc_now_counter_get(counters, 2));
}

/* What was published before a count is seen by whoever sees the count. */
static int64_t message;

static void *publish(void *unused)
{
	(void) unused;
	message = 42;
	(void) pyipc_now_counter_add(counters, 0, 1);
	return NULL;
}

static void a_count_tells_that_something_is_ready(void)
{
	int64_t before = pyipc_now_counter_get(counters, 0);
	pthread_t thread;

	EQUAL(0, pthread_create(&thread, NULL, publish, NULL));
	WAIT_FOR(pyipc_now_counter_get(counters, 0) == before + 1);
	EQUAL(42, message);	/* ThreadSanitizer sees to the rest */
	EQUAL(0, pthread_join(thread, NULL));
}

static void who_is_killed_has_counted_or_has_not(void)
{
	int64_t *words = (int64_t *) (void *) shared_numbers();
	int64_t added = 0;

	for (int i = 0; i < 20; i++) {
		pid_t child = fork_child();

		if (child == 0)
			for (;;)
				(void) pyipc_now_counter_add(words, 0, 1 << 20);
		WAIT_FOR(pyipc_now_counter_get(words, 0) > added);
		EQUAL(1000 + SIGKILL, kill_and_reap(child));
		added = pyipc_now_counter_get(words, 0);
		EQUAL(0, added % (1 << 20));
	}
	EQUAL(0, munmap(words, 4096));
}

int main(void)
{
	begin();
	RUN(each_call_does_what_it_says);
	RUN(threads_count_each_once);
	RUN(a_count_tells_that_something_is_ready);
	RUN(who_is_killed_has_counted_or_has_not);
	return report();
}
