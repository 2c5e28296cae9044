/* SPDX-License-Identifier: MIT
 *
 * test_kills.c -- a process is killed at each instruction of a call that passes messages through slots
 * (stepping.h), and the others go on.
 *
 * For each place there is a new channel.  After the death, counters say what was committed; what the
 * living then send and receive must agree, soon: nobody may have to wait for the net of a second.
 */
#include "channels.h"

#ifndef __x86_64__
int main(void)
{
	printf("  not run: single steps: loads and stores that belong together cannot be stepped through here\n");
	return report();
}
#else

#include "stepping.h"

enum { SLOTS = 2 };

struct scene {
	struct world w;
	struct pyipc_channel ours;	/* the one who lives */
	struct pyipc_channel dead;	/* the one who has died with a guard, if one has */
	char waiting[8];		/* messages that are there before, a letter each */
	pid_t sleeper;
	int said[2];			/* what the sleeper received, or that it has sent */
};

struct counts {
	uint64_t sent, received;
};

static struct counts counts_of(const struct scene *s)
{
	return (struct counts){ layout_of(&s->w)->sent.count, layout_of(&s->w)->received.count };
}

/* ---- what is there before ---- */

static void put_there(struct scene *s, const char *letters)
{
	(void) snprintf(s->waiting, sizeof s->waiting, "%s", letters);
	for (; *letters; letters++)
		EQUAL(1, try_send(&s->ours, letters, 1));
}

static void nothing_there(struct scene *s)
{
	(void) s;
}

static void one_there(struct scene *s)
{
	put_there(s, "a");
}

static void full(struct scene *s)
{
	put_there(s, "ab");
}

static void a_receiver_sleeps(struct scene *s)
{
	s->sleeper = fork_child();
	if (s->sleeper == 0) {
		struct pyipc_channel c = take_part(&s->w, 0);
		char text[SLOT_SIZE + 1];

		while (receive_by(&c, text, within_s(PATIENCE_S)) == 1)
			if (write(s->said[1], text, 1) != 1 || text[0] == 'Z')
				break;
		_exit(0);
	}
	WAIT_FOR(is_in(s->sleeper, s->sleeper, SYS_ppoll));
}

static void a_receiver_sleeps_that_nobody_watches(struct scene *s)
{
	layout_of(&s->w)->watched = 0;
	a_receiver_sleeps(s);
}

static void a_sender_sleeps(struct scene *s)
{
	put_there(s, "ab");
	s->sleeper = fork_child();
	if (s->sleeper == 0) {
		struct pyipc_channel c = take_part(&s->w, 0);

		if (send_by(&c, "S", within_s(PATIENCE_S)) == 1)
			(void) !write(s->said[1], "S", 1);
		_exit(0);
	}
	WAIT_FOR(is_in(s->sleeper, s->sleeper, SYS_ppoll));
}

/* Somebody has died and left this guard. */
static void leave_guard(struct scene *s, uint64_t side)
{
	struct pyipc_channel gone = take_part(&s->w, 0);

	memcpy(s->w.mapped + side, &gone.me.id, sizeof gone.me.id);
	leave(&gone);
}

static void the_dead_hold_the_senders_guard(struct scene *s)
{
	leave_guard(s, SENDERS_GUARD);
}

static void the_dead_hold_the_receivers_guard(struct scene *s)
{
	put_there(s, "a");
	leave_guard(s, RECEIVERS_GUARD);
}

/* We hold it, until the victim is dead. */
static void we_hold_the_senders_guard(struct scene *s)
{
	memcpy(s->w.mapped + SENDERS_GUARD, &s->ours.me.id, sizeof s->ours.me.id);
}

/* As guard_unlock() does. */
static void let_go_of_the_senders_guard(struct scene *s)
{
	uint32_t *guard = (uint32_t *) (s->w.mapped + SENDERS_GUARD);

	if (__atomic_exchange_n(guard, 0, __ATOMIC_SEQ_CST) >> 31)
		(void) syscall(SYS_futex, guard, 1, 1, NULL, NULL, 0);
}

/* ---- what the victim does ---- */

static const uint32_t one[] = { 1, 1 };	/* letters each */

static void sends(struct pyipc_channel *c, const struct world *w)
{
	(void) w;
	(void) pyipc_channel_send(c, "V", one, 1, within_s(PATIENCE_S));
}

static void sends_soon(struct pyipc_channel *c, const struct world *w)
{
	(void) w;
	(void) pyipc_channel_send(c, "V", one, 1, 0);
}

static void tries_to_send(struct pyipc_channel *c, const struct world *w)
{
	(void) w;
	(void) pyipc_now_channel_send(c, "V", one, 1);
}

static void receives(struct pyipc_channel *c, const struct world *w)
{
	char text[SLOT_SIZE];
	uint32_t sizes[SLOTS];

	(void) w;
	(void) pyipc_channel_receive(c, text, SLOT_SIZE, sizes, 1, within_s(PATIENCE_S));
}

static void sends_two(struct pyipc_channel *c, const struct world *w)
{
	(void) w;
	(void) pyipc_channel_send(c, "VV", one, 2, within_s(PATIENCE_S));
}

static void receives_two(struct pyipc_channel *c, const struct world *w)
{
	char text[SLOT_SIZE];
	uint32_t sizes[SLOTS];

	(void) w;
	(void) pyipc_channel_receive(c, text, SLOT_SIZE, sizes, 2, within_s(PATIENCE_S));
}

static void takes_part(struct pyipc_channel *c, const struct world *w)
{
	struct pyipc_channel another = *c;

	(void) pyipc_channel_open(&another, w->mapped, w->size, w->memory);
}

/* What the victim does, and how many messages it sends or receives by that. */
struct deed {
	void (*call)(struct pyipc_channel *c, const struct world *w);
	uint32_t sent, received;
};

static const struct deed send_one = { sends, 1, 0 }, send_one_soon = { sends_soon, 1, 0 };
static const struct deed try_to_send = { tries_to_send, 1, 0 }, send_two = { sends_two, 2, 0 };
static const struct deed receive_one = { receives, 0, 1 }, receive_two = { receives_two, 0, 2 };
static const struct deed take_part_too = { takes_part, 0, 0 };

static pid_t victim_of(const struct scene *s, const struct deed *deed)
{
	pid_t victim = fork_victim();

	if (victim == 0) {
		struct pyipc_channel c = take_part(&s->w, 2);

		step_me();
		deed->call(&c, &s->w);
		was_stepped();
	}
	see_it_stop(victim);
	return victim;
}

/* ---- what the living find ---- */

static char next_heard(const struct scene *s)
{
	struct pollfd heard = { .fd = s->said[0], .events = POLLIN };
	char letter = '-';

	if (poll(&heard, 1, SOON_NS / 1000000) == 1)
		(void) !read(s->said[0], &letter, 1);
	return letter;
}

static int is_readable(int fd)
{
	struct pollfd end = { .fd = fd, .events = POLLIN };

	return poll(&end, 1, 0) == 1;
}

/* A message waits, or there is room: then the descriptor that says so is readable, at any instant. */
static void descriptors_tell(const struct scene *s)
{
	struct counts now = counts_of(s);

	CHECK(now.sent - now.received <= SLOTS);
	if (now.sent != now.received && layout_of(&s->w)->watched)
		CHECK(is_readable(s->w.data[0]));
	if (now.sent - now.received < SLOTS)
		CHECK(is_readable(s->w.space[0]));
}

/* All that must arrive from now on, in order, and "Z" last.  (Who slept may have done its part by now,
 * too.)  A batch goes as one, or not at all. */
static void expected_letters(const struct scene *s, struct counts before, const struct deed *deed, char *ret_letters)
{
	struct counts now = counts_of(s);
	uint64_t sent = now.sent - before.sent, received = now.received - before.received;

	if (deed->sent)
		CHECK(sent == 0 || sent == deed->sent);
	if (deed->received)
		CHECK(received == 0 || received == deed->received);
	(void) snprintf(ret_letters, 16, "%s%.*s", s->waiting + (deed->received ? received : 0),
			deed->sent ? (int) sent : 0, "VV");
}

static void the_living_go_on(struct scene *s, const char *expected)
{
	char got[16] = "", text[SLOT_SIZE + 1];
	int64_t soon = now_ns() + SOON_NS;
	int count = 0;

	while (count < (int) strlen(expected) && receive_by(&s->ours, text, soon) == 1)
		got[count++] = text[0];
	EQUAL(1, send_by(&s->ours, "Z", soon));
	if (receive_by(&s->ours, text, soon) == 1)
		got[count++] = text[0];
	CHECK(count == (int) strlen(expected) + 1 && strncmp(got, expected, strlen(expected)) == 0 && got[count - 1] == 'Z');
	if (!check_ok)
		printf("  got %s, expected %sZ\n", got, expected);
}

static void the_sleeper_gets_it(struct scene *s, const char *expected)
{
	int64_t soon = now_ns() + SOON_NS;

	for (; *expected; expected++)
		EQUAL(*expected, next_heard(s));
	EQUAL(1, send_by(&s->ours, "Z", soon));
	EQUAL('Z', next_heard(s));
}

/* On our processor a message counts before its token is there: the next that is sent brings one. */
static void the_sleeper_gets_it_with_the_next(struct scene *s, const char *expected)
{
	EQUAL(1, send_by(&s->ours, "Z", now_ns() + SOON_NS));
	for (; *expected; expected++)
		EQUAL(*expected, next_heard(s));
	EQUAL('Z', next_heard(s));
}

static void the_sleeper_finds_room(struct scene *s, const char *expected)
{
	char text[SLOT_SIZE + 1];
	int64_t soon = now_ns() + SOON_NS;

	if (counts_of(s).received == 0) {	/* the victim took nothing */
		EQUAL(1, receive_by(&s->ours, text, soon));
		EQUAL(*expected++, text[0]);
	}
	EQUAL('S', next_heard(s));
	for (; *expected; expected++) {
		EQUAL(1, receive_by(&s->ours, text, soon));
		EQUAL(*expected, text[0]);
	}
	EQUAL(1, receive_by(&s->ours, text, soon));
	EQUAL('S', text[0]);
}

/* ---- all of it ---- */

static struct scene begin_scene(void (*prepare)(struct scene *))
{
	struct scene s = { .sleeper = 0 };

	make_world(&s.w, SLOTS);
	EQUAL(0, pipe2(s.said, O_CLOEXEC));
	s.ours = take_part(&s.w, 0);
	prepare(&s);
	return s;
}

static void end_scene(struct scene *s)
{
	if (s->sleeper)
		(void) kill_and_reap(s->sleeper);
	leave(&s->ours);
	close_both(s->said);
	end_world(&s->w);
}

/* What must be seen in a scene, or it tests nothing. */
enum { COMMITS = 1, LEAVES_GUARDS = 2 };

static void killed_at_each_instruction(const char *what, void (*prepare)(struct scene *),
				       const struct deed *deed, void (*go_on)(struct scene *, const char *), int must)
{
	struct scene first = begin_scene(prepare);
	int steps, reached = 0, committed = 0, taken_over = 0;
	pid_t victim = victim_of(&first, deed);

	CHECK(trace(victim, &steps) != STOPPED);
	end_it(victim);
	end_scene(&first);
	for (int at = 0, there; at < steps && check_ok == 1; at = place_after(at, there)) {
		struct scene s = begin_scene(prepare);
		struct counts before = counts_of(&s), after;
		char expected[16];

		victim = victim_of(&s, deed);
		there = run_to(victim, at);
		reached += there;
		end_it(victim);
		if (prepare == we_hold_the_senders_guard)
			let_go_of_the_senders_guard(&s);
		after = counts_of(&s);
		committed += there && (after.sent != before.sent || after.received != before.received);
		descriptors_tell(&s);
		expected_letters(&s, before, deed, expected);
		go_on(&s, expected);
		descriptors_tell(&s);
		taken_over += s.ours.recoveries > 0;
		end_scene(&s);
		if (check_ok != 1)
			printf("  killed after %d instructions\n", at + 1);
	}
	CHECK(reached > steps * 9 / 10);
	CHECK(must & COMMITS ? committed > 0 && committed < reached : committed == 0);
	CHECK(must & LEAVES_GUARDS ? taken_over > 0 : taken_over == 0);
	printf("  %s: killed at %d of %d instructions, %d after the commit; a guard taken over %d times\n", what, reached,
	       steps, committed, taken_over);
}

#define KILLED(name, ...) static void name(void) { killed_at_each_instruction(#name, __VA_ARGS__); }

KILLED(sending_to_nobody_yet, nothing_there, &send_one, the_living_go_on, COMMITS | LEAVES_GUARDS)
KILLED(sending_behind_another, one_there, &send_one, the_living_go_on, COMMITS | LEAVES_GUARDS)
KILLED(trying_to_send, one_there, &try_to_send, the_living_go_on, COMMITS | LEAVES_GUARDS)
KILLED(sending_to_one_who_sleeps, a_receiver_sleeps, &send_one, the_sleeper_gets_it, COMMITS | LEAVES_GUARDS)
KILLED(sending_to_one_who_sleeps_here, a_receiver_sleeps_that_nobody_watches, &send_one,
       the_sleeper_gets_it_with_the_next, COMMITS | LEAVES_GUARDS)
KILLED(receiving, one_there, &receive_one, the_living_go_on, COMMITS | LEAVES_GUARDS)
KILLED(receiving_while_a_sender_sleeps, a_sender_sleeps, &receive_one, the_sleeper_finds_room,
       COMMITS | LEAVES_GUARDS)
KILLED(going_to_sleep_for_a_message, nothing_there, &receive_one, the_living_go_on, LEAVES_GUARDS)
KILLED(going_to_sleep_beside_another, a_receiver_sleeps, &receive_one, the_sleeper_gets_it, LEAVES_GUARDS)
KILLED(going_to_sleep_for_room, full, &send_one, the_living_go_on, LEAVES_GUARDS)
KILLED(going_to_sleep_for_room_beside_another, a_sender_sleeps, &send_one, the_sleeper_finds_room,
       LEAVES_GUARDS)
KILLED(taking_the_senders_guard_from_the_dead, the_dead_hold_the_senders_guard, &send_one, the_living_go_on,
       COMMITS | LEAVES_GUARDS)
KILLED(taking_the_receivers_guard_from_the_dead, the_dead_hold_the_receivers_guard, &receive_one,
       the_living_go_on, COMMITS | LEAVES_GUARDS)
KILLED(waiting_for_the_senders_guard, we_hold_the_senders_guard, &send_one_soon, the_living_go_on, 0)
KILLED(sending_two, nothing_there, &send_two, the_living_go_on, COMMITS | LEAVES_GUARDS)
KILLED(receiving_two, full, &receive_two, the_living_go_on, COMMITS | LEAVES_GUARDS)
KILLED(taking_part, one_there, &take_part_too, the_living_go_on, 0)

int main(void)
{
	begin();
	stay_on_one_processor();
	RUN(sending_to_nobody_yet);
	RUN(sending_behind_another);
	RUN(trying_to_send);
	RUN(sending_to_one_who_sleeps);
	RUN(sending_to_one_who_sleeps_here);
	RUN(receiving);
	RUN(receiving_while_a_sender_sleeps);
	RUN(going_to_sleep_for_a_message);
	RUN(going_to_sleep_beside_another);
	RUN(going_to_sleep_for_room);
	RUN(going_to_sleep_for_room_beside_another);
	RUN(taking_the_senders_guard_from_the_dead);
	RUN(taking_the_receivers_guard_from_the_dead);
	RUN(waiting_for_the_senders_guard);
	RUN(sending_two);
	RUN(receiving_two);
	RUN(taking_part);
	return report();
}

#endif
