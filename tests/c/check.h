/* SPDX-License-Identifier: MIT
 *
 * check.h -- CHECK a condition, compare two numbers, count.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdint.h>
#include <stdio.h>

static int check_ok, check_passed, check_failed;

static inline void check_that(int true_, const char *what, const char *file, int line)
{
	if (!true_)
		printf("%s:%d: not so: %s\n", file, line, what);
	check_ok &= true_;
}

static inline void check_equal(int64_t expected, int64_t got, const char *what,
			       const char *file, int line)
{
	if (expected != got)
		printf("%s:%d: %s is %lld, not %lld\n", file, line, what,
		       (long long) got, (long long) expected);
	check_ok &= expected == got;
}

#define CHECK(condition) check_that(!!(condition), #condition, __FILE__, __LINE__)
#define EQUAL(expected, got) check_equal((int64_t) (expected), (int64_t) (got), #got, __FILE__, __LINE__)
#define NOT_RUN(why) do { printf("  not run: %s: %s\n", __func__, why); check_ok = -1; return; } while (0)

#endif
