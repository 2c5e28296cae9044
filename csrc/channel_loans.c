/* SPDX-License-Identifier: MIT
 *
 * channel_loans.c -- messages that lie in the arena: sent without a copy, and kept by who receives them.
 *
 * In the ring, such a message is the number of its extent.  Sender and receiver each write what the
 * extent is to become first, and then commit as for any other message: by the one store of a count.
 */
#define _GNU_SOURCE		/* sched_getcpu() */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "channel_sides.h"

static struct extent *extent_of(const struct pyipc_channel *c, uint32_t extent)
{
	return &of(c)->extents[extent];
}

/* What it is: each word read once, and checked. */
static int look_at(const struct pyipc_channel *c, uint32_t extent, struct pyipc_loan *ret_loan)
{
	uint64_t at = __atomic_load_n(&extent_of(c, extent)->at, __ATOMIC_RELAXED);
	uint64_t size = __atomic_load_n(&extent_of(c, extent)->size, __ATOMIC_RELAXED);
	uint64_t end = c->arena_size + c->spares_size;

	if (at > end || size > end - at)
		return -EBADMSG;
	*ret_loan = (struct pyipc_loan){ .at = c->arena_at + at, .size = size, .extent = extent };
	return 0;
}

/* ---- sending ---- */

/* The senders' guard is ours: so of two threads that send the same one, the second finds it sent. */
static int put_extent(struct pyipc_channel *c, uint32_t extent, uint64_t size)
{
	struct side *sent = &of(c)->sent;
	uint64_t count = __atomic_load_n(&sent->count, __ATOMIC_RELAXED);
	int64_t room = pyipc_channel_room_at(c, count, 1);
	int result;

	if (pyipc_arena_is_sent(c, extent) || owner_of_extent(c, extent) != c->me.id)
		return -EBADMSG;
	if (room <= 0)
		return room < 0 ? (int) room : -EAGAIN;
	__atomic_store_n(&extent_of(c, extent)->size, size, __ATOMIC_RELAXED);
	__atomic_store_n(&extent_of(c, extent)->place, count + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&block_at(c, count)->head, IN_EXTENT | extent, __ATOMIC_RELAXED);
	result = pyipc_channel_announce(c, count + 1);
	if (result < 0)
		__atomic_store_n(&extent_of(c, extent)->place, 0, __ATOMIC_RELAXED);
	return result;
}

static int commit_once(struct pyipc_channel *c, uint32_t extent, uint64_t size, int64_t deadline_ns)
{
	struct side *sent = &of(c)->sent;
	int result = lock_side(c, sent, deadline_ns);

	if (result < 0)
		return result;
	result = put_extent(c, extent, size);
	guard_unlock(&sent->guard);
	return result;
}

/* Send what was reserved, or the first part of it.  Unless it succeeds, it stays the caller's. */
int pyipc_channel_commit(struct pyipc_channel *c, const struct pyipc_loan *loan, uint64_t size, int64_t deadline_ns)
{
	int64_t net = 0;
	int result;

	if (size > loan->size || loan->extent >= EXTENTS)
		return -EINVAL;
	if (pyipc_channel_nobody_receives(c))
		return -EPIPE;
	while ((result = commit_once(c, loan->extent, size, deadline_ns)) == -EAGAIN) {
		result = pyipc_channel_wait(c, 0, deadline_ns, &net);
		if (result < 0)
			break;
	}
	return result;
}

/* A copy, of any size.  It waits for room before it copies: what is interrupted after that begins anew. */
int64_t pyipc_channel_send_long(struct pyipc_channel *c, const char *data, uint64_t size, int64_t deadline_ns)
{
	struct pyipc_loan loan;
	int64_t net = 0;
	int result = 0;

	while (!pyipc_channel_ready(c, 0) && result == 0)
		result = pyipc_channel_wait(c, 0, deadline_ns, &net);
	if (result == 0)
		result = pyipc_channel_reserve(c, size, deadline_ns, &loan);
	if (result < 0)
		return result;
	memcpy(c->memory + loan.at, data, size);
	result = pyipc_channel_commit(c, &loan, size, deadline_ns);
	if (result < 0)
		(void) pyipc_arena_release(c, loan.extent);
	return result;
}

/* ---- receiving ---- */

/* Take it over.  Whether it is kept is said first: until the count is past its place, it is in the ring,
 * whoever owns it. */
static void own_extent(struct pyipc_channel *c, uint32_t extent, int kept)
{
	/* Not before the ring names it (move_into_extent()): who died in between would leave a message that
	 * both comes and comes again.  Of the dead, what counts is the order of their instructions. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&extent_of(c, extent)->kept, kept != 0, __ATOMIC_RELAXED);
	/* Release: who finds us dead finds that. */
	__atomic_store_n(&of(c)->owners[extent], c->me.id, __ATOMIC_RELEASE);
}

static int take_orphan(struct pyipc_channel *c, uint64_t count, int kept, struct pyipc_loan *ret_loan)
{
	int extent = pyipc_arena_orphan(c, count);
	uint32_t owner;

	if (extent < 0)
		return extent;
	owner = owner_of_extent(c, (uint32_t) extent);
	if (look_at(c, (uint32_t) extent, ret_loan) < 0)
		return -EBADMSG;
	ret_loan->redelivered = 1;
	/* Until it is ours, it stays kept, lest it be taken for what died with its owner. */
	if (!__atomic_compare_exchange_n(&of(c)->owners[extent], &owner, c->me.id, 0, __ATOMIC_ACQ_REL,
					 __ATOMIC_RELAXED))
		return -EAGAIN;
	__atomic_store_n(&extent_of(c, (uint32_t) extent)->kept, kept != 0, __ATOMIC_RELAXED);
	return 0;
}

/* The message at this place moves from its slot into an extent that is ours: by one store, after which it
 * is as if it had been sent so. */
static void move_into_extent(struct pyipc_channel *c, uint64_t count, uint64_t size, const struct pyipc_loan *spare)
{
	struct block *block = block_at(c, count);

	memcpy(c->memory + spare->at, block->data, size);
	__atomic_store_n(&extent_of(c, spare->extent)->size, size, __ATOMIC_RELAXED);
	__atomic_store_n(&extent_of(c, spare->extent)->place, count + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&block->head, IN_EXTENT | spare->extent, __ATOMIC_RELEASE);
}

/* The next message, as an extent; -ENOBUFS if it lies in a slot, and there is no spare to move it into.
 * The receivers' guard is ours. */
static int take(struct pyipc_channel *c, int kept, struct pyipc_loan *spare, struct pyipc_loan *ret_loan)
{
	struct side *received = &of(c)->received;
	uint64_t count = __atomic_load_n(&received->count, __ATOMIC_RELAXED);
	int64_t waiting = pyipc_channel_waiting_at(c, count, 1);
	uint64_t head;
	uint32_t extent;
	int result;

	if (__atomic_load_n(&received->keeps, __ATOMIC_RELAXED)) {
		result = take_orphan(c, count, kept, ret_loan);
		if (result != -EAGAIN)
			return result;
	}
	if (waiting <= 0)
		return waiting < 0 ? (int) waiting : -EAGAIN;
	head = __atomic_load_n(&block_at(c, count)->head, __ATOMIC_RELAXED);
	if (head < IN_EXTENT) {
		if (head > c->slot_size)
			return -EBADMSG;
		if (spare->extent == EXTENTS)
			return -ENOBUFS;
		move_into_extent(c, count, head, spare);
		extent = spare->extent;
		spare->extent = EXTENTS;
	} else {
		extent = (uint32_t) head;
		/* By its place, it is the message of this turn, whoever owned it. */
		if (head - IN_EXTENT >= EXTENTS
		    || __atomic_load_n(&extent_of(c, extent)->place, __ATOMIC_RELAXED) != count + 1)
			return -EBADMSG;
	}
	result = look_at(c, extent, ret_loan);
	if (result < 0)
		return result;
	if (kept)
		__atomic_store_n(&received->keeps, 1, __ATOMIC_RELAXED);
	own_extent(c, extent, kept);
	note_processor(&received->processor);
	result = pyipc_channel_token(received, c->space_write);
	if (result < 0 && result != -EPIPE)
		return result;
	commit(received, count + 1);
	return 0;
}

static int take_once(struct pyipc_channel *c, int kept, struct pyipc_loan *spare, int64_t deadline_ns,
		     struct pyipc_loan *ret_loan)
{
	struct side *received = &of(c)->received;
	int result = lock_side(c, received, deadline_ns);

	if (result < 0)
		return result;
	result = take(c, kept, spare, ret_loan);
	guard_unlock(&received->guard);
	return result;
}

/* With a spare, if it takes one: that is chosen without the receivers' guard, since it may have to be
 * waited for. */
static int take_with_spare(struct pyipc_channel *c, int kept, struct pyipc_loan *spare, int64_t deadline_ns,
			   struct pyipc_loan *ret_loan)
{
	int result = take_once(c, kept, spare, deadline_ns, ret_loan);

	if (result != -ENOBUFS)
		return result;
	result = pyipc_channel_spare(c, deadline_ns, spare);
	return result < 0 ? result : take_once(c, kept, spare, deadline_ns, ret_loan);
}

/* Not to be sat upon while others need the memory. */
static void drop_spare(struct pyipc_channel *c, struct pyipc_loan *spare)
{
	if (spare->extent != EXTENTS)
		(void) pyipc_arena_release(c, spare->extent);
	spare->extent = EXTENTS;
}

/* The next message, without a copy if it lies in the arena.  If it is kept and this process dies before
 * it is released, another receiver gets it.  -ENOSPC: too much is kept already to keep one more. */
int pyipc_channel_take(struct pyipc_channel *c, int kept, int64_t deadline_ns, struct pyipc_loan *ret_loan)
{
	struct pyipc_loan spare = { .extent = EXTENTS }, loan;
	int64_t net = 0;
	int result;
	int over = 0;

	while ((result = take_with_spare(c, kept, &spare, deadline_ns, &loan)) == -EAGAIN) {
		if (over) {
			result = -EPIPE;
			break;
		}
		drop_spare(c, &spare);
		result = pyipc_channel_wait(c, 1, deadline_ns, &net);
		over = result == -EPIPE;
		if (result < 0 && !over)
			break;
	}
	drop_spare(c, &spare);
	if (result == 0)
		*ret_loan = loan;
	return result;
}

/* ---- giving back ---- */

/* Wake a receiver.  We have no end of that pipe to write to; one of those who send is opened for a moment.
 * The caller holds the pipes; another thread may close the handle and clear their numbers meanwhile, so
 * each is read once. */
static int wake_receivers(struct pyipc_channel *c)
{
	struct side *sent = &of(c)->sent;
	char path[sizeof "/proc/self/fd/-2147483648"];
	int data_write = __atomic_load_n(&c->data_write, __ATOMIC_RELAXED);
	int data_read = __atomic_load_n(&c->data_read, __ATOMIC_RELAXED);
	int end = data_write, result;

	if (data_write < 0 && data_read < 0)
		return -EBADF;
	if (data_write < 0) {
		(void) snprintf(path, sizeof path, "/proc/self/fd/%d", data_read);
		end = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		if (end == -1)
			return -errno;
	}
	result = lock_side(c, sent, 0);
	if (result == 0) {
		result = pyipc_channel_token(sent, end);
		guard_unlock(&sent->guard);
	}
	if (data_write < 0)
		(void) close(end);
	return result;
}

/* A message that was kept: let another receiver have it. */
int pyipc_channel_return(struct pyipc_channel *c, uint32_t extent)
{
	int result = pyipc_arena_give_up(c, extent);

	if (result == 0)
		(void) wake_receivers(c);	/* else they look around in a second */
	return result;
}
