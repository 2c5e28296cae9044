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

/* Two lines: processors fetch them in pairs. */
enum { LINES = 128 };

/* What is written at either end: by senders under their guard, by receivers under theirs. */
struct side {
	uint32_t guard;
	uint32_t token;		/* 1: a token lies in the pipe */
	uint64_t count;		/* of messages sent, or received: the commit */
	uint64_t seen;		/* the other side's count, as it was when it mattered last */
	uint32_t processor;	/* where the last of them ran */
	uint32_t unused[25];
};

/* What a message is lies before it, and not in a table of such: there, the line that a sender writes
 * would be the one that a receiver reads. */
struct block {
	uint32_t size;
	uint32_t unused[3];
	char data[];
};

struct channel {
	uint64_t magic;
	uint32_t major, unused;
	uint64_t size;
	uint32_t slots, slot_size;
	uint32_t reserved[24];
	struct side sent, received;
	struct roster roster;
	uint32_t places[];	/* slots of them, each the number of a block; behind those, the blocks */
};

_Static_assert(sizeof(struct side) == LINES, "no two sides in one pair of lines");
_Static_assert(offsetof(struct channel, sent) % LINES == 0, "as said");
_Static_assert(offsetof(struct channel, places) % LINES == 0, "blocks begin at a line");

static inline struct channel *of(const struct pyipc_channel *c)
{
	return (struct channel *) c->memory;
}

static inline uint64_t stride_of(uint32_t slot_size)
{
	return (sizeof(struct block) + slot_size + LINES - 1) / LINES * LINES;
}

static inline uint64_t blocks_at(uint32_t slots)
{
	return sizeof(struct channel) + ((uint64_t) slots * sizeof(uint32_t) + LINES - 1) / LINES * LINES;
}

/* The block at a place of the ring; NULL if a peer has put nonsense there. */
static inline struct block *block_at(const struct pyipc_channel *c, uint64_t count)
{
	uint32_t number = __atomic_load_n(&of(c)->places[count & (c->slots - 1)], __ATOMIC_RELAXED);

	if (number >= c->slots)
		return NULL;
	return (struct block *) (c->memory + blocks_at(c->slots) + number * stride_of(c->slot_size));
}

#endif
