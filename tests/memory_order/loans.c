/* SPDX-License-Identifier: MIT
 *
 * loans.c -- processes send a message each through the arena, in which there is memory for one; one keeps
 * what it takes until it has looked at it; and one of them may die: what is sent comes whole, and again if who
 * kept it has died, and its memory is used again only when nobody looks at it any more.
 */
#define WITH_ARENA
#include "core.h"

#ifndef SENDERS
#define SENDERS 1
#endif
#ifndef KEPT
#define KEPT 1
#endif

#ifdef RESERVES
enum { RECEIVER = SENDERS, RESERVER, LAST };
#else
enum { RECEIVER = SENDERS, LAST };	/* who receives, and who looks at what is left */
#endif

static int sent[PROCESSES], seen_from[PROCESSES];	/* from whom */

static void *sends_one(void *argument)
{
	int who = (int) (intptr_t) argument;
	struct pyipc_channel *c = take_part(who);
	char letter = (char) ('a' + who);

	sent[who] = pyipc_channel_send_long(c, &letter, 1, FAR) == 0 && !am_dead;
	return NULL;
}

static int take_one(struct pyipc_channel *c, int kept)
{
	struct pyipc_loan loan;
	int from;

	loan.extent = EXTENTS;
	loan.redelivered = 0;
	if (pyipc_channel_take(c, kept, FAR, &loan) != 0 || died())
		return 0;
	assert(loan.size == 1);
	from = memory.bytes[loan.at] - 'a';
	assert(from >= 0 && from < SENDERS);
	assert(!loan.redelivered || (KEPT && gone[DIES] && DIES == RECEIVER));
	assert(!seen_from[from] || loan.redelivered);
	seen_from[from] = 1;
	(void) pyipc_arena_release(c, loan.extent);
	return 1;
}

static void *takes_one(void *argument)
{
	(void) argument;
	(void) take_one(take_part(RECEIVER), KEPT);
	return NULL;
}

#ifdef RESERVES
/* It writes where another has read, or another reads where it has written. */
static void *reserves(void *argument)
{
	struct pyipc_channel *c = take_part(RESERVER);
	struct pyipc_loan loan;

	(void) argument;
	if (allocate(c, 1, 0, FAR, &loan) == 0) {
		memory.bytes[loan.at] = 'x';
		(void) pyipc_arena_release(c, loan.extent);
	}
	return NULL;
}
#endif

int main(void)
{
	__VERIFIER_thread_t processes[LAST];
	struct pyipc_channel *c;
	struct pyipc_loan loan;

	format();
	for (int i = 0; i <= RECEIVER; i++)
		processes[i] = __VERIFIER_spawn(i < SENDERS ? sends_one : takes_one, (void *) (intptr_t) i);
#ifdef RESERVES
	processes[RESERVER] = __VERIFIER_spawn(reserves, NULL);
#endif
	for (int i = 0; i < LAST; i++)
		(void) __VERIFIER_join(processes[i]);
	descriptors_tell();
	c = take_part(LAST);
	for (int i = 0; i < 2 && take_one(c, 0); i++)
		;
	assert(memory.ch.received.count == memory.ch.sent.count);
	for (int from = 0; from < SENDERS; from++)
		if (sent[from] && (KEPT || !gone[RECEIVER]))
			assert(seen_from[from]);
	assert(allocate(c, 1, 0, FAR, &loan) == 0);
	return 0;
}
