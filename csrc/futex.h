/* SPDX-License-Identifier: MIT
 *
 * futex.h -- futex(2), of words that processes share.
 */
#ifndef PYIPC_FUTEX_H
#define PYIPC_FUTEX_H

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

/* Sleep while the word has this value: 0 after a wake, -EAGAIN if it has another, -ETIMEDOUT, -EINTR. */
static inline int64_t futex_wait(uint32_t *word, uint32_t value, int64_t span_ns)
{
	struct timespec span = ns_to_timespec(span_ns);

	return neg_errno(syscall(SYS_futex, word, FUTEX_WAIT, value, &span, NULL, 0));
}

static inline void futex_wake(uint32_t *word, int sleepers)
{
	(void) syscall(SYS_futex, word, FUTEX_WAKE, sleepers, NULL, NULL, 0);
}

#endif
