/* SPDX-License-Identifier: MIT
 *
 * core.h -- the C of channels in one file, as GenMC wants it, with a small channel and handles on it.
 */
#ifndef CORE_H
#define CORE_H

#include "kernel.h"

#ifndef DIES			/* which process, and at which step */
#define DIES 0
#endif
#ifndef DIES_AT
#define DIES_AT NEVER
#endif

#include "../csrc/guard.h"

/* guard.c, of which guard.c here tells that it is no more than this; else there are too many executions.  Who
 * waits in vain ends the execution. */
int pyipc_guard_lock(uint32_t *guard, const struct pyipc_member *me, int is_here, int64_t deadline_ns)
{
	uint32_t seen = 0;
	int is_ours;

	(void) is_here, (void) deadline_ns;
	if (am_dead)
		return 0;
#if DIES_AT < NEVER
	seen = __atomic_load_n(guard, __ATOMIC_RELAXED);
	__VERIFIER_assume(seen == 0 || is_gone(seen));
#endif
	is_ours = __atomic_compare_exchange_n(guard, &seen, me->id, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
	__VERIFIER_assume(is_ours);
	return seen ? GUARD_FROM_THE_DEAD : 0;
}

int pyipc_guard_bury(uint32_t *guard, const struct pyipc_member *me)
{
	uint32_t seen = __atomic_load_n(guard, __ATOMIC_RELAXED);

	return seen != 0 && is_gone(seen)
	       && __atomic_compare_exchange_n(guard, &seen, me->id, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

void pyipc_guard_wake(uint32_t *guard)
{
	(void) guard;
}

#include "../csrc/channel_sides.h"
#define note_processor(word) (void) 0	/* a hint, and nobody looks for a while here */
#include "../csrc/channel.c"
#define ns_to_timespec(ns) { .tv_sec = (ns) > 0 }	/* a pair as one result is not for GenMC */
#define has_come_back has_come_back_to_sleepers
#include "../csrc/channel_waits.c"
#undef has_come_back
#ifdef WITH_ARENA
#include "../csrc/channel_arena.c"
#define take take_as_loan
#include "../csrc/channel_loans.c"
#else
int pyipc_arena_orphan(struct pyipc_channel *c, uint64_t received) { return (void) c, (void) received, -EAGAIN; }
int pyipc_arena_others_keep(struct pyipc_channel *c) { return (void) c, 0; }
int pyipc_arena_returned(struct pyipc_channel *c) { return (void) c, 0; }
uint32_t pyipc_arena_hungry(struct pyipc_channel *c) { return (void) c, 0; }
int pyipc_arena_wait(struct pyipc_channel *c, uint32_t seen, int64_t ns) { return (void) c, (void) seen, (void) ns, 0; }
#endif

#ifndef SLOTS
#define SLOTS 1
#endif

enum { SLOT_SIZE = 1, ARENA = LINES };	/* memory for one message */
enum { ARENA_AT = sizeof(struct channel) + SLOTS * LINES };

static union {
	struct channel ch;
	char bytes[ARENA_AT + ARENA];
} memory __attribute__((aligned(LINES)));

static struct pyipc_channel handles[PROCESSES];

static struct pyipc_channel *take_part(int who)
{
	struct pyipc_channel *c = &handles[who];

	is_process(who, who == DIES ? DIES_AT : NEVER);
	c->me.id = id_of(who);
	c->memory = (char *) &memory;
	c->slots = SLOTS;
	c->mask = SLOTS - 1;	/* a power of two here */
	c->slot_size = SLOT_SIZE;
	c->arena_at = ARENA_AT;
	c->arena_size = ARENA;
	c->reserved = sizeof memory;
	c->data_read = c->data_write = DATA;
	c->space_read = c->space_write = SPACE;
	return c;
}

/* By its creator, before anybody else is there. */
static void format(void)
{
	tokens[SPACE] = 1;
	memory.ch.received.token = 1;
}

/* A flag says that there is a token; and while a message waits, or there is room, there is one. */
static void descriptors_tell(void)
{
	uint64_t waiting = memory.ch.sent.count - memory.ch.received.count;

	assert(waiting <= SLOTS);
	assert(!memory.ch.sent.token || tokens[DATA]);
	assert(!memory.ch.received.token || tokens[SPACE]);
	assert(!waiting || tokens[DATA]);
	assert(waiting == SLOTS || tokens[SPACE]);
}

#endif
