/* SPDX-License-Identifier: MIT
 *
 * channel_layout.c -- to make a channel in fresh memory, and to take part in one.
 */
#include <unistd.h>

#include "channel_layout.h"

enum { MOST_SLOTS = 1 << 20, MOST_SLOT_SIZE = 1 << 24 };

/* How much memory it takes; -EINVAL of a geometry that it cannot have. */
int64_t pyipc_channel_memory(uint32_t slots, uint32_t slot_size)
{
	if (slots < 1 || slots > MOST_SLOTS || (slots & (slots - 1)) || slot_size < 1 || slot_size > MOST_SLOT_SIZE)
		return -EINVAL;
	return (int64_t) (blocks_at(slots) + slots * stride_of(slot_size));
}

/* Fresh memory, all zero, that nobody else has yet.  There is room, so a token says so. */
int pyipc_channel_format(char *memory, uint64_t size, uint32_t slots, uint32_t slot_size, int space_write)
{
	struct channel *ch = (struct channel *) memory;
	int64_t needed = pyipc_channel_memory(slots, slot_size);

	if (needed < 0 || (uint64_t) needed > size)
		return -EINVAL;
	ch->magic = LAYOUT_MAGIC;
	ch->major = LAYOUT_MAJOR;
	ch->size = size;
	ch->slots = slots;
	ch->slot_size = slot_size;
	for (uint32_t i = 0; i < slots; i++)
		ch->places[i] = i;
	if (write(space_write, "", 1) == -1 && errno != EAGAIN)	/* both ends are there: no SIGPIPE */
		return -errno;
	ch->received.token = 1;
	return 0;
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
	if (__atomic_load_n(&ch->major, __ATOMIC_RELAXED) != LAYOUT_MAJOR)
		return -EPROTONOSUPPORT;
	slots = __atomic_load_n(&ch->slots, __ATOMIC_RELAXED);
	slot_size = __atomic_load_n(&ch->slot_size, __ATOMIC_RELAXED);
	needed = pyipc_channel_memory(slots, slot_size);
	if (needed < 0 || (uint64_t) needed > size)
		return -EINVAL;
	c->memory = memory;
	c->slots = slots;
	c->slot_size = slot_size;
	c->looked_ns = 0;
	return pyipc_member_join(&c->me, memory + offsetof(struct channel, roster), life);
}
