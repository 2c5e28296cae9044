/* SPDX-License-Identifier: MIT
 *
 * holdings.c -- how much of something each member holds: permits, or a lock for reading.
 *
 * One word for each slot of the roster: the generation of its holder, and a count, which changes by one
 * store.  It counts as long as that generation lives; so what a member holds when it dies is gone with it.
 * All under the guard of the object, which orders it.
 */
#include "sync.h"

static uint64_t *word_of(const struct pyipc_sync *s, uint32_t slot)
{
	return &sync_of(s)->holdings.of[slot];
}

static uint32_t my_slot(const struct pyipc_sync *s)
{
	return (s->me.id & ROSTER_SLOTS) - 1;
}

static uint32_t slots_used(const struct pyipc_sync *s)
{
	uint32_t used = load(&sync_of(s)->holdings.slots_used);

	return used < ROSTER_SLOTS ? used : ROSTER_SLOTS;
}

uint32_t holdings_mine(const struct pyipc_sync *s)
{
	uint64_t word = load_long(word_of(s, my_slot(s)));

	return word >> 32 == s->me.id >> SLOT_BITS ? (uint32_t) word : 0;
}

void holdings_set_mine(const struct pyipc_sync *s, uint32_t count)
{
	if (my_slot(s) >= slots_used(s))
		store(&sync_of(s)->holdings.slots_used, my_slot(s) + 1);
	store_long(word_of(s, my_slot(s)), (uint64_t) (s->me.id >> SLOT_BITS) << 32 | count);
}

/* A system call, unless it is nothing, or ours. */
static uint32_t alive_in(const struct pyipc_sync *s, uint32_t slot)
{
	uint64_t word = load_long(word_of(s, slot));
	uint32_t id = (slot + 1) | (uint32_t) (word >> 32) << SLOT_BITS;

	if ((uint32_t) word == 0)
		return 0;
	if (word >> 32 < MOST_GENERATIONS && pyipc_roster_is_alive(&s->me, id))
		return (uint32_t) word;
	store_long(word_of(s, slot), 0);
	return 0;
}

uint64_t holdings_of_the_living(const struct pyipc_sync *s)
{
	uint64_t sum = 0;

	for (uint32_t slot = 0; slot < slots_used(s); slot++)
		sum += alive_in(s, slot);
	return sum;
}

/* One of those of somebody who lives; 0 if nobody holds any. */
int holdings_take_from_another(const struct pyipc_sync *s)
{
	for (uint32_t slot = 0; slot < slots_used(s); slot++) {
		if (alive_in(s, slot) == 0)
			continue;
		store_long(word_of(s, slot), load_long(word_of(s, slot)) - 1);
		return 1;
	}
	return 0;
}
