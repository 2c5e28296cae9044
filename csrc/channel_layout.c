/* SPDX-License-Identifier: MIT
 *
 * channel_layout.c -- to make a channel in fresh memory, and to take part in one.
 */
#include <unistd.h>

#include "channel_layout.h"

/* A guard is held while a slot is copied: not for long. */
enum { MOST_SLOTS = 1 << 20, MOST_SLOT_SIZE = 1 << 16 };

/* How much memory it takes; -EINVAL of a geometry that it cannot have. */
int64_t pyipc_channel_memory(uint32_t slots, uint32_t slot_size, uint64_t arena)
{
	if (slots < 1 || slots > MOST_SLOTS || slot_size < 1 || slot_size > MOST_SLOT_SIZE
	    || arena > INT64_MAX / 2)
		return -EINVAL;
	return (int64_t) (ring_size(slots, slot_size) + rounded_up(arena, PAGE)
			  + (arena ? spares_size(slot_size) : 0));
}

/* Fresh memory, all zero, that nobody else has yet.  There is room, so a token says so. */
int64_t pyipc_channel_format(char *memory, uint64_t size, uint32_t slots, uint32_t slot_size, int space_write)
{
	struct channel *ch = (struct channel *) memory;
	int64_t needed = pyipc_channel_memory(slots, slot_size, 0);

	if (needed < 0 || (uint64_t) needed > size)
		return -EINVAL;
	ch->magic = LAYOUT_MAGIC;
	ch->major = LAYOUT_MAJOR;
	ch->kind = KIND_QUEUE;
	ch->size = size;
	ch->slots = slots;
	ch->slot_size = slot_size;
	if (write(space_write, "", 1) == -1 && errno != EAGAIN)	/* both ends are there: no SIGPIPE */
		return -errno;
	ch->received.token = 1;
	return needed;
}

/* Take part.  The geometry is copied and checked here, once; the size is that of the mapping.  The
 * caller has put in its ends of the pipes; life is a description of the memory that is nobody else's. */
int pyipc_channel_open(struct pyipc_channel *c, char *memory, uint64_t size, int32_t life)
{
	const struct channel *ch = (const struct channel *) memory;
	uint32_t slots, slot_size;
	int64_t needed;

	if (size < sizeof *ch || __atomic_load_n(&ch->magic, __ATOMIC_RELAXED) != LAYOUT_MAGIC)
		return -EINVAL;
	if (__atomic_load_n(&ch->major, __ATOMIC_RELAXED) != LAYOUT_MAJOR
	    || __atomic_load_n(&ch->kind, __ATOMIC_RELAXED) != KIND_QUEUE)
		return -EPROTONOSUPPORT;
	slots = __atomic_load_n(&ch->slots, __ATOMIC_RELAXED);
	slot_size = __atomic_load_n(&ch->slot_size, __ATOMIC_RELAXED);
	needed = pyipc_channel_memory(slots, slot_size, 0);
	if (needed < 0 || (uint64_t) needed > size)
		return -EINVAL;
	c->memory = memory;
	c->slots = slots;
	c->mask = blocks_for(slots) - 1;
	c->slot_size = slot_size;
	c->arena_at = c->reserved = (uint64_t) needed;
	c->arena_size = size - (uint64_t) needed;
	c->spares_size = c->arena_size > spares_size(slot_size) ? spares_size(slot_size) : 0;
	c->arena_size -= c->spares_size;
	c->looked_ns = c->scanned_ns = c->hungry_ns = c->waited_ns = 0;
	return pyipc_member_join(&c->me, memory + offsetof(struct channel, roster), life);
}
