/* SPDX-License-Identifier: MIT
 *
 * counters.c -- numbers that processes count in together.
 *
 * Each call is one atomic instruction (or a loop of two that the processor sees through, where it has
 * no such one), so nobody waits, and whoever is killed has counted or has not.
 *
 * Memory order: sequentially consistent.  To count alone, relaxed would do, but a counter is also what
 * tells others that something is ready, or how many are left, and more than one of them is compared.
 * On x86 only the exchange of a plain store is slower by it, and nothing that counts.
 *
 * Signed numbers that pass their end wrap around: so gcc and clang define these builtins.
 *
 * Each counter has two lines to itself: processors fetch them in pairs, and who counts in one would
 * take the other away from its neighbour.
 */
#include "internal.h"

static int64_t *at(int64_t *counters, uint64_t index)
{
	return counters + index * (PYIPC_COUNTER_STRIDE / sizeof *counters);
}

int64_t pyipc_now_counter_add(int64_t *counters, uint64_t index, int64_t n)
{
	return __atomic_add_fetch(at(counters, index), n, __ATOMIC_SEQ_CST);
}

int64_t pyipc_now_counter_get(int64_t *counters, uint64_t index)
{
	return __atomic_load_n(at(counters, index), __ATOMIC_SEQ_CST);
}

int64_t pyipc_now_counter_exchange(int64_t *counters, uint64_t index, int64_t value)
{
	return __atomic_exchange_n(at(counters, index), value, __ATOMIC_SEQ_CST);
}

/* Whether it was as expected, and is the new value now. */
int pyipc_now_counter_compare_exchange(int64_t *counters, uint64_t index, int64_t expected, int64_t value)
{
	return __atomic_compare_exchange_n(at(counters, index), &expected, value, 0, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}
