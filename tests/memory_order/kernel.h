/* SPDX-License-Identifier: MIT
 *
 * kernel.h -- what the kernel does for a channel, as GenMC is to see it; and deaths.  Each thread of a
 * program is a process.
 *
 * A death is at a step: of what others can see (a store, a swap, a copy, a system call), the steps from
 * number `dies_at` on are not done.  The thread goes on, so that its function ends, but does nothing.
 */
#ifndef KERNEL_H
#define KERNEL_H

#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <genmc.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NEVER 10000
enum { PROCESSES = 4 };

/* ---- what says nothing here ---- */

#define clock_gettime(clock, now) ((now)->tv_sec = 1, (now)->tv_nsec = 0)
#define sched_getcpu() 7
#define sched_yield() 0
#define __builtin_ia32_pause() (void) 0
#define sigemptyset(set) 0
#define sigaddset(set, number) 0
#define sigpending(set) 0
#define sigismember(set, number) 0
#define sigaction(number, set, before) (-1)
#define sigtimedwait(set, info, span) 0
#define pthread_sigmask(how, set, before) 0
#define fallocate(file, mode, at, size) 0
#define snprintf(text, ...) 0
#undef open
#undef close
#define open(...) (-1)
#define close(file) 0

/* ---- deaths ---- */

static __thread int my_number, my_steps, my_death, am_dead;

static uint32_t gone[PROCESSES];	/* their locks are free */

/* Release: what it did before is done before its lock is seen to be free. */
static inline int died(void)
{
	if (!am_dead && my_steps++ == my_death) {
		am_dead = 1;
		__atomic_store_n(&gone[my_number], 1, __ATOMIC_RELEASE);
	}
	return am_dead;
}

static inline uint32_t id_of(int who)
{
	return (uint32_t) (who + 1) | UINT32_C(1) << 10;
}

static inline void is_process(int who, int dies_at)
{
	my_number = who;
	my_death = dies_at;
}

static inline int is_gone(uint32_t id)
{
	uint32_t slot = (id & 1023) - 1;

	return slot >= PROCESSES || __atomic_load_n(&gone[slot], __ATOMIC_ACQUIRE);
}

#define __atomic_store_n(word, value, order) (died() ? (void) 0 : __atomic_store_n(word, value, order))
#define __atomic_exchange_n(word, value, order) (died() ? 0 : __atomic_exchange_n(word, value, order))
#define __atomic_fetch_add(word, value, order) (died() ? 0 : __atomic_fetch_add(word, value, order))
#define __atomic_compare_exchange_n(word, expected, value, weak, order, other_order) \
	(died() ? 1 : __atomic_compare_exchange_n(word, expected, value, weak, order, other_order))

static inline void copy_bytes(char *to, const char *from, uint64_t size)
{
	if (!died())
		for (uint64_t i = 0; i < size; i++)
			to[i] = from[i];
}

#define memcpy(to, from, size) copy_bytes((char *) (to), (const char *) (from), size)

/* ---- the roster ---- */

#include "roster.h"

int pyipc_roster_is_alive(const struct pyipc_member *me, uint32_t id)
{
	return id == me->id || !is_gone(id);
}

/* ---- futexes: a wake is not lost here, and a slice ends only if the owner has died ---- */

#define PYIPC_FUTEX_H

static inline int64_t futex_wait(uint32_t *word, uint32_t value, int64_t span_ns)
{
	(void) span_ns;
	if (am_dead)
		return -ETIMEDOUT;
	if (__atomic_load_n(word, __ATOMIC_RELAXED) != value)
		return -EAGAIN;
	__VERIFIER_assume(is_gone(value & ~UINT32_C(0x80000000)));
	return -ETIMEDOUT;
}

static inline void futex_wake(uint32_t *word, int sleepers)
{
	(void) word, (void) sleepers;
}

/* ---- pipes: each a number of tokens ---- */

enum { DATA, SPACE };
static uint32_t tokens[2];

static inline int64_t write_token(int pipe)
{
	(void) __atomic_fetch_add(&tokens[pipe], 1, __ATOMIC_ACQ_REL);
	return 1;
}

static inline int64_t drain(int pipe)
{
	return __atomic_exchange_n(&tokens[pipe], 0, __ATOMIC_ACQ_REL);
}

static inline int has_token(int pipe)
{
	return __atomic_load_n(&tokens[pipe], __ATOMIC_ACQUIRE) != 0;
}

#undef write
#undef read
#define write(pipe, text, size) write_token(pipe)
#define read(pipe, text, size) drain(pipe)

/* Of a sleeper: it does not sleep here, but says so. */
static inline int poll_pipe(struct pollfd *end)
{
	end->revents = has_token(end->fd) ? POLLIN : 0;
	return end->revents != 0;
}

#define ppoll(end, count, span, mask) poll_pipe(end)
#define poll(end, count, span) 0
#define getpid() 0

static const int64_t FAR = INT64_MAX;

#endif
