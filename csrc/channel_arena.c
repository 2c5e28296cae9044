/* SPDX-License-Identifier: MIT
 *
 * channel_arena.c -- memory for messages that are passed without a copy, or are longer than a slot.
 *
 * Who owns an extent is one word: 0, or an id of the roster.  What else must be known is not stored but
 * follows from it, so that a death at any instruction leaves nothing to repair:
 *
 *	owner		place				the extent is
 *	0		-				free
 *	alive		-				in use: being filled, waiting in the ring, or looked at
 *	dead		0				free: it was being filled
 *	dead		in the ring, which names it	waiting there
 *	dead		in the ring, which does not	free: it was about to be sent, or to be moved into
 *	dead		up to received.count, kept	a message that came, and wants another receiver
 *	dead		up to received.count		free: a message that died with who had it
 *
 * An owner is changed by a compare-and-swap, or by itself; ids do not come back, so what was seen of a
 * dead owner holds if the swap succeeds.
 */
#define _GNU_SOURCE		/* fallocate(), sched_getcpu() */
#include <fcntl.h>
#include <limits.h>

#include "channel_sides.h"
#include "futex.h"

/* ---- whose it is ---- */

static int is_of_the_dead(const struct pyipc_channel *c, uint32_t owner)
{
	return owner != 0 && !pyipc_roster_is_alive(&c->me, owner);
}

/* Did the message that is there come to somebody?  (As far as those count who hold a guard.) */
static int came(const struct extent *e, uint64_t received)
{
	uint64_t place = __atomic_load_n(&e->place, __ATOMIC_RELAXED);

	return place != 0 && place <= received;
}

static int is_kept(const struct extent *e)
{
	return __atomic_load_n(&e->kept, __ATOMIC_RELAXED) != 0;
}

/* Wake all who wait for something to change here.  In one order for all, with what pyipc_arena_hungry()
 * does: either we see that somebody waits, or they see what has changed. */
static void tell_the_hungry(struct arena *arena)
{
	(void) __atomic_fetch_add(&arena->freed, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&arena->hungry, __ATOMIC_SEQ_CST)
	    && __atomic_exchange_n(&arena->hungry, 0, __ATOMIC_SEQ_CST))
		futex_wake(&arena->freed, INT_MAX);
}

/* Before a last look at what one waits for, and pyipc_arena_wait() with what this says. */
uint32_t pyipc_arena_hungry(struct pyipc_channel *c)
{
	__atomic_store_n(&of(c)->arena.hungry, 1, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&of(c)->arena.freed, __ATOMIC_SEQ_CST);
}

/* Give it to nobody, or to one who is nobody. */
static int give_from(struct pyipc_channel *c, uint32_t extent, uint32_t owner, uint32_t next)
{
	if (!__atomic_compare_exchange_n(&of(c)->owners[extent], &owner, next, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		return -EBADMSG;
	tell_the_hungry(&of(c)->arena);
	return 0;
}

static int free_from(struct pyipc_channel *c, uint32_t extent, uint32_t owner)
{
	return give_from(c, extent, owner, 0);
}

/* Of one whose owner is dead, and whose place is not past.  Only an owner sends what is its own: what is
 * not in the ring when its owner has died will never be. */
static int is_in_the_ring(const struct pyipc_channel *c, uint32_t extent)
{
	uint64_t place = __atomic_load_n(&of(c)->extents[extent].place, __ATOMIC_RELAXED);

	return place <= count_of(&of(c)->sent)
	       && __atomic_load_n(&block_at(c, place - 1)->head, __ATOMIC_RELAXED) == (IN_EXTENT | extent);
}

/* What died with its owner.  Of what may wait in the ring, that can be said only while the ring stands
 * still: how many more there are is told then. */
static int reap_as(struct pyipc_channel *c, int stands_still, int *ret_doubtful)
{
	uint64_t received = count_of(&of(c)->received);
	int reaped = 0;

	*ret_doubtful = 0;
	for (uint32_t i = 0; i < EXTENTS; i++) {
		const struct extent *e = &of(c)->extents[i];
		uint32_t owner = owner_of_extent(c, i);
		int waits;

		if (!is_of_the_dead(c, owner) || (came(e, received) && is_kept(e)))
			continue;
		waits = __atomic_load_n(&e->place, __ATOMIC_RELAXED) > received;
		if (waits && !stands_still)
			++*ret_doubtful;
		else if (!waits || !is_in_the_ring(c, i))
			reaped += free_from(c, i, owner) == 0;
	}
	return reaped;
}

/* Under the arena's guard, before that of the receivers; nobody takes them the other way round. */
static int reap(struct pyipc_channel *c)
{
	struct side *received = &of(c)->received;
	int doubtful, reaped = reap_as(c, 0, &doubtful);

	if (doubtful && lock_side(c, received, 0) == 0) {
		reaped += reap_as(c, 1, &doubtful);
		guard_unlock(&received->guard);
	}
	return reaped;
}

/* A message that came to somebody who has died before they were through with it; under the receivers'
 * guard.  Its number, or -EAGAIN: there is none. */
int pyipc_arena_orphan(struct pyipc_channel *c, uint64_t received)
{
	for (uint32_t i = 0; i < EXTENTS; i++) {
		const struct extent *e = &of(c)->extents[i];
		uint32_t owner = owner_of_extent(c, i);

		if (owner != 0 && is_kept(e) && came(e, received) && is_of_the_dead(c, owner))
			return (int) i;
	}
	return -EAGAIN;
}

/* May a message that another has come back? */
int pyipc_arena_others_keep(struct pyipc_channel *c)
{
	uint64_t received = count_of(&of(c)->received);

	for (uint32_t i = 0; i < EXTENTS; i++) {
		const struct extent *e = &of(c)->extents[i];
		uint32_t owner = owner_of_extent(c, i);

		if (owner != 0 && owner != c->me.id && is_kept(e) && came(e, received))
			return 1;
	}
	return 0;
}

/* Until a receiver takes it, the owner of what was sent is its sender: whom a signal may have kept from
 * learning that it was, and who must neither free it nor send it twice. */
int pyipc_arena_is_sent(const struct pyipc_channel *c, uint32_t extent)
{
	const struct extent *e = &of(c)->extents[extent];

	return __atomic_load_n(&e->place, __ATOMIC_RELAXED) != 0 && !came(e, count_of(&of(c)->received));
}

/* May we give it away?  A forked child has copies of what its parent owns, and Python drops some of them,
 * what other threads had, before any hook of ours has run there: so the pid is asked, too. */
static int is_ours(const struct pyipc_channel *c, uint32_t extent)
{
	/* In this order: who sees by the count that somebody took it sees then that it is theirs. */
	return extent < EXTENTS && c->me.id != 0 && c->me.pid == getpid() && !pyipc_arena_is_sent(c, extent)
	       && owner_of_extent(c, extent) == c->me.id;
}

/* A kept message is done with: if this process dies from now on, it does not come back. */
int pyipc_now_channel_acknowledge(struct pyipc_channel *c, uint32_t extent)
{
	if (!is_ours(c, extent))
		return -EBADMSG;
	__atomic_store_n(&of(c)->extents[extent].kept, 0, __ATOMIC_RELAXED);
	return 0;
}

/* Nobody needs it any more. */
int pyipc_arena_release(struct pyipc_channel *c, uint32_t extent)
{
	int result = pyipc_now_channel_acknowledge(c, extent);

	return result < 0 ? result : free_from(c, extent, c->me.id);
}

/* No member has this id: who owns it is dead. */
enum { NO_MEMBER = 1 << SLOT_BITS };

/* A message that was kept: another receiver may have it. */
int pyipc_arena_give_up(struct pyipc_channel *c, uint32_t extent)
{
	if (!is_ours(c, extent) || !is_kept(&of(c)->extents[extent]))
		return -EBADMSG;
	return give_from(c, extent, c->me.id, NO_MEMBER);
}

/* Whoever had it has lost it from sight: what was kept comes back, to who looks next; all else is free. */
int pyipc_now_channel_drop(struct pyipc_channel *c, uint32_t extent)
{
	if (!is_ours(c, extent))
		return -EBADMSG;
	return is_kept(&of(c)->extents[extent]) ? pyipc_arena_give_up(c, extent) : free_from(c, extent, c->me.id);
}

/* The same, for a destructor that cffi calls with the memory that nobody sees any more. */
int pyipc_now_channel_drop_loan(struct pyipc_channel *c, const struct pyipc_loan *loan, const char *memory)
{
	(void) memory;
	return pyipc_now_channel_drop(c, loan->extent);
}

/* Has one been given up?  (Who has died is found elsewhere: that takes a system call each.) */
int pyipc_arena_returned(struct pyipc_channel *c)
{
	if (__atomic_load_n(&of(c)->received.keeps, __ATOMIC_RELAXED))
		for (uint32_t i = 0; i < EXTENTS; i++)
			if (owner_of_extent(c, i) == NO_MEMBER && is_kept(&of(c)->extents[i]))
				return 1;
	return 0;
}

/* ---- a place for it ---- */

/* No two begin at the same place. */
static uint64_t room_for(uint64_t size)
{
	return rounded_up(size ? size : 1, LINES);
}

struct range {
	uint64_t begin, end;
};

/* What is in use, each read once; and the number of an extent that is not, or EXTENTS. */
static int look_around(const struct pyipc_channel *c, struct range *ret_ranges, uint32_t *ret_free)
{
	uint64_t end = c->arena_size + c->spares_size;
	int ranges = 0;

	*ret_free = EXTENTS;
	for (uint32_t i = EXTENTS; i-- > 0;) {
		const struct extent *e = &of(c)->extents[i];
		uint64_t at, size;

		if (owner_of_extent(c, i) == 0) {
			*ret_free = i;
			continue;
		}
		at = __atomic_load_n(&e->at, __ATOMIC_RELAXED);
		size = __atomic_load_n(&e->size, __ATOMIC_RELAXED);
		if (at < end && size <= end - at)	/* else a peer has put nonsense there */
			ret_ranges[ranges++] = (struct range){ at, at + room_for(size) };
	}
	return ranges;
}

/* The first place that is long enough: so memory that was used before is used again. */
static int64_t first_fit(const struct range *ranges, int count, uint64_t size, uint64_t end)
{
	uint64_t at = 0;

	for (int i = 0; i < count; i++) {
		if (ranges[i].begin >= at + size || ranges[i].end <= at)
			continue;
		at = ranges[i].end;
		i = -1;		/* which only ever moves it on */
	}
	return at <= end && size <= end - at ? (int64_t) at : -ENOSPC;
}

/* The arena's guard is ours. */
static int choose(struct pyipc_channel *c, uint64_t size, int spare, struct pyipc_loan *ret_loan)
{
	struct range ranges[EXTENTS];
	uint32_t extent;
	int count = look_around(c, ranges, &extent);
	int64_t at = first_fit(ranges, count, room_for(size), c->arena_size + (spare ? c->spares_size : 0));
	struct extent *e;

	if (extent >= (uint32_t) (spare ? EXTENTS : EXTENTS - SPARES) || at < 0)
		return -ENOSPC;
	e = &of(c)->extents[extent];
	__atomic_store_n(&e->at, (uint64_t) at, __ATOMIC_RELAXED);
	__atomic_store_n(&e->size, size, __ATOMIC_RELAXED);
	__atomic_store_n(&e->place, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&e->kept, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&of(c)->owners[extent], c->me.id, __ATOMIC_RELEASE);
	*ret_loan = (struct pyipc_loan){ .at = c->arena_at + (uint64_t) at, .size = size, .extent = extent };
	return 0;
}

/* -ENOSPC: there is no room for it now. */
static int allocate(struct pyipc_channel *c, uint64_t size, int spare, int64_t deadline_ns, struct pyipc_loan *ret_loan)
{
	struct arena *arena = &of(c)->arena;
	uint64_t most = c->arena_size + (spare ? c->spares_size : 0);
	int result;

	if (size > most || room_for(size) > most)
		return -EMSGSIZE;
	result = lock(c, &arena->guard, &arena->processor, deadline_ns);
	if (result < 0)
		return result;
	note_processor(&arena->processor);
	result = choose(c, size, spare, ret_loan);
	if (result == -ENOSPC && reap(c))
		result = choose(c, size, spare, ret_loan);
	guard_unlock(&arena->guard);
	return result;
}

/* Its pages, so that writing there cannot fail. They stay for those who come later. */
static int make_present(struct pyipc_channel *c, uint64_t end)
{
	enum { PIECE = 4 << 20 };	/* one that signals do not keep from ever being done */

	for (;;) {
		uint64_t reserved = __atomic_load_n(&c->reserved, __ATOMIC_RELAXED);
		int64_t result;

		if (reserved >= end)
			return 0;
		result = neg_errno(fallocate(c->me.life, FALLOC_FL_KEEP_SIZE, (off_t) reserved,
					     end - reserved < PIECE ? (off_t) (end - reserved) : PIECE));
		if (result < 0)
			return (int) (result == -ENOSPC ? -ENOMEM : result);
		reserved += end - reserved < PIECE ? end - reserved : PIECE;
		__atomic_store_n(&c->reserved, reserved, __ATOMIC_RELAXED);
	}
}

/* ---- waiting for one ---- */

/* How soon who waits finds that an owner has died, or all receivers: at first. */
enum { HUNGRY_NS = PYIPC_SECOND / 10 };

/* Later a quarter of the time that it has waited already, in all calls since -EINTR; and a second at most. */
static int64_t slice_of(struct pyipc_channel *c, int64_t now)
{
	int64_t begun = __atomic_load_n(&c->hungry_ns, __ATOMIC_RELAXED);
	int64_t slice;

	if (begun == 0)
		__atomic_store_n(&c->hungry_ns, begun = now, __ATOMIC_RELAXED);
	slice = (now - begun) / 4;
	return slice < HUNGRY_NS ? HUNGRY_NS : slice < NET_NS ? slice : NET_NS;
}

/* Until something was freed since `seen`, or so long: 0, or -EINTR. */
int pyipc_arena_wait(struct pyipc_channel *c, uint32_t seen, int64_t span_ns)
{
	int64_t result;

	count_one(&c->sleeps);
	result = futex_wait(&of(c)->arena.freed, seen, span_ns);
	return result == -EINTR ? -EINTR : 0;
}

static int allocate_in_time(struct pyipc_channel *c, uint64_t size, int64_t deadline_ns, struct pyipc_loan *ret_loan)
{
	int64_t net = monotonic_ns() + NET_NS;
	int result = allocate(c, size, 0, deadline_ns, ret_loan);

	while (result == -ENOSPC) {
		uint32_t seen = pyipc_arena_hungry(c);
		int64_t now, slice;

		result = allocate(c, size, 0, deadline_ns, ret_loan);
		if (result != -ENOSPC)
			return result;
		now = monotonic_ns();
		if (now >= deadline_ns)
			return -ETIMEDOUT;
		if (pyipc_channel_nobody_receives(c))
			return -EPIPE;
		if (now >= net)
			return -EINTR;
		slice = slice_of(c, now);
		if (pyipc_arena_wait(c, seen, deadline_ns - now < slice ? deadline_ns - now : slice) < 0)
			return -EINTR;
	}
	return result;
}

/* So many bytes, to be filled and committed, or released; they are not zero. */
int pyipc_channel_reserve(struct pyipc_channel *c, uint64_t size, int64_t deadline_ns, struct pyipc_loan *ret_loan)
{
	struct pyipc_loan loan;
	int result = allocate_in_time(c, size, deadline_ns, &loan);

	if (result != -EINTR)
		__atomic_store_n(&c->hungry_ns, 0, __ATOMIC_RELAXED);
	if (result < 0)
		return result;
	result = make_present(c, loan.at + size);
	if (result < 0) {
		(void) pyipc_arena_release(c, loan.extent);
		return result;
	}
	*ret_loan = loan;
	return 0;
}

/* One that any message of a slot fits into; -ENOSPC at once if there is none. */
int pyipc_channel_spare(struct pyipc_channel *c, int64_t deadline_ns, struct pyipc_loan *ret_loan)
{
	int result = allocate(c, c->slot_size, 1, deadline_ns, ret_loan);

	if (result < 0)
		return result == -EMSGSIZE ? -ENOSPC : result;
	result = make_present(c, ret_loan->at + c->slot_size);
	if (result < 0) {
		(void) pyipc_arena_release(c, ret_loan->extent);
		ret_loan->extent = EXTENTS;
	}
	return result;
}
