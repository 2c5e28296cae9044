/* SPDX-License-Identifier: MIT
 *
 * channels.h -- a channel with its memory and pipes, and handles on it, for the tests.
 */
#ifndef CHANNELS_H
#define CHANNELS_H

#include "facts.h"
#include "../../csrc/channel_layout.h"

enum { SLOT_SIZE = 100, ARENA = 1 << 20 };

/* Where they are is a part of the layout. */
enum { SENDERS_GUARD = 128, RECEIVERS_GUARD = 384 };

struct world {
	int32_t memory;
	int data[2], space[2];
	char *mapped;
	uint64_t size;
};

static inline struct channel *layout_of(const struct world *w)
{
	return (struct channel *) w->mapped;
}

static inline void make_world_with(struct world *w, uint32_t slots, uint64_t arena)
{
	w->size = (uint64_t) pyipc_channel_memory(slots, SLOT_SIZE, arena);
	EQUAL(0, pyipc_memory_create(w->size, 0, &w->memory));
	w->mapped = (char *) pyipc_map(w->memory, w->size, PYIPC_MAP_WRITABLE);
	EQUAL(0, pipe2(w->data, O_CLOEXEC | O_NONBLOCK));
	EQUAL(0, pipe2(w->space, O_CLOEXEC | O_NONBLOCK));
	CHECK(0 < pyipc_channel_format(w->mapped, w->size, slots, SLOT_SIZE, w->space[1]));
	layout_of(w)->watched = 1;	/* the token always comes first, whatever processor somebody sleeps on */
}

static inline void make_world(struct world *w, uint32_t slots)
{
	make_world_with(w, slots, ARENA);
}

static inline void end_world(struct world *w)
{
	for (int i = 0; i < 2; i++) {
		if (w->data[i] >= 0)
			EQUAL(0, close(w->data[i]));
		if (w->space[i] >= 0)
			EQUAL(0, close(w->space[i]));
	}
	EQUAL(0, pyipc_unmap(w->mapped, w->size));
	EQUAL(0, pyipc_fd_close(&w->memory));
}

static inline int32_t a_life(const struct world *w)
{
	char path[64];
	int32_t life = -1;

	(void) snprintf(path, sizeof path, "/proc/self/fd/%d", w->memory);
	EQUAL(0, pyipc_fd_open(path, O_RDWR, &life));
	return life;
}

/* A handle that may do everything; close its life. */
static inline struct pyipc_channel take_part(const struct world *w, int spins)
{
	struct pyipc_channel c = {
		.me = { .spins = spins },
		.data_read = w->data[0], .data_write = w->data[1],
		.space_read = w->space[0], .space_write = w->space[1],
	};

	EQUAL(0, pyipc_channel_open(&c, w->mapped, w->size, a_life(w)));
	return c;
}

static inline void leave(struct pyipc_channel *c)
{
	EQUAL(0, pyipc_fd_close(&c->me.life));
}

/* In a child: it is only a sender, or only a receiver, and so are all who have no other end. */
static inline void only_sends(struct world *w)
{
	EQUAL(0, close(w->data[0]));
	EQUAL(0, close(w->space[1]));
	w->data[0] = w->space[1] = -1;
}

static inline void only_receives(struct world *w)
{
	EQUAL(0, close(w->data[1]));
	EQUAL(0, close(w->space[0]));
	w->data[1] = w->space[0] = -1;
}

static inline int64_t within_s(int seconds)
{
	return now_ns() + (int64_t) seconds * PYIPC_SECOND;
}

/* One message, and its size for the answer. */

static inline int64_t try_send(struct pyipc_channel *c, const char *data, uint64_t size)
{
	uint32_t sizes[] = { (uint32_t) size };
	int64_t result = pyipc_now_channel_send(c, data, sizes, 1);

	return result == 1 ? (int64_t) size : result;
}

static inline int64_t try_receive(struct pyipc_channel *c, char *ret_data, uint64_t room)
{
	uint32_t size;
	int64_t result = pyipc_now_channel_receive(c, ret_data, room, &size, 1);

	return result == 1 ? size : result;
}

/* As Python does it: -EINTR means to look at signals, and to go on. */
static inline int64_t send_by(struct pyipc_channel *c, const char *text, int64_t deadline)
{
	uint32_t size = (uint32_t) strlen(text);
	int64_t result;

	do
		result = pyipc_channel_send(c, text, &size, 1, deadline);
	while (result == -EINTR);
	return result == 1 ? size : result;
}

static inline int64_t receive_by(struct pyipc_channel *c, char *ret_text, int64_t deadline)
{
	uint32_t size = 0;
	int64_t result;

	do
		result = pyipc_channel_receive(c, ret_text, SLOT_SIZE, &size, 1, deadline);
	while (result == -EINTR);
	ret_text[result == 1 ? size : 0] = '\0';
	return result == 1 ? size : result;
}

/* ---- messages in the arena ---- */

#define UNTIL_DONE(call) ({ \
	int64_t result_; \
	do \
		result_ = (call); \
	while (result_ == -EINTR); \
	result_; \
})

static inline int64_t send_long_by(struct pyipc_channel *c, const char *data, uint64_t size, int64_t deadline)
{
	return UNTIL_DONE(pyipc_channel_send_long(c, data, size, deadline));
}

static inline int64_t reserve_by(struct pyipc_channel *c, uint64_t size, int64_t deadline, struct pyipc_loan *ret_loan)
{
	return UNTIL_DONE(pyipc_channel_reserve(c, size, deadline, ret_loan));
}

static inline int64_t commit_by(struct pyipc_channel *c, const struct pyipc_loan *loan, uint64_t size, int64_t deadline)
{
	return UNTIL_DONE(pyipc_channel_commit(c, loan, size, deadline));
}

static inline int64_t take_by(struct pyipc_channel *c, int kept, int64_t deadline, struct pyipc_loan *ret_loan)
{
	return UNTIL_DONE(pyipc_channel_take(c, kept, deadline, ret_loan));
}

static inline int64_t release(struct pyipc_channel *c, const struct pyipc_loan *loan)
{
	return pyipc_arena_release(c, loan->extent);
}

static inline int extents_in_use(const struct world *w)
{
	int count = 0;

	for (int i = 0; i < EXTENTS; i++)
		count += __atomic_load_n(&layout_of(w)->owners[i], __ATOMIC_RELAXED) != 0;
	return count;
}

/* Bytes that differ from one another, and from those of another seed. */
static inline char byte_of(uint64_t seed, uint64_t at)
{
	return (char) (seed * 31 + at * 7 + at / 251);
}

static inline void fill(char *data, uint64_t size, uint64_t seed)
{
	for (uint64_t i = 0; i < size; i++)
		data[i] = byte_of(seed, i);
}

static inline int is_filled(const char *data, uint64_t size, uint64_t seed)
{
	for (uint64_t i = 0; i < size; i++)
		if (data[i] != byte_of(seed, i))
			return 0;
	return 1;
}

#endif
