/* SPDX-License-Identifier: MIT
 *
 * channel_layout.h -- a channel in shared memory; every offset and size here is an interface between
 * processes that may have different versions of pyipc, and whoever changes one changes LAYOUT_MAJOR.
 */
#ifndef PYIPC_CHANNEL_LAYOUT_H
#define PYIPC_CHANNEL_LAYOUT_H

#include <stddef.h>

#include "channel.h"

enum { LAYOUT_MAJOR = 1 };
#define LAYOUT_MAGIC UINT64_C(0x3143437970690a89)

/* Each message goes to one receiver.  (Kinds in which each receiver gets each message have room.) */
enum { KIND_QUEUE = 1 };

/* Two lines: processors fetch them in pairs. */
enum { LINES = 128 };

enum { PAGE = 4096 };

/* What is written at either end: by senders under their guard, by receivers under theirs.  The other end
 * looks at the second half all the time, and must not take the guard's line away by that. */
struct side {
	uint32_t guard;
	uint32_t token;		/* 1: a token lies in the pipe */
	uint64_t seen;		/* the other side's count, as it was when it mattered last */
	uint32_t keeps;		/* 1: some receiver has kept a message until it was acknowledged */
	uint32_t unused[27];

	uint64_t count;		/* of messages sent, or received: the commit */
	uint32_t processor;	/* where the last of them ran */
	uint32_t unused_too[29];
};

/* Memory for what is passed without a copy, or longer than a slot: channel_arena.c. */
struct arena {
	uint32_t guard;		/* of the choice of a place */
	uint32_t freed;		/* counts, for those who wait for a place */
	uint32_t hungry;	/* 1: somebody does */
	uint32_t processor;
	uint32_t unused[28];
};

/* Some of them are for receivers alone, and memory for as many slots: else senders could fill the arena
 * behind a message that lies in a slot, and that nobody can take out of it to keep it. */
enum { EXTENTS = PYIPC_CHANNEL_EXTENTS, SPARES = EXTENTS / 16 };

/* A part of the arena.  Its owner is a word of its own, in `owners`. */
struct extent {
	uint64_t at, size;
	uint64_t place;		/* 1 + its place in the order of messages; 0: it has none yet */
	uint32_t kept;		/* 1: if its owner dies, another receiver gets it */
	uint32_t unused;
};

/* What a message is lies before it, and not in a table of such: there, the line that a sender writes
 * would be the one that a receiver reads. */
struct block {
	uint64_t head;		/* its size; or IN_EXTENT and the number of one */
	uint64_t unused;
	char data[];
};

#define IN_EXTENT (UINT64_C(1) << 32)

struct channel {
	uint64_t magic;
	uint32_t major, kind;
	uint64_t size;
	uint32_t slots, slot_size;
	uint64_t done;		/* how many messages somebody said to be done with: pyipc_now_channel_done() */
	uint32_t done_changed, done_awaited;
	uint32_t watched;	/* 1: somebody polls the pipe by themselves: pyipc_channel_watch() */
	uint32_t reserved[19];
	struct side sent, received;
	struct arena arena;
	struct roster roster;
	uint32_t owners[EXTENTS];
	struct extent extents[EXTENTS];
	char blocks[];		/* and behind them, from a page on, the arena */
};

_Static_assert(sizeof(struct side) == 2 * LINES && offsetof(struct side, count) == LINES, "as said");
_Static_assert(sizeof(struct arena) == LINES, "in a pair of lines of its own");
_Static_assert(offsetof(struct channel, sent) % LINES == 0, "as said");
_Static_assert(offsetof(struct channel, blocks) % LINES == 0, "blocks begin at a line");

static inline struct channel *of(const struct pyipc_channel *c)
{
	return (struct channel *) c->memory;
}

static inline uint64_t rounded_up(uint64_t size, uint64_t unit)
{
	return (size + unit - 1) / unit * unit;
}

static inline uint64_t stride_of(uint32_t slot_size)
{
	return rounded_up(sizeof(struct block) + slot_size, LINES);
}

/* So many blocks has the ring: the next power of two. */
static inline uint32_t blocks_for(uint32_t slots)
{
	return slots > 1 ? UINT32_C(2) << (31 - __builtin_clz(slots - 1)) : 1;
}

static inline uint64_t spares_size(uint32_t slot_size)
{
	return rounded_up(SPARES * rounded_up(slot_size, LINES), PAGE);
}

/* What is not the arena. */
static inline uint64_t ring_size(uint32_t slots, uint32_t slot_size)
{
	return rounded_up(sizeof(struct channel) + blocks_for(slots) * stride_of(slot_size), PAGE);
}

/* Where the message of this place in their order lies. */
static inline struct block *block_at(const struct pyipc_channel *c, uint64_t place)
{
	return (struct block *) (of(c)->blocks + (place & c->mask) * stride_of(c->slot_size));
}

#endif
