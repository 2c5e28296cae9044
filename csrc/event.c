/* SPDX-License-Identifier: MIT
 *
 * event.c -- an event: set, or not.
 *
 * One word, which counts: odd is set.  So whoever waits learns of each set(), also of one that a clear()
 * followed at once.  Each call is one compare-and-swap; who dies between that and the wake leaves
 * sleepers that see it at the end of their slices.
 *
 * Memory order.  Set with release, seen with acquire: what was done before set() is seen after wait().
 */
#include "sync.h"

static uint32_t *word_of(const struct pyipc_sync *s)
{
	return &sync_of(s)->event.word;
}

static uint32_t count_of(const struct pyipc_sync *s)
{
	return __atomic_load_n(word_of(s), __ATOMIC_ACQUIRE) & ~GUARD_WAITERS;
}

/* 1 if that changes it; -EAGAIN if others change it all the time. */
static int change(struct pyipc_sync *s, uint32_t from)
{
	for (int i = 0; i < 1000; i++) {
		uint32_t seen = load(word_of(s));

		if ((seen & 1) != from)
			return 0;
		if (__atomic_compare_exchange_n(word_of(s), &seen, (seen + 1) & ~GUARD_WAITERS, 0, __ATOMIC_ACQ_REL,
						__ATOMIC_RELAXED)) {
			if (seen & GUARD_WAITERS)
				wake(word_of(s), EVERYBODY);
			return 1;
		}
	}
	return -EAGAIN;
}

int pyipc_now_event_set(struct pyipc_sync *s)
{
	return change(s, 0);
}

int pyipc_now_event_clear(struct pyipc_sync *s)
{
	return change(s, 1);
}

/* Wait until it is set, or was meanwhile; seen is what pyipc_now_event_count() said, an even number. */
int pyipc_event_wait(struct pyipc_sync *s, uint32_t seen, int64_t since_ns, int64_t deadline_ns)
{
	struct patience p = be_patient(since_ns, deadline_ns);

	while (count_of(s) == seen) {
		uint32_t expected = seen;
		int result;

		(void) __atomic_compare_exchange_n(word_of(s), &expected, seen | GUARD_WAITERS, 0, __ATOMIC_RELAXED,
						   __ATOMIC_RELAXED);
		result = sleep_a_slice(word_of(s), seen | GUARD_WAITERS, &p);
		if (result < 0)
			return result;
	}
	return 0;
}

/* Of its changes; it is set if that is odd. */
int64_t pyipc_now_event_count(const struct pyipc_sync *s)
{
	return count_of(s);
}
