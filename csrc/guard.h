/* SPDX-License-Identifier: MIT
 *
 * guard.h -- the one lock in shared memory: docs/design/channels.md.
 */
#ifndef PYIPC_GUARD_H
#define PYIPC_GUARD_H

#include "roster.h"

#define GUARD_WAITERS UINT32_C(0x80000000)

/* What guard_lock() says when the owner before had died within. */
enum { GUARD_FROM_THE_DEAD = 1 };

int pyipc_guard_lock(uint32_t *guard, const struct pyipc_member *me, int is_here, int64_t deadline_ns);

/* Acquire: what the owner before has written is seen.  Who is nobody (after a fork) gets none. */
static inline int guard_try(uint32_t *guard, const struct pyipc_member *me)
{
	uint32_t nobody = 0;

	return me->id != 0
	       && __atomic_compare_exchange_n(guard, &nobody, me->id, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
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
