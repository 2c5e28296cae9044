/* SPDX-License-Identifier: MIT
 *
 * test_channel_threads.c -- threads that share a channel, for ThreadSanitizer: each store that another
 * thread reads is ordered before that by what channel.c says orders it.
 */
#include "channels.h"

#include <pthread.h>

enum { THREADS = 3, EACH = 5000 };

struct part {
	struct pyipc_channel *c;
	int who, sum;
};

static void *sends_numbers(void *argument)
{
	struct part *p = argument;
	char text[SLOT_SIZE];

	for (int i = 1; i <= EACH; i++) {
		(void) snprintf(text, sizeof text, "%d", i);
		if (send_by(p->c, text, INT64_MAX) > 0)
			p->sum += i;
	}
	return NULL;
}

static void *adds_numbers(void *argument)
{
	struct part *p = argument;
	char text[SLOT_SIZE + 1];

	for (int i = 0; i < EACH; i++)
		if (receive_by(p->c, text, INT64_MAX) > 0)
			p->sum += (int) strtol(text, NULL, 10);
	return NULL;
}

/* With a handle each, or all with one. */
static void all_that_is_sent_is_received(int handles, uint32_t slots, int spins)
{
	struct world w;
	struct pyipc_channel c[2 * THREADS];
	struct part parts[2 * THREADS];
	pthread_t threads[2 * THREADS];
	int sums[2] = { 0, 0 };

	make_world(&w, slots);
	for (int i = 0; i < handles; i++)
		c[i] = take_part(&w, spins);
	for (int i = 0; i < 2 * THREADS; i++) {
		parts[i] = (struct part){ .c = &c[i % handles] };
		EQUAL(0, pthread_create(&threads[i], NULL, i % 2 ? adds_numbers : sends_numbers, &parts[i]));
	}
	for (int i = 0; i < 2 * THREADS; i++) {
		EQUAL(0, pthread_join(threads[i], NULL));
		sums[i % 2] += parts[i].sum;
	}
	EQUAL(THREADS * (EACH * (EACH + 1) / 2), sums[0]);
	EQUAL(sums[0], sums[1]);
	for (int i = 0; i < handles; i++)
		leave(&c[i]);
	end_world(&w);
}

static void threads_with_a_handle_each(void)
{
	all_that_is_sent_is_received(2 * THREADS, 4, 0);
	all_that_is_sent_is_received(2 * THREADS, 64, 100);
}

static void threads_with_one_handle(void)
{
	all_that_is_sent_is_received(1, 4, 0);
	all_that_is_sent_is_received(1, 64, 100);
}

int main(void)
{
	begin();
	RUN(threads_with_a_handle_each);
	RUN(threads_with_one_handle);
	return report();
}
