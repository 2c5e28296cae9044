/* SPDX-License-Identifier: MIT
 *
 * sync.c -- what all kinds of locks in shared memory have in common: making one, taking part in one,
 * and waiting.
 */
#define _GNU_SOURCE		/* syscall() */
#include "futex.h"
#include "sync.h"

/* ---- making one, taking part ---- */

static uint64_t table_of(uint32_t kind, uint32_t value)
{
	switch (kind) {
	case PYIPC_SEMAPHORE:
	case PYIPC_RWLOCK:
		return sizeof(struct holdings);
	case PYIPC_CONDITION:
		return sizeof(struct waiter) * WAITERS_MOST;
	case PYIPC_BARRIER:
		return sizeof(uint64_t) * value;
	default:
		return 0;
	}
}

/* How much memory it takes; -EINVAL of what cannot be. */
int64_t pyipc_now_sync_size(uint32_t kind, uint32_t value)
{
	if (kind > PYIPC_RWLOCK || value > INT32_MAX)
		return -EINVAL;
	if (kind == PYIPC_BARRIER && (value < 1 || value > PYIPC_MOST_PARTIES))
		return -EINVAL;
	return (int64_t) (offsetof(struct sync, holdings) + table_of(kind, value));
}

/* Fresh memory, all zero, that nobody else has yet. */
int pyipc_now_sync_format(char *memory, uint64_t size, uint32_t kind, uint32_t flags, uint32_t value)
{
	struct sync *y = (struct sync *) memory;
	int64_t needed = pyipc_now_sync_size(kind, value);

	if (needed < 0 || (uint64_t) needed > size)
		return -EINVAL;
	y->magic = SYNC_MAGIC;
	y->major = SYNC_MAJOR;
	y->kind = kind;
	y->flags = flags;
	y->value = value;
	if (kind == PYIPC_SEMAPHORE)
		y->semaphore.free = value;
	return 0;
}

/* What never changes is read here, once, and checked.  Of that kind, or -EINVAL. */
int pyipc_sync_open(struct pyipc_sync *s, char *memory, uint64_t size, int32_t life, uint32_t kind)
{
	const struct sync *y = (const struct sync *) memory;
	uint32_t value;
	int64_t needed;

	if (size < offsetof(struct sync, holdings) || load_long(&y->magic) != SYNC_MAGIC || load(&y->kind) != kind)
		return -EINVAL;
	if (load(&y->major) != SYNC_MAJOR)
		return -EPROTONOSUPPORT;
	value = load(&y->value);
	needed = pyipc_now_sync_size(kind, value);
	if (needed < 0 || (uint64_t) needed > size)
		return -EINVAL;
	s->memory = memory;
	s->kind = kind;
	s->flags = load(&y->flags);
	s->value = value;
	s->spins = s->me.spins;
	return pyipc_member_join(&s->me, memory + offsetof(struct sync, roster), life);
}

/* ---- waiting ---- */

enum { FIRST_SLICE_NS = 10000000 };

/* After this long, Python looks at its signals; and no slice is longer. */
enum { ROUND_NS = PYIPC_SECOND };

static int64_t lesser(int64_t one, int64_t other)
{
	return one < other ? one : other;
}

/* since_ns: when the wait began, in however many calls it is made. */
struct patience be_patient(int64_t since_ns, int64_t deadline_ns)
{
	return (struct patience){
		.since_ns = since_ns, .deadline_ns = deadline_ns, .round_ns = monotonic_ns() + ROUND_NS,
	};
}

/* 0: look again.  It is woken, or the slice is over, or the word is not as it was. */
int sleep_a_slice(uint32_t *word, uint32_t value, const struct patience *p)
{
	int64_t now = monotonic_ns();
	int64_t slice = now - p->since_ns;
	int64_t result;

	if (now >= p->deadline_ns)
		return -ETIMEDOUT;
	if (now >= p->round_ns)
		return -EINTR;
	if (slice < FIRST_SLICE_NS)
		slice = FIRST_SLICE_NS;
	result = futex_wait(word, value, lesser(lesser(slice, p->round_ns - now), p->deadline_ns - now));
	return result == -EINTR ? -EINTR : 0;
}

void wake(uint32_t *word, int most)
{
	futex_wake(word, most);
}

/* ---- the guard ---- */

/* What is done under it commits by one store, so there is nothing to repair when it comes from the dead. */

/* At once, or -EBUSY. */
int sync_try(struct pyipc_sync *s)
{
	uint32_t *guard = &sync_of(s)->guard;

	if (guard_try(guard, &s->me))
		return 0;
	if (s->me.id == 0)
		return -ENOTCONN;
	if (!pyipc_guard_bury(guard, &s->me))
		return -EBUSY;
	note_recovery(s);
	return 0;
}

int sync_lock(struct pyipc_sync *s, int64_t deadline_ns)
{
	uint32_t *guard = &sync_of(s)->guard;
	int result = guard_try(guard, &s->me) ? 0 : pyipc_guard_lock(guard, &s->me, 0, deadline_ns);

	if (result == GUARD_FROM_THE_DEAD)
		note_recovery(s);
	return result < 0 ? result : 0;
}
