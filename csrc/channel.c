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
#define _GNU_SOURCE		/* ppoll(), sched_getcpu() */
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "channel_layout.h"

/* How long a sleeper that nobody wakes (its tokens were stolen) sleeps on; the shortest span at which
 * it costs next to nothing. */
enum { NET_NS = PYIPC_SECOND };

/* How old a sender's knowledge that somebody receives may be. */
enum { LOOK_NS = 50000000 };

/* Of figures that threads of a process share. */
static void count_one(uint64_t *figure)
{
	(void) __atomic_fetch_add(figure, 1, __ATOMIC_RELAXED);
}

/* A program may have SIGPIPE kill it.  There is no write(2) to a pipe without it (RWF_NOSIGNAL is of
 * Linux 6.18), so it is blocked meanwhile, and taken away if it was not pending before. */
static int64_t write_without_sigpipe(int pipe)
{
	static const struct timespec at_once;
	sigset_t broken, pending, before;
	int64_t result;

	(void) sigemptyset(&broken);
	(void) sigaddset(&broken, SIGPIPE);
	(void) sigemptyset(&pending);
	(void) sigpending(&pending);
	(void) pthread_sigmask(SIG_BLOCK, &broken, &before);
	result = neg_errno(write(pipe, "", 1));
	if (result == -EPIPE && !sigismember(&pending, SIGPIPE))
		(void) sigtimedwait(&broken, NULL, &at_once);
	(void) pthread_sigmask(SIG_SETMASK, &before, NULL);
	return result;
}

/* One byte into a pipe that the others sleep on.  The flag is set after it: whoever dies in between
 * leaves a token too many, never one too few.  A full pipe has tokens enough. */
static int put_token(struct side *side, int pipe)
{
	int64_t result;

	if (__atomic_load_n(&side->token, __ATOMIC_RELAXED))
		return 0;
	result = write_without_sigpipe(pipe);
	if (result < 0 && result != -EAGAIN)
		return (int) result;
	__atomic_store_n(&side->token, 1, __ATOMIC_RELAXED);
	return 0;
}

/* ---- what both sides do ---- */

static uint64_t count_of(const struct side *side)
{
	return __atomic_load_n(&side->count, __ATOMIC_ACQUIRE);
}

static void commit(struct side *side, uint64_t count)
{
	__atomic_store_n(&side->count, count, __ATOMIC_RELEASE);
}

/* What a pipe holds. */
enum { MOST_TOKENS = 65536 };

/* The other way round: whoever dies in between leaves tokens that wake somebody in vain. */
static void take_tokens(struct side *side, int pipe)
{
	char tokens[64];

	__atomic_store_n(&side->token, 0, __ATOMIC_RELAXED);
	for (int i = 0; i < MOST_TOKENS / (int) sizeof tokens; i++)	/* somebody may fill it as we empty it */
		if (read(pipe, tokens, sizeof tokens) != sizeof tokens)
			break;
}

static uint32_t this_processor(void)
{
	return (uint32_t) sched_getcpu();
}

static int ran_here(const struct side *side)
{
	return __atomic_load_n(&side->processor, __ATOMIC_RELAXED) == this_processor();
}

static void note_processor(struct side *side)
{
	if (!ran_here(side))
		__atomic_store_n(&side->processor, this_processor(), __ATOMIC_RELAXED);
}

/* Without waiting.  To ask whether an owner lives takes less than a microsecond. */
static int try_lock(struct pyipc_channel *c, struct side *side)
{
	if (guard_try(&side->guard, &c->me))
		return 1;
	if (!pyipc_guard_bury(&side->guard, &c->me))
		return 0;
	count_one(&c->recoveries);
	return 1;
}

static int lock(struct pyipc_channel *c, struct side *side, int64_t deadline_ns)
{
	int result = guard_try(&side->guard, &c->me) ? 0
		     : pyipc_guard_lock(&side->guard, &c->me, ran_here(side), deadline_ns);

	if (result == GUARD_FROM_THE_DEAD)
		count_one(&c->recoveries);
	return result < 0 ? result : 0;
}

/* ---- sending ---- */

/* How many messages there is room for; asked of the receivers only if what is known is not enough. */
static int64_t room_at(struct pyipc_channel *c, uint64_t count, uint32_t wanted)
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

/* As many of these messages, which lie behind one another, as there is room for: all of those, or
 * none.  The senders' guard is ours. */
static int64_t put(struct pyipc_channel *c, const char *data, const uint32_t *sizes, uint32_t messages)
{
	struct side *sent = &of(c)->sent;
	uint64_t count = __atomic_load_n(&sent->count, __ATOMIC_RELAXED);
	int64_t room = room_at(c, count, messages);
	int result;

	if (room <= 0)
		return room < 0 ? room : -EAGAIN;
	if (messages > room)
		messages = (uint32_t) room;
	for (uint32_t i = 0; i < messages; i++) {
		struct block *block = block_at(c, count + i);

		if (!block)
			return -EBADMSG;
		memcpy(block->data, data, sizes[i]);
		__atomic_store_n(&block->size, sizes[i], __ATOMIC_RELAXED);
		data += sizes[i];
	}
	note_processor(sent);
	result = put_token(sent, c->data_write);
	if (result < 0)
		return result;
	commit(sent, count + messages);
	return messages;
}

/* A running sender wakes nobody, and would learn of it by no error that all who receive have gone. */
static int nobody_receives(struct pyipc_channel *c)
{
	struct pollfd end = { .fd = c->data_write };
	struct timespec now;
	int64_t now_ns;

	(void) clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	now_ns = (int64_t) now.tv_sec * PYIPC_SECOND + now.tv_nsec;
	if (now_ns - __atomic_load_n(&c->looked_ns, __ATOMIC_RELAXED) < LOOK_NS)
		return 0;
	if (poll(&end, 1, 0) == 1 && (end.revents & POLLERR))
		return 1;		/* and each time from now on */
	__atomic_store_n(&c->looked_ns, now_ns, __ATOMIC_RELAXED);
	return 0;
}

static int too_long(const struct pyipc_channel *c, const uint32_t *sizes, uint32_t messages)
{
	for (uint32_t i = 0; i < messages; i++)
		if (sizes[i] > c->slot_size)
			return 1;
	return 0;
}

/* At once: how many of these messages were sent, or -EAGAIN: there is no room, or others are at it. */
int64_t pyipc_now_channel_send(struct pyipc_channel *c, const char *data, const uint32_t *sizes, uint32_t messages)
{
	struct side *sent = &of(c)->sent;
	int64_t result;

	if (messages == 0 || too_long(c, sizes, messages))
		return messages == 0 ? 0 : -EMSGSIZE;
	if (nobody_receives(c))
		return -EPIPE;
	if (!try_lock(c, sent))
		return -EAGAIN;
	result = put(c, data, sizes, messages);
	guard_unlock(&sent->guard);
	return result;
}

/* ---- receiving ---- */

/* How many messages wait; asked of the senders only if what is known is not enough. */
static int64_t waiting_at(struct pyipc_channel *c, uint64_t count, uint32_t wanted)
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
static int64_t copy_out(const struct pyipc_channel *c, uint64_t count, char *ret_data, uint64_t room)
{
	const struct block *block = block_at(c, count);
	uint32_t size;

	if (!block)
		return -EBADMSG;
	size = __atomic_load_n(&block->size, __ATOMIC_RELAXED);
	if (size > c->slot_size)
		return -EBADMSG;
	if (size > room)
		return -EMSGSIZE;
	memcpy(ret_data, block->data, size);
	return size;
}

/* Up to so many messages, behind one another, as long as they fit; -EMSGSIZE leaves the first where it
 * is.  The receivers' guard is ours. */
static int64_t get(struct pyipc_channel *c, char *ret_data, uint64_t room, uint32_t *ret_sizes, uint32_t messages)
{
	struct side *received = &of(c)->received;
	uint64_t count = __atomic_load_n(&received->count, __ATOMIC_RELAXED);
	int64_t waiting = waiting_at(c, count, messages);
	uint32_t taken = 0;
	int result;

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
	note_processor(received);
	result = put_token(received, c->space_write);
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
	if (!try_lock(c, received))
		return -EAGAIN;
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

/* ---- waiting ---- */

static int is_ready(const struct pyipc_channel *c, int for_data)
{
	uint64_t received = count_of(&of(c)->received);	/* first: it never passes the other */
	uint64_t depth = count_of(&of(c)->sent) - received;

	return for_data ? depth > 0 : depth < c->slots;
}

/* Look for a while before sleeping, if whoever we wait for runs elsewhere. */
static int spin_until_ready(struct pyipc_channel *c, int for_data)
{
	const struct side *others = for_data ? &of(c)->sent : &of(c)->received;

	if (c->me.spins == 0 || ran_here(others))
		return 0;
	for (int i = 0; i < c->me.spins; i++) {
		if (is_ready(c, for_data)) {
			count_one(&c->spins);
			return 1;
		}
		spin_once();
	}
	return 0;
}

/* Take the tokens away under the guard of those who put them there: so that none of them is between
 * its look at the flag and its commit. */
static int arm(struct pyipc_channel *c, int for_data, int64_t deadline_ns)
{
	struct side *others = for_data ? &of(c)->sent : &of(c)->received;
	int result = lock(c, others, deadline_ns);

	if (result < 0)
		return result;
	result = is_ready(c, for_data);
	if (!result)
		take_tokens(others, for_data ? c->data_read : c->space_read);
	guard_unlock(&others->guard);
	return result;
}

/* All sleepers of a pipe wait for the same, so one token wakes whoever can go on; and who is woken and
 * dies has taken nothing away. */
static int sleep_until_ready(struct pyipc_channel *c, int for_data, int64_t deadline_ns)
{
	struct pollfd end = { .fd = for_data ? c->data_read : c->space_read, .events = POLLIN };
	int64_t now = monotonic_ns();
	int64_t left = deadline_ns > now ? deadline_ns - now : 0;	/* 0 still learns that it is the end */
	struct timespec span = ns_to_timespec(left < NET_NS ? left : NET_NS);
	int64_t result;

	count_one(&c->sleeps);
	result = neg_errno(ppoll(&end, 1, &span, NULL));
	if (result < 0)
		return (int) result;
	if (result == 0)
		return left < NET_NS ? -ETIMEDOUT : -EINTR;
	if ((end.revents & (POLLIN | POLLHUP)) == POLLHUP)
		return -EPIPE;
	return left > 0 ? 0 : -ETIMEDOUT;
}

/* 0: look again.  Once a second it says -EINTR, for signals that came in the instant before it slept, or
 * while it was kept busy: *net is when, or 0 at first. */
static int wait_until_ready(struct pyipc_channel *c, int for_data, int64_t deadline_ns, int64_t *net)
{
	int64_t now = monotonic_ns();
	int result;

	if (*net == 0)
		*net = now + NET_NS;
	else if (now >= deadline_ns)	/* others were faster, all the time */
		return -ETIMEDOUT;
	else if (now >= *net)
		return -EINTR;
	if (spin_until_ready(c, for_data))
		return 0;
	result = arm(c, for_data, deadline_ns);
	if (result != 0)
		return result < 0 ? result : 0;
	return sleep_until_ready(c, for_data, deadline_ns);
}

static int64_t send_once(struct pyipc_channel *c, const char *data, const uint32_t *sizes, uint32_t messages,
			 int64_t deadline_ns)
{
	struct side *sent = &of(c)->sent;
	int64_t result = lock(c, sent, deadline_ns);

	if (result < 0)
		return result;
	result = put(c, data, sizes, messages);
	guard_unlock(&sent->guard);
	return result;
}

static int64_t receive_once(struct pyipc_channel *c, char *ret_data, uint64_t room, uint32_t *ret_sizes,
			    uint32_t messages, int64_t deadline_ns)
{
	struct side *received = &of(c)->received;
	int64_t result = lock(c, received, deadline_ns);

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
	if (nobody_receives(c))
		return -EPIPE;
	while ((result = send_once(c, data, sizes, messages, deadline_ns)) == -EAGAIN) {
		result = wait_until_ready(c, 0, deadline_ns, &net);
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
		result = wait_until_ready(c, 1, deadline_ns, &net);
		over = result == -EPIPE;
		if (result < 0 && !over)
			return result;
	}
	return result;
}
