/* SPDX-License-Identifier: MIT
 *
 * guard.c -- three processes take a guard, and one of them may die: who has it is alone, and sees what
 * those before have done.
 */
#include "kernel.h"
#include "../csrc/guard.c"

#ifndef DIES_AT
#define DIES_AT NEVER
#endif

static uint32_t guard;
static int number, sums[PROCESSES];	/* no atomics: under the guard */

static void *adds_one(void *argument)
{
	int who = (int) (intptr_t) argument;
	struct pyipc_member me;

	me.id = id_of(who);
	me.spins = 0;
	is_process(who, who == 0 ? DIES_AT : NEVER);
	if (guard_try(&guard, &me) || pyipc_guard_lock(&guard, &me, 0, FAR) >= 0) {
		if (!died()) {
			number++;
			sums[who] = 1;
		}
		guard_unlock(&guard);
	}
	return NULL;
}

int main(void)
{
	__VERIFIER_thread_t processes[3];

	for (int i = 0; i < 3; i++)
		processes[i] = __VERIFIER_spawn(adds_one, (void *) (intptr_t) i);
	for (int i = 0; i < 3; i++)
		(void) __VERIFIER_join(processes[i]);
	assert(number == sums[0] + sums[1] + sums[2]);
	assert(sums[1] && sums[2]);
	return 0;
}
