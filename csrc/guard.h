/* SPDX-License-Identifier: MIT
 *
 * guard.h -- who is who in shared memory, and the one lock there: docs/design/channels.md.
 */
#ifndef PYIPC_GUARD_H
#define PYIPC_GUARD_H

#include "internal.h"

/* One who takes part, as it knows itself. */
struct pyipc_member {
	char *roster;
	int32_t life;
	uint32_t id;
	int32_t spins;
};

/* An id: a slot of the roster, counted from 1, and the generation of its holder.  0 is nobody; the
 * highest bit is the guard's. */
enum { SLOT_BITS = 10, ROSTER_SLOTS = (1 << SLOT_BITS) - 1 };
enum { MOST_GENERATIONS = 1 << 21 };
#define GUARD_WAITERS UINT32_C(0x80000000)

struct roster {
	uint32_t generation[ROSTER_SLOTS + 1];
};

/* What guard_lock() says when the owner before had died within. */
enum { GUARD_FROM_THE_DEAD = 1 };

int pyipc_roster_join(struct pyipc_member *me, char *roster_memory, int32_t life);
int pyipc_roster_is_alive(const struct pyipc_member *me, uint32_t id);
int pyipc_guard_lock(uint32_t *guard, const struct pyipc_member *me, int is_here, int64_t deadline_ns);

/* Acquire: what the owner before has written is seen. */
static inline int guard_try(uint32_t *guard, const struct pyipc_member *me)
{
	uint32_t nobody = 0;

	return __atomic_compare_exchange_n(guard, &nobody, me->id, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

int pyipc_guard_bury(uint32_t *guard, const struct pyipc_member *me);
void pyipc_guard_wake(uint32_t *guard);

/* Release: what was written under it is seen by the next owner. */
static inline void guard_unlock(uint32_t *guard)
{
	if (__atomic_exchange_n(guard, 0, __ATOMIC_RELEASE) & GUARD_WAITERS)
		pyipc_guard_wake(guard);
}

/* Of a loop that looks at memory of others. */
static inline void spin_once(void)
{
#if defined __x86_64__
	__builtin_ia32_pause();
#elif defined __aarch64__
	__asm__ volatile("yield");
#endif
}

#endif
