/* SPDX-License-Identifier: MIT
 *
 * channel.c -- messages through a ring in shared memory, many senders and many receivers.
 *
 * Each side has a guard (guard.c), a counter, and a flag that says whether a token lies in its pipe.
 * A call changes what others see by ONE aligned store, of its counter.  Whoever dies before that store
 * has done nothing, and after it everything; so a guard that is taken from the dead needs no repair.
 * The protocol, its invariants and what is true at each step: docs/design/channels.md.
 *
 * Memory order.  `count` is stored with release and loaded with acquire: what the message is was
 * written before, and is read after; likewise a slot was read before it is counted as free.  All other
 * words of a side are written under its guard, and read under it, or as a hint.  Nothing needs a fence
 * between a store and a later load of another word: whoever goes to sleep takes the guard of those who
 * would wake it.
 */
#define _GNU_SOURCE		/* sched_getcpu() */
#include <string.h>

#include "channel_sides.h"

/* ---- sending ---- */

/* How many messages there is room for; asked of the receivers only if what is known is not enough. */
int64_t pyipc_channel_room_at(struct pyipc_channel *c, uint64_t count, uint32_t wanted)
{
	struct side *sent = &of(c)->sent;
	uint64_t waiting = count - __atomic_load_n(&sent->seen, __ATOMIC_RELAXED);

	if (waiting > c->slots || c->slots - waiting < wanted) {
		uint64_t received = count_of(&of(c)->received);

		waiting = count - received;
		if (waiting > c->slots)
			return -EBADMSG;
		__atomic_store_n(&sent->seen, received, __ATOMIC_RELAXED);
	}
	return (int64_t) (c->slots - waiting);
}

/* Where messages are: behind one another, or each elsewhere. */
struct source {
	const char *data;
	const char *const *each;
};

/* The token that wakes receivers, then the commit: so whoever dies in between has woken them in vain.
 *
 * But one that sleeps on this processor would take it from us inside write(2), find nothing, and have to
 * wait for our guard: two switches more each time, which is twice as long as a message takes.  So there
 * the commit comes first.  Who is killed in between leaves a message that is found by the next send, or
 * within a second; but for that nobody must wait by the pipe alone.  The senders' guard is ours. */
int pyipc_channel_announce(struct pyipc_channel *c, uint64_t count)
{
	struct channel *ch = of(c);
	int late = !__atomic_load_n(&ch->sent.token, __ATOMIC_RELAXED) && ran_here(&ch->received.processor)
		   && !__atomic_load_n(&ch->watched, __ATOMIC_RELAXED);
	int result;

	note_processor(&ch->sent.processor);
	if (late)
		commit(&ch->sent, count);
	result = pyipc_channel_token(&ch->sent, c->data_write);
	if (result == 0 && !late)
		commit(&ch->sent, count);
	return result;
}

/* As many of these as there is room for: all of those, or none.  The senders' guard is ours. */
static int64_t put(struct pyipc_channel *c, struct source from, const uint32_t *sizes, uint32_t messages)
{
	struct side *sent = &of(c)->sent;
	uint64_t count = __atomic_load_n(&sent->count, __ATOMIC_RELAXED);
	int64_t room = pyipc_channel_room_at(c, count, messages);
	int result;

	if (room <= 0)
		return room < 0 ? room : -EAGAIN;
	if (messages > room)
		messages = (uint32_t) room;
	for (uint32_t i = 0; i < messages; i++) {
		struct block *block = block_at(c, count + i);

		memcpy(block->data, from.each ? from.each[i] : from.data, sizes[i]);
		__atomic_store_n(&block->head, sizes[i], __ATOMIC_RELAXED);
		if (!from.each)
			from.data += sizes[i];
	}
	result = pyipc_channel_announce(c, count + messages);
	return result < 0 ? result : (int64_t) messages;
}

static int too_long(const struct pyipc_channel *c, const uint32_t *sizes, uint32_t messages)
{
	for (uint32_t i = 0; i < messages; i++)
		if (sizes[i] > c->slot_size)
			return 1;
	return 0;
}

static int64_t try_to_send(struct pyipc_channel *c, struct source from, const uint32_t *sizes, uint32_t messages)
{
	struct side *sent = &of(c)->sent;
	int64_t result;

	if (messages == 0 || too_long(c, sizes, messages))
		return messages == 0 ? 0 : -EMSGSIZE;
	if (pyipc_channel_nobody_receives(c))
		return -EPIPE;
	result = try_lock(c, &sent->guard);
	if (result < 0)
		return result;
	result = put(c, from, sizes, messages);
	guard_unlock(&sent->guard);
	return result;
}

/* At once: how many of these messages, which lie behind one another, were sent; or -EAGAIN: there is no
 * room, or others are at it. */
int64_t pyipc_now_channel_send(struct pyipc_channel *c, const char *data, const uint32_t *sizes, uint32_t messages)
{
	return try_to_send(c, (struct source){ .data = data }, sizes, messages);
}

/* The same of messages that lie anywhere. */
int64_t pyipc_now_channel_send_each(struct pyipc_channel *c, const char *const *each, const uint32_t *sizes,
				    uint32_t messages)
{
	return try_to_send(c, (struct source){ .each = each }, sizes, messages);
}

/* ---- receiving ---- */

/* How many messages wait; asked of the senders only if what is known is not enough. */
int64_t pyipc_channel_waiting_at(struct pyipc_channel *c, uint64_t count, uint32_t wanted)
{
	struct side *received = &of(c)->received;
	uint64_t waiting = __atomic_load_n(&received->seen, __ATOMIC_RELAXED) - count;

	if (waiting > c->slots || waiting < wanted) {
		uint64_t sent = count_of(&of(c)->sent);

		waiting = sent - count;
		if (waiting > c->slots)
			return -EBADMSG;
		__atomic_store_n(&received->seen, sent, __ATOMIC_RELAXED);
	}
	return (int64_t) waiting;
}

/* The message at this place, if it fits: its size.  It is read once, before it is looked at. */
static int64_t copy_out(const struct pyipc_channel *c, uint64_t place, char *ret_data, uint64_t room)
{
	const struct block *block = block_at(c, place);
	uint64_t size = __atomic_load_n(&block->head, __ATOMIC_RELAXED);

	if (size > c->slot_size)
		return size < IN_EXTENT ? -EBADMSG : -EMSGSIZE;
	if (size > room)
		return -EMSGSIZE;
	memcpy(ret_data, block->data, size);
	return (int64_t) size;
}

/* How soon a receiver that is kept busy finds that another has died with a message. */
enum { SCAN_NS = 50000000 };

static int has_come_back(struct pyipc_channel *c, uint64_t count)
{
	int64_t now;

	if (!__atomic_load_n(&of(c)->received.keeps, __ATOMIC_RELAXED))
		return 0;
	now = coarse_ns();
	if (now - __atomic_load_n(&c->scanned_ns, __ATOMIC_RELAXED) < SCAN_NS)
		return 0;
	if (pyipc_arena_orphan(c, count) >= 0)
		return 1;
	__atomic_store_n(&c->scanned_ns, now, __ATOMIC_RELAXED);
	return 0;
}

/* Up to so many messages, behind one another, as long as they fit.  -EMSGSIZE: the first does not, or lies
 * in the arena, and is for pyipc_channel_take().  The receivers' guard is ours. */
static int64_t get(struct pyipc_channel *c, char *ret_data, uint64_t room, uint32_t *ret_sizes, uint32_t messages)
{
	struct side *received = &of(c)->received;
	uint64_t count = __atomic_load_n(&received->count, __ATOMIC_RELAXED);
	int64_t waiting = pyipc_channel_waiting_at(c, count, messages);
	uint32_t taken = 0;
	int result;

	if (has_come_back(c, count))
		return -EMSGSIZE;
	if (waiting <= 0)
		return waiting < 0 ? waiting : -EAGAIN;
	while (taken < messages && taken < waiting) {
		int64_t size = copy_out(c, count + taken, ret_data, room);

		if (size == -EMSGSIZE && taken > 0)
			break;
		if (size < 0)
			return size;
		ret_sizes[taken++] = (uint32_t) size;
		ret_data += size;
		room -= (uint64_t) size;
	}
	note_processor(&received->processor);
	result = pyipc_channel_token(received, c->space_write);
	if (result < 0 && result != -EPIPE)	/* nobody sends any more, but what they sent is here */
		return result;
	commit(received, count + taken);
	return taken;
}

/* At once: how many messages came, or -EAGAIN: there is none, or others are at it. */
int64_t pyipc_now_channel_receive(struct pyipc_channel *c, char *ret_data, uint64_t room, uint32_t *ret_sizes,
				  uint32_t messages)
{
	struct side *received = &of(c)->received;
	int64_t result;

	if (messages == 0)
		return 0;
	result = try_lock(c, &received->guard);
	if (result < 0)
		return result;
	result = get(c, ret_data, room, ret_sizes, messages);
	guard_unlock(&received->guard);
	return result;
}

/* How many messages wait; of two words that move, so a little more or less. */
int64_t pyipc_now_channel_depth(const struct pyipc_channel *c)
{
	uint64_t received = count_of(&of(c)->received);
	uint64_t depth = count_of(&of(c)->sent) - received;

	return depth <= c->slots ? (int64_t) depth : c->slots;
}

/* How many were sent, or received, ever. */
int64_t pyipc_now_channel_count(const struct pyipc_channel *c, int received)
{
	return (int64_t) (count_of(received ? &of(c)->received : &of(c)->sent) & INT64_MAX);
}

/* ---- and waiting ---- */

static int64_t send_once(struct pyipc_channel *c, const char *data, const uint32_t *sizes, uint32_t messages,
			 int64_t deadline_ns)
{
	struct side *sent = &of(c)->sent;
	int64_t result = lock_side(c, sent, deadline_ns);

	if (result < 0)
		return result;
	result = put(c, (struct source){ .data = data }, sizes, messages);
	guard_unlock(&sent->guard);
	return result;
}

static int64_t receive_once(struct pyipc_channel *c, char *ret_data, uint64_t room, uint32_t *ret_sizes,
			    uint32_t messages, int64_t deadline_ns)
{
	struct side *received = &of(c)->received;
	int64_t result = lock_side(c, received, deadline_ns);

	if (result < 0)
		return result;
	result = get(c, ret_data, room, ret_sizes, messages);
	guard_unlock(&received->guard);
	return result;
}

/* Waits for room for one; a deadline that has passed still tries once. */
int64_t pyipc_channel_send(struct pyipc_channel *c, const char *data, const uint32_t *sizes, uint32_t messages,
			   int64_t deadline_ns)
{
	int64_t result, net = 0;

	if (messages == 0 || too_long(c, sizes, messages))
		return messages == 0 ? 0 : -EMSGSIZE;
	if (pyipc_channel_nobody_receives(c))
		return -EPIPE;
	while ((result = send_once(c, data, sizes, messages, deadline_ns)) == -EAGAIN) {
		result = pyipc_channel_wait(c, 0, deadline_ns, &net);
		if (result < 0)
			return result;
	}
	return result;
}

/* Waits for a message; -EPIPE when there is none and nobody sends any more. */
int64_t pyipc_channel_receive(struct pyipc_channel *c, char *ret_data, uint64_t room, uint32_t *ret_sizes,
			      uint32_t messages, int64_t deadline_ns)
{
	int64_t result, net = 0;
	int over = 0;

	if (messages == 0)
		return 0;
	while ((result = receive_once(c, ret_data, room, ret_sizes, messages, deadline_ns)) == -EAGAIN) {
		if (over)		/* looked at once more after the end was seen */
			return -EPIPE;
		result = pyipc_channel_wait(c, 1, deadline_ns, &net);
		over = result == -EPIPE;
		if (result < 0 && !over)
			return result;
	}
	return result;
}

/* Wait until the next call would not have to: for a message, or for room.  -EPIPE at the end. */
int pyipc_channel_until(struct pyipc_channel *c, int for_data, int64_t deadline_ns)
{
	int64_t net = 0;
	int over = 0;

	if (c->me.id == 0)
		return -ENOTCONN;
	if (!for_data && pyipc_channel_nobody_receives(c))
		return -EPIPE;
	while (!pyipc_channel_ready(c, for_data)) {
		int result;

		if (over)
			return -EPIPE;
		if (for_data && pyipc_channel_has_come_back(c))
			return 0;
		result = pyipc_channel_wait(c, for_data, deadline_ns, &net);
		over = result == -EPIPE;
		if (result < 0 && !over)
			return result;
	}
	return 0;
}

/* From now on somebody waits by the pipe of receivers alone, with select(2) say. */
int pyipc_channel_watch(struct pyipc_channel *c)
{
	struct channel *ch = of(c);
	int result;

	if (__atomic_load_n(&ch->watched, __ATOMIC_RELAXED))
		return 0;
	result = lock_side(c, &ch->sent, 0);	/* after this, whoever sends knows it */
	__atomic_store_n(&ch->watched, 1, __ATOMIC_RELAXED);
	if (result == 0)
		guard_unlock(&ch->sent.guard);
	return result == -ENOTCONN ? result : 0;
}
