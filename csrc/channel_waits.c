/* SPDX-License-Identifier: MIT
 *
 * channel_waits.c -- how a sender or receiver falls asleep, and how it is woken: tokens in a pipe.
 *
 * The flag of a side says whether a token lies in its pipe.  It is set after the token was written, and
 * cleared before the pipe is drained, both under that side's guard: so it never says so in vain.
 */
#define _GNU_SOURCE		/* ppoll(), sched_getcpu() */
#include <poll.h>
#include <unistd.h>

#include "channel_sides.h"

/* How old a sender's knowledge that somebody receives may be. */
enum { LOOK_NS = 50000000 };

/* ---- tokens ---- */

/* One byte into a pipe that the others sleep on.  The flag is set after it: whoever dies in between
 * leaves a token too many, never one too few.  A full pipe has tokens enough. */
int pyipc_channel_token(struct side *side, int pipe)
{
	int64_t result;

	if (__atomic_load_n(&side->token, __ATOMIC_RELAXED))
		return 0;
	result = pyipc_write_without_sigpipe(pipe, "", 1);
	if (result < 0 && result != -EAGAIN)
		return (int) result;
	__atomic_store_n(&side->token, 1, __ATOMIC_RELAXED);
	return 0;
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

/* A running sender wakes nobody, and would learn of it by no error that all who receive have gone. */
int pyipc_channel_nobody_receives(struct pyipc_channel *c)
{
	struct pollfd end = { .fd = c->data_write };
	int64_t now_ns = coarse_ns();

	if (now_ns - __atomic_load_n(&c->looked_ns, __ATOMIC_RELAXED) < LOOK_NS)
		return 0;
	if (poll(&end, 1, 0) == 1 && (end.revents & POLLERR))
		return 1;		/* and each time from now on */
	__atomic_store_n(&c->looked_ns, now_ns, __ATOMIC_RELAXED);
	return 0;
}

/* ---- falling asleep ---- */

int pyipc_channel_ready(const struct pyipc_channel *c, int for_data)
{
	uint64_t received = count_of(&of(c)->received);	/* first: it never passes the other */
	uint64_t depth = count_of(&of(c)->sent) - received;

	return for_data ? depth > 0 : depth < c->slots;
}

/* Look for a while before sleeping, if whoever we wait for runs elsewhere. */
static int spin_until_ready(struct pyipc_channel *c, int for_data)
{
	const struct side *others = for_data ? &of(c)->sent : &of(c)->received;

	if (c->me.spins == 0 || ran_here(&others->processor))
		return 0;
	for (int i = 0; i < c->me.spins; i++) {
		if (pyipc_channel_ready(c, for_data)) {
			count_one(&c->spins);
			return 1;
		}
		spin_once();
	}
	return 0;
}

/* What a sleep and a wake cost both ends together, more or less, with processors that go idle. */
enum { SLEEP_COSTS_NS = 50000, LOOKS = 32 };

/* A receiver looks longer where its wait before this one was about as short as a sleep is long: then not
 * to sleep is less work for all.  One long wait, and it does this no more.  (Senders that wait for room
 * do not: there may be more of them than processors, and the receiver wants one.) */
static int spin_instead_of_sleeping(struct pyipc_channel *c, int64_t since_ns)
{
	if (c->me.spins == 0 || __atomic_load_n(&c->waited_ns, __ATOMIC_RELAXED) > 2 * SLEEP_COSTS_NS)
		return 0;
	while (!ran_here(&of(c)->sent.processor) && monotonic_ns() - since_ns < SLEEP_COSTS_NS) {
		for (int i = 0; i < LOOKS; i++) {
			if (pyipc_channel_ready(c, 1)) {
				count_one(&c->spins);
				return 1;
			}
			spin_once();
		}
	}
	return 0;
}

static int spin(struct pyipc_channel *c, int for_data, int64_t since_ns)
{
	return spin_until_ready(c, for_data) || (for_data && spin_instead_of_sleeping(c, since_ns));
}

/* So that who sends knows where we sleep. */
static void note_own_processor(struct pyipc_channel *c, int for_data)
{
	note_processor(for_data ? &of(c)->received.processor : &of(c)->sent.processor);
}

/* Take the tokens away under the guard of those who put them there: so that none of them is between
 * its look at the flag and its commit. */
static int arm(struct pyipc_channel *c, int for_data, int64_t deadline_ns)
{
	struct side *others = for_data ? &of(c)->sent : &of(c)->received;
	int result = lock_side(c, others, deadline_ns);

	if (result < 0)
		return result;
	note_own_processor(c, for_data);
	result = pyipc_channel_ready(c, for_data) || (for_data && pyipc_arena_returned(c));
	if (!result)
		take_tokens(others, for_data ? c->data_read : c->space_read);
	guard_unlock(&others->guard);
	return result;
}

static int keeps(const struct pyipc_channel *c)
{
	return __atomic_load_n(&of(c)->received.keeps, __ATOMIC_RELAXED) != 0;
}

/* How long to sleep without a look around: the longer, the longer nothing came, since each wake costs a
 * tenth of a millisecond.  But a message that is kept may come back without a token. */
static const int64_t LONGEST_SLEEP_NS = 4LL * NET_NS;

static int64_t sleep_ns(const struct pyipc_channel *c)
{
	int64_t grown_ns = __atomic_load_n(&c->sleep_ns, __ATOMIC_RELAXED);

	return grown_ns == 0 || keeps(c) ? NET_NS : grown_ns;
}

/* 0: it was not in vain. */
static void note_sleep(struct pyipc_channel *c, int64_t in_vain_ns)
{
	int64_t next_ns = in_vain_ns < LONGEST_SLEEP_NS ? 2 * in_vain_ns : in_vain_ns;

	__atomic_store_n(&c->sleep_ns, next_ns, __ATOMIC_RELAXED);
}

/* All sleepers of a pipe wait for the same, so one token wakes whoever can go on; and who is woken and
 * dies has taken nothing away. */
static int sleep_until_ready(struct pyipc_channel *c, int for_data, int64_t deadline_ns)
{
	struct pollfd end = { .fd = for_data ? c->data_read : c->space_read, .events = POLLIN };
	int64_t now = monotonic_ns();
	int64_t left = deadline_ns > now ? deadline_ns - now : 0;	/* 0 still learns that it is the end */
	int64_t most = sleep_ns(c);
	struct timespec span = ns_to_timespec(left < most ? left : most);
	int64_t result;

	count_one(&c->sleeps);
	result = neg_errno(ppoll(&end, 1, &span, NULL));
	note_sleep(c, result == 0 && left >= most ? most : 0);
	if (result < 0)
		return (int) result;
	if (result == 0)
		return left < most ? -ETIMEDOUT : -EINTR;
	if ((end.revents & (POLLIN | POLLHUP)) == POLLHUP)
		return -EPIPE;
	return left > 0 ? 0 : -ETIMEDOUT;
}

/* A message that somebody else has may come back, if they die with it or return it. */
static int sleep_until_returned(struct pyipc_channel *c, int64_t deadline_ns)
{
	uint32_t seen = pyipc_arena_hungry(c);
	int64_t now = monotonic_ns();

	if (!pyipc_arena_others_keep(c))
		return -EPIPE;
	if (now >= deadline_ns)
		return -ETIMEDOUT;
	return pyipc_arena_wait(c, seen, deadline_ns - now < NET_NS ? deadline_ns - now : NET_NS);
}

/* Of a receiver: a message that has come back is found by the next look. */
int pyipc_channel_has_come_back(struct pyipc_channel *c)
{
	if (!keeps(c) || pyipc_arena_orphan(c, count_of(&of(c)->received)) < 0)
		return 0;
	__atomic_store_n(&c->scanned_ns, 0, __ATOMIC_RELAXED);
	return 1;
}

/* 0: look again.  Now and then it says -EINTR, for signals that came in the instant before it slept, or
 * while it was kept busy: *net is when, or 0 at first. */
int pyipc_channel_wait(struct pyipc_channel *c, int for_data, int64_t deadline_ns, int64_t *net)
{
	int64_t now = monotonic_ns();
	int result;

	if (*net == 0)
		*net = now + NET_NS;
	else if (now >= deadline_ns)	/* others were faster, all the time */
		return -ETIMEDOUT;
	else if (now >= *net)
		return -EINTR;
	if ((deadline_ns > now && spin(c, for_data, now)) || (for_data && pyipc_channel_has_come_back(c)))
		return 0;
	result = arm(c, for_data, deadline_ns);
	if (result != 0)
		return result < 0 ? result : 0;
	result = sleep_until_ready(c, for_data, deadline_ns);
	__atomic_store_n(&c->waited_ns, monotonic_ns() - now, __ATOMIC_RELAXED);
	return result == -EPIPE && for_data && keeps(c) ? sleep_until_returned(c, deadline_ns) : result;
}

/* Look for a while, without letting go of the processor, as long as switching threads may take: 1 if a
 * call would not have to wait now. */
int pyipc_now_channel_look(struct pyipc_channel *c, int for_data)
{
	return c->me.id != 0 && (pyipc_channel_ready(c, for_data) || spin_until_ready(c, for_data));
}
