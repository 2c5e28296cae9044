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
	int who, sum, failed;
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

/* ---- in the arena ---- */

enum { LONG = 300, ROOM = 4 * 384 };	/* so that memory is used again, and waited for */

static void *sends_long_ones(void *argument)
{
	struct part *p = argument;
	char data[LONG];

	for (int i = 1; i <= EACH; i++) {
		struct pyipc_loan loan;

		memset(data, i, sizeof data);
		memcpy(data, &i, sizeof i);
		if (i % 3 == 0) {
			uint32_t size = 8;

			p->failed |= UNTIL_DONE(pyipc_channel_send(p->c, data, &size, 1, INT64_MAX)) != 1;
		} else if (i % 3 == 1) {
			p->failed |= send_long_by(p->c, data, LONG, INT64_MAX) != 0;
		} else {
			if (reserve_by(p->c, LONG, INT64_MAX, &loan) == 0)
				memcpy(p->c->memory + loan.at, data, LONG);
			p->failed |= commit_by(p->c, &loan, LONG, INT64_MAX) != 0;
		}
		p->sum += i;
	}
	return NULL;
}

/* Some are returned first. */
static void *takes_them(void *argument)
{
	struct part *p = argument;

	for (int i = 0; i < EACH;) {
		struct pyipc_loan loan;
		const char *data;
		int number;

		if (take_by(p->c, i % 2, INT64_MAX, &loan) < 0) {
			p->failed = 1;
			break;
		}
		data = p->c->memory + loan.at;
		memcpy(&number, data, sizeof number);
		p->failed |= data[loan.size - 1] != (char) number;
		p->failed |= loan.size != (number % 3 ? LONG : 8);
		if (i % 2 && number % 64 == 0 && !loan.redelivered) {
			p->failed |= pyipc_channel_return(p->c, loan.extent) != 0;
			continue;
		}
		p->failed |= release(p->c, &loan) != 0;
		p->sum += number;
		i++;
	}
	return NULL;
}

static void what_lies_in_the_arena(int handles)
{
	struct world w;
	struct pyipc_channel c[2 * THREADS];
	struct part parts[2 * THREADS];
	pthread_t threads[2 * THREADS];
	int sums[2] = { 0, 0 };

	make_world_with(&w, 8, ROOM);
	for (int i = 0; i < handles; i++) {
		c[i] = take_part(&w, 0);
		c[i].arena_size = ROOM;		/* without what makes it whole pages */
	}
	for (int i = 0; i < 2 * THREADS; i++) {
		parts[i] = (struct part){ .c = &c[i % handles] };
		EQUAL(0, pthread_create(&threads[i], NULL, i % 2 ? takes_them : sends_long_ones, &parts[i]));
	}
	for (int i = 0; i < 2 * THREADS; i++) {
		EQUAL(0, pthread_join(threads[i], NULL));
		EQUAL(0, parts[i].failed);
		sums[i % 2] += parts[i].sum;
	}
	EQUAL(THREADS * (EACH * (EACH + 1) / 2), sums[0]);
	EQUAL(sums[0], sums[1]);
	EQUAL(0, extents_in_use(&w));
	for (int i = 0; i < handles; i++)
		leave(&c[i]);
	end_world(&w);
}

static void threads_with_loans(void)
{
	what_lies_in_the_arena(2 * THREADS);
}

static void threads_with_loans_of_one_handle(void)
{
	what_lies_in_the_arena(1);
}

int main(void)
{
	begin();
	RUN(threads_with_a_handle_each);
	RUN(threads_with_one_handle);
	RUN(threads_with_loans);
	RUN(threads_with_loans_of_one_handle);
	return report();
}
