/* SPDX-License-Identifier: MIT
 *
 * locks.h -- a lock or its like, with its memory, and handles on it, for the tests.
 */
#ifndef LOCKS_H
#define LOCKS_H

#include "facts.h"
#include "../../csrc/sync.h"

struct object {
	int32_t memory;
	char *mapped;
	uint64_t size;
	uint32_t kind;
};

static inline struct object make_object(uint32_t kind, uint32_t flags, uint32_t value)
{
	struct object o = { .kind = kind, .size = (uint64_t) pyipc_now_sync_size(kind, value) };

	EQUAL(0, pyipc_memory_create(o.size, 0, &o.memory));
	o.mapped = (char *) pyipc_map(o.memory, o.size, PYIPC_MAP_WRITABLE);
	EQUAL(0, pyipc_now_sync_format(o.mapped, o.size, kind, flags, value));
	return o;
}

static inline void end_object(struct object *o)
{
	EQUAL(0, pyipc_unmap(o->mapped, o->size));
	EQUAL(0, pyipc_fd_close(&o->memory));
}

/* A handle; close its life. */
static inline struct pyipc_sync join_in(const struct object *o, int spins)
{
	struct pyipc_sync s = { .me = { .spins = spins } };
	char path[64];
	int32_t life = -1;

	(void) snprintf(path, sizeof path, "/proc/self/fd/%d", o->memory);
	EQUAL(0, pyipc_fd_open(path, O_RDWR, &life));
	EQUAL(0, pyipc_sync_open(&s, o->mapped, o->size, life, o->kind));
	return s;
}

static inline void leave_it(struct pyipc_sync *s)
{
	EQUAL(0, pyipc_fd_close(&s->me.life));
}

static inline int64_t in_seconds(int seconds)
{
	return now_ns() + (int64_t) seconds * PYIPC_SECOND;
}

/* As Python does it: -EINTR means to look at signals, and to go on. */
#define AGAIN(call) __extension__ ({ \
	int64_t result_; \
	do \
		result_ = (call); \
	while (result_ == -EINTR); \
	result_; \
})

static inline int64_t acquire_by(struct pyipc_sync *s, int64_t deadline)
{
	int64_t since = now_ns();
	int32_t taken = -1;
	int result = (int) AGAIN(pyipc_lock_acquire(s, &taken, since, deadline));

	return result == 0 && taken != 1 ? -EPROTO : result;
}

#endif
