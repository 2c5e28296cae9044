/* SPDX-License-Identifier: MIT
 *
 * ring.c -- processes send a message each by a slot, others receive, and one of them may die: each message
 * that was sent comes once, whole; nobody falls asleep while there is something to do.
 */
#include "core.h"

#ifndef SENDERS
#define SENDERS 1
#endif
#ifndef RECEIVERS
#define RECEIVERS 1
#endif

enum { LAST = SENDERS + RECEIVERS };	/* who looks at what is left */

static int sent[PROCESSES];
static int got[PROCESSES][PROCESSES];	/* by whom, from whom */

static void *sends_one(void *argument)
{
	int who = (int) (intptr_t) argument;
	struct pyipc_channel *c = take_part(who);
	char letter = (char) ('a' + who);
	uint32_t size = 1;

	if (pyipc_channel_send(c, &letter, &size, 1, FAR) == 1)
		sent[who] = 1;
	return NULL;
}

static int receive_one(struct pyipc_channel *c, int who)
{
	char letter = 0;
	uint32_t size = 0;
	int64_t result = pyipc_channel_receive(c, &letter, 1, &size, 1, FAR);

	if (am_dead || result != 1)
		return 0;
	assert(size == 1 && letter >= 'a' && letter < 'a' + SENDERS);
	got[who][letter - 'a']++;
	return 1;
}

static void *receives_one(void *argument)
{
	int who = (int) (intptr_t) argument;

	(void) receive_one(take_part(who), who);
	return NULL;
}

int main(void)
{
	__VERIFIER_thread_t processes[LAST];
	int lost;

	format();
	for (int i = 0; i < LAST; i++)
		processes[i] = __VERIFIER_spawn(i < SENDERS ? sends_one : receives_one, (void *) (intptr_t) i);
	for (int i = 0; i < LAST; i++)
		(void) __VERIFIER_join(processes[i]);
	descriptors_tell();
	lost = (int) memory.ch.received.count;
	for (int i = SENDERS; i < LAST; i++)
		for (int from = 0; from < SENDERS; from++)
			lost -= got[i][from];
	assert(lost == 0 || (lost == 1 && gone[DIES] && DIES >= SENDERS));
	for (int i = 0; i <= SENDERS; i++)
		if (!receive_one(take_part(LAST), LAST))
			break;
	assert(memory.ch.received.count == memory.ch.sent.count);
	for (int from = 0; from < SENDERS; from++) {
		int came = 0;

		for (int i = SENDERS; i <= LAST; i++)
			came += got[i][from];
		assert(came <= 1);
		if (sent[from] && !gone[from] && !lost && SLOTS >= SENDERS)
			assert(came == 1);
	}
	return 0;
}
