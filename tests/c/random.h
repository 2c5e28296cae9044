/* SPDX-License-Identifier: MIT
 *
 * random.h -- what the programs that call at random share: the numbers, and the calling.
 *
 *     PROGRAM [SEED [CALLS]]
 *
 * A test that never gets anywhere proves nothing: each call must have succeeded, too.
 */
#ifndef RANDOM_H
#define RANDOM_H

#include "facts.h"

static uint64_t state;

static inline uint64_t random_bits(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * UINT64_C(0x2545F4914F6CDD1D) >> 1 | state << 63;
}

static inline uint64_t below(uint64_t end)
{
	return random_bits() % end;
}

static inline int64_t any_number(void)
{
	static const int64_t edges[] = {
		0, 1, -1, 2, 7, 511, 4095, 4096, 8192, 8193, 32767, 32768, 65535, 65536,
		INT32_MAX, INT32_MIN, UINT32_MAX, INT64_C(1) << 32, INT64_MAX, INT64_MIN,
	};
	uint64_t size = below(64);

	return below(2) ? edges[below(sizeof edges / sizeof *edges)] : (int64_t) (random_bits() >> size);
}

static inline int any_int(void)
{
	return (int) any_number();
}

static inline uint64_t any_size(void)
{
	return (uint64_t) any_number();
}

/* Half of the time something that is there. */
static inline uint64_t fair_size(void)
{
	return below(2) ? below(20000) : any_size();
}

static inline int64_t past(void)
{
	int64_t edges[] = { 0, -1, 1, INT64_MIN, now_ns() - 1 };

	return edges[below(sizeof edges / sizeof *edges)];
}

/* ---- calling ---- */

struct call {
	const char *name;
	int64_t (*call)(void);
	int never_good;
};

#define CALL(function) { #function, function, 0 }
#define NEVER_GOOD(function) { #function, function, 1 }

static uint64_t number_of_calls = 100000;

/* Nobody sends signals here; but a process that is stopped and goes on, as when its machine is frozen
 * and thawed, is told EINTR by calls that wait, without a signal (signal(7)).  That is rare. */
static inline int is_an_answer(int64_t result)
{
	static int interrupted;

	if (result == -EINTR)
		return ++interrupted <= 3;
	return result >= 0 || (result > -4096 && result != -EFAULT && result != -EIO);
}

/* Adds to good[] how often each has succeeded. */
static inline void call_at_random(const struct call *calls, uint64_t count, uint64_t *good)
{
	for (uint64_t i = 0; i < number_of_calls && check_ok; i++) {
		uint64_t which = below(count);
		int64_t result = calls[which].call();

		good[which] += result >= 0;
		CHECK(is_an_answer(result));
		if (!check_ok)
			printf("  call %llu, %s, answered %lld\n", (unsigned long long) i, calls[which].name,
			       (long long) result);
	}
}

static inline void every_call_has_succeeded(const struct call *calls, uint64_t count, const uint64_t *good)
{
	if (!check_ok || number_of_calls < 20000)
		return;
	for (uint64_t i = 0; i < count; i++)
		if (!calls[i].never_good && !good[i]) {
			printf("  never succeeded: %s\n", calls[i].name);
			CHECK(good[i]);
		}
}

static inline void begin_at_random(int count, char **arguments)
{
	begin();
	state = count > 1 ? strtoull(arguments[1], NULL, 0) : (uint64_t) now_ns() ^ (uint64_t) getpid() << 40;
	if (count > 2)
		number_of_calls = strtoull(arguments[2], NULL, 0);
	printf("  seed %llu, %llu calls\n", (unsigned long long) state, (unsigned long long) number_of_calls);
	state += !state;
}

#endif
