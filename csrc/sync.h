/* SPDX-License-Identifier: MIT
 *
 * sync.h -- locks and their like in shared memory: docs/design/sync.md.
 *
 * Every offset and size here is an interface between processes that may have different versions of
 * pyipc, and whoever changes one changes SYNC_MAJOR.
 */
#ifndef PYIPC_SYNC_H
#define PYIPC_SYNC_H

#include <stddef.h>

#include "guard.h"

enum { SYNC_MAJOR = 1 };
#define SYNC_MAGIC UINT64_C(0x31434e5970690a89)

/* Two lines: processors fetch them in pairs. */
enum { SYNC_LINES = 128 };

/* All that others write while one looks, of whatever kind: in one pair of lines, for whoever takes the
 * guard writes the rest, too. */

/* Lock, RLock. */
struct lock_words {
	uint32_t word;		/* as a guard's: the owner's id, and whether somebody sleeps */
};

/* Semaphore, BoundedSemaphore.  With undo, the value is what it was at first + given - what the living
 * have taken, and `free` a copy of that, which is never too high; without undo, `free` is all there is. */
struct semaphore_words {
	uint32_t guard;
	uint32_t sleepers;	/* 1: somebody may sleep */
	uint32_t wakes;		/* where they sleep: it changes with each wake */
	uint32_t unused;
	int64_t free;
	uint64_t given;
};

struct event_words {
	uint32_t word;		/* odd: set; and whether somebody sleeps */
};

struct condition_words {
	uint32_t guard;
	uint32_t places_used;	/* of the table, ever */
	uint64_t tickets;
};

/* The generation in the high half, where they sleep; below it whether the barrier is broken (bit 0), and
 * whether the generations before were (bit 1: the last, and so on). */
struct barrier_words {
	uint32_t guard;
	uint32_t actor;		/* who runs the action */
	uint64_t state;
};

struct rwlock_words {
	uint32_t guard;
	uint32_t sleepers, wakes;
	uint32_t writer;	/* its id */
	uint32_t wants;		/* the id of one who waits to write: no readers are let in before it */
	uint32_t unused;
	uint64_t readers;	/* how many read: a copy of what holdings say, never too low */
};

/* What a slot of the roster holds counts as long as its generation lives: generation above, count
 * below. */
struct holdings {
	uint32_t slots_used;	/* none from here on has ever held any */
	uint32_t unused[SYNC_LINES / sizeof(uint32_t) - 1];
	uint64_t of[ROSTER_SLOTS + 1];
};

enum { WAITERS_MOST = 1024 };

/* One who waits for a notify.  It is there as soon as there is an owner. */
struct waiter {
	uint32_t owner;
	uint32_t notified;	/* where it sleeps */
	uint64_t ticket;
};

struct sync {
	uint64_t magic;
	uint32_t major, kind;
	uint32_t flags, value;
	uint32_t reserved[26];
	union {
		uint32_t guard;		/* of all but lock and event: their first word */
		struct lock_words lock;
		struct semaphore_words semaphore;
		struct event_words event;
		struct condition_words condition;
		struct barrier_words barrier;
		struct rwlock_words rwlock;
		uint32_t lines[SYNC_LINES / sizeof(uint32_t)];
	};
	struct roster roster;
	/* What only some kinds have. */
	union {
		struct holdings holdings;
		struct waiter waiters[WAITERS_MOST];
		uint64_t arrivals[1];	/* as many as the barrier has parties: generation above, id below */
	};
};

_Static_assert(offsetof(struct sync, lock) == SYNC_LINES, "what changes lies apart from what does not");
_Static_assert(offsetof(struct sync, roster) == 2 * SYNC_LINES, "no kind needs more");
_Static_assert(offsetof(struct sync, holdings) % sizeof(uint64_t) == 0, "whole words");

static inline struct sync *sync_of(const struct pyipc_sync *s)
{
	return (struct sync *) s->memory;
}

static inline uint32_t load(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline uint64_t load_long(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void store(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static inline void store_long(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static inline void note_recovery(struct pyipc_sync *s)
{
	(void) __atomic_fetch_add(&s->recoveries, 1, __ATOMIC_RELAXED);
}

/* ---- waiting: sync.c ---- */

/* A wait in slices, each as long as all before it: so whoever died, or took a wake along, is noticed
 * soon at first, and a long wait costs next to nothing. */
struct patience {
	int64_t since_ns, deadline_ns, round_ns;
};

struct patience be_patient(int64_t since_ns, int64_t deadline_ns);
int sleep_a_slice(uint32_t *word, uint32_t value, const struct patience *p);
void wake(uint32_t *word, int most);

/* ---- the guard of an object: sync.c ---- */

int sync_lock(struct pyipc_sync *s, int64_t deadline_ns);
int sync_try(struct pyipc_sync *s);

static inline void sync_unlock(struct pyipc_sync *s)
{
	guard_unlock(&sync_of(s)->guard);
}

/* ---- what members hold: holdings.c; under the guard ---- */

uint32_t holdings_mine(const struct pyipc_sync *s);
void holdings_set_mine(const struct pyipc_sync *s, uint32_t count);
uint64_t holdings_of_the_living(const struct pyipc_sync *s);
int holdings_take_from_another(const struct pyipc_sync *s);

enum { EVERYBODY = INT32_MAX };

#endif
