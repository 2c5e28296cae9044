/* SPDX-License-Identifier: MIT
 *
 * test_kills_loans.c -- a process is killed at each instruction of a call that passes a message through the
 * arena, or keeps one (stepping.h), and the others go on.
 *
 * For each place there is a new channel.  What must come to the living follows from what the words in
 * memory say after the death; then all of the arena must be free again.
 */
#include "channels.h"

#ifndef __x86_64__
int main(void)
{
	printf("  not run: single steps: loads and stores that belong together cannot be stepped through here\n");
	return report();
}
#else

#include "loan_scenes.h"

/* ---- what the living find ---- */

static int is_readable(int fd)
{
	struct pollfd end = { .fd = fd, .events = POLLIN };

	return poll(&end, 1, 0) == 1;
}

static void descriptors_tell(const struct scene *s)
{
	struct counts now = counts_of(s);

	CHECK(now.sent - now.received <= SLOTS);
	if (now.sent != now.received)
		CHECK(is_readable(s->w.data[0]));
	if (now.sent - now.received < SLOTS)
		CHECK(is_readable(s->w.space[0]));
}

/* A try of a guard takes it from the dead at once, which the living would do in ten milliseconds: test_kills.c. */
static int take_guards_from_the_dead(struct scene *s)
{
	struct channel *ch = layout_of(&s->w);
	uint32_t *guards[] = { &ch->sent.guard, &ch->received.guard, &ch->arena.guard };
	int taken = 0;

	for (int i = 0; i < 3; i++)
		if (pyipc_guard_bury(guards[i], &s->ours.me)) {
			taken++;
			guard_unlock(guards[i]);
		}
	return taken;
}

/* Whether something has changed. */
static uint64_t owners_of_all(const struct scene *s)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < EXTENTS; i++)
		sum += (i + 1) * layout_of(&s->w)->owners[i];
	return sum;
}

/* What must come from now on, a '!' before what comes again, which comes first. */
static void foresee(const struct scene *s, struct counts before, const struct deed *deed, char *ret_letters)
{
	struct counts now = counts_of(s);
	/* (A sleeper may have sent or received, too.) */
	uint64_t sent = deed->sends ? now.sent - before.sent : 0;
	uint64_t received = deed->call == takes || deed->call == keeps ? now.received - before.received : 0;
	char kept = received && deed->keeps ? s->there[0] : deed->has ? deed->has : s->orphan;

	CHECK(sent <= 1 && received <= (s->there[0] ? 1 : 0) && now.kept <= 1);
	if (received && deed->keeps)
		EQUAL(1, now.kept);
	if (s->late_in == SYS_ppoll)
		now.kept = 1;		/* or the sleeper has it already */
	if (deed->call == returns || deed->call == returns_without_an_end_to_send)
		EQUAL(1, now.kept);	/* nobody has acknowledged it */
	(void) snprintf(ret_letters, 16, "%s%.*s%s%.*s", now.kept ? "!" : "", now.kept, &kept,
			s->there + received, (int) sent, &deed->sends);
}

/* All that comes.  For what must come it waits, and be it for a guard; then it takes what else is there. */
static void hear(struct pyipc_channel *c, size_t least, char *got)
{
	struct pyipc_loan loan;
	size_t length = strlen(got);

	if (length > 12 || take_by(c, NOT_KEPT, length < least ? now_ns() + SOON_NS : NO_TIME, &loan) < 0)
		return;
	(void) snprintf(got + length, 4, "%s%c", loan.redelivered ? "!" : "", letter_at(c, &loan));
	EQUAL(0, release(c, &loan));
	hear(c, least, got);
}

/* And nothing else. */
static void the_living_get(struct scene *s, const char *expected)
{
	char got[16] = "";

	hear(&s->ours, strlen(expected), got);
	CHECK(strcmp(got, expected) == 0);
	if (!check_ok)
		printf("  got %s, expected %s\n", got, expected);
}

static void and_all_memory_is_free(struct scene *s)
{
	struct pyipc_loan all;

	EQUAL(0, reserve_by(&s->ours, ALL, now_ns() + SOON_NS, &all));
	EQUAL(0, release(&s->ours, &all));
	for (int i = 0; i < 2 * SLOTS; i++) {
		EQUAL(0, send_letter(&s->ours, 'Z', i % 2 ? 1 : LONG, now_ns() + SOON_NS));
		the_living_get(s, "Z");
	}
	EQUAL(0, extents_in_use(&s->w));
}

static void the_living_go_on(struct scene *s, const char *expected)
{
	the_living_get(s, expected);
	leave(&s->other);
	the_living_get(s, s->others ? (char[]){ '!', s->others, '\0' } : "");
	s->other = take_part(&s->w, 0);
	and_all_memory_is_free(s);
}

static char next_heard(const struct scene *s)
{
	struct pollfd heard = { .fd = s->said[0], .events = POLLIN };
	char letter = '-';

	if (poll(&heard, 1, SOON_NS / 1000000) == 1)
		(void) !read(s->said[0], &letter, 1);
	return letter;
}

static void the_sleeper_gets_it(struct scene *s, const char *expected)
{
	/* Of a death before the return, only its net of a second tells it. */
	if (*expected == '!' && !layout_of(&s->w)->sent.token)
		EQUAL(1, try_send(&s->ours, "z", 1));
	for (; *expected; expected++)
		EQUAL(*expected, next_heard(s));
	EQUAL(0, send_letter(&s->ours, 'Z', LONG, now_ns() + SOON_NS));
	for (char letter = 'z'; letter == 'z';) {
		letter = next_heard(s);
		CHECK(letter == 'z' || letter == 'Z');
	}
	WAIT_FOR(extents_in_use(&s->w) == 0 || reserve_by(&s->ours, ALL, NO_TIME, &(struct pyipc_loan){ 0 }) == 0);
}

static void the_sleeper_finds_room(struct scene *s, const char *expected)
{
	char got[16] = "";
	struct pyipc_loan loan;

	if (expected[0] == 'a') {	/* the victim took nothing */
		EQUAL(0, take_by(&s->ours, NOT_KEPT, now_ns() + SOON_NS, &loan));
		EQUAL(0, release(&s->ours, &loan));
		expected++;
	}
	EQUAL('S', next_heard(s));
	hear(&s->ours, strlen(expected) + 1, got);
	CHECK(strncmp(got, expected, strlen(expected)) == 0 && strcmp(got + strlen(expected), "S") == 0);
	if (!check_ok)
		printf("  got %s, expected %sS\n", got, expected);
	and_all_memory_is_free(s);
}

static void the_sleeper_gets_memory(struct scene *s, const char *expected)
{
	EQUAL('S', next_heard(s));
	EQUAL(0, end_of(s->sleeper));
	s->sleeper = 0;
	the_living_go_on(s, expected);
}

/* ---- all of it ---- */

static struct scene begin_scene(void (*prepare)(struct scene *))
{
	struct scene s = { .sleeper = 0 };

	make_world_with(&s.w, SLOTS, ALL);
	EQUAL(0, pipe2(s.said, O_CLOEXEC));
	s.ours = take_part(&s.w, 0);
	s.other = take_part(&s.w, 0);
	prepare(&s);
	return s;
}

static void end_scene(struct scene *s)
{
	if (s->sleeper)
		(void) kill_and_reap(s->sleeper);
	leave(&s->ours);
	leave(&s->other);
	close_both(s->said);
	end_world(&s->w);
}

/* What must be seen in a scene, or it tests nothing. */
enum { COMMITS = 1, LEAVES_GUARDS = 2 };
enum { ROUNDS = 2, EVERY_GUARD_BUT = 8 };

static pid_t ready_victim(struct scene *s, const struct deed *deed)
{
	pid_t victim = victim_of(s, deed);

	if (s->late_in) {
		EQUAL(1, write(s->said[1], "-", 1));
		WAIT_FOR(is_in(s->sleeper, s->sleeper, s->late_in));
	}
	return victim;
}

static void killed_at_each_instruction(const char *what, void (*prepare)(struct scene *),
				       const struct deed *deed, void (*go_on)(struct scene *, const char *), int must)
{
	struct scene s = begin_scene(prepare);
	pid_t victim = ready_victim(&s, deed);
	int steps, killed = 0, reached = 0, committed = 0, taken_over = 0;
	char at_first[16] = "";
	uint64_t owners_at_first = 0, owners;

	CHECK(trace(victim, &steps) != STOPPED);
	end_it(victim);
	end_scene(&s);
	for (int at = 0, next, there; at < steps && check_ok == 1; at = next) {
		struct counts before;
		char expected[16];

		next = at + 1;
		if (is_within_a_loop(at, ROUNDS))
			continue;
		s = begin_scene(prepare);
		victim = ready_victim(&s, deed);
		before = counts_of(&s);
		there = run_to(victim, at);
		reached += there;
		end_it(victim);
		next = place_after(at, there);
		if (at % EVERY_GUARD_BUT)
			taken_over += take_guards_from_the_dead(&s);
		descriptors_tell(&s);
		owners = owners_of_all(&s);
		foresee(&s, before, deed, expected);
		if (killed == 0) {
			(void) snprintf(at_first, sizeof at_first, "%s", expected);
			owners_at_first = owners;
		}
		killed += next != at;
		committed += there && (strcmp(expected, at_first) != 0 || owners != owners_at_first);
		go_on(&s, expected);
		descriptors_tell(&s);
		taken_over += s.ours.recoveries > 0;
		end_scene(&s);
		if (check_ok != 1)
			printf("  killed after %d instructions\n", at + 1);
	}
	CHECK(reached > killed * 9 / 10);
	CHECK(must & COMMITS ? committed > 0 && committed < killed : committed == 0);
	CHECK(must & LEAVES_GUARDS ? taken_over > 0 : taken_over == 0);
	printf("  %s: killed at %d of %d instructions (not at %d within loops), %d after the commit; a guard taken over %d "
	       "times\n", what, reached, steps, steps - killed, committed, taken_over);
}

/* ---- and nobody dies: what comes at each instruction of falling asleep must wake the sleeper ---- */

static void says_what_it_takes(struct pyipc_channel *c, struct pyipc_loan *loan)
{
	int64_t result = take_by(c, NOT_KEPT, within_s(PATIENCE_S), loan);

	(void) raise(result == 0 ? SIGUSR1 : SIGUSR2);
}

static void says_that_it_has_memory(struct pyipc_channel *c, struct pyipc_loan *loan)
{
	(void) raise(reserve_by(c, LONG, within_s(PATIENCE_S), loan) == 0 ? SIGUSR1 : SIGUSR2);
}

/* It looks but once a second, and so must be woken. */
static void has_waited_for_long(struct pyipc_channel *c, struct pyipc_loan *loan)
{
	(void) loan;
	c->hungry_ns = now_ns() - 10 * (int64_t) PYIPC_SECOND;
}

static const struct deed take_and_say = { NULL, says_what_it_takes, 0, 0, NOT_KEPT };
static const struct deed reserve_and_say = { has_waited_for_long, says_that_it_has_memory, 0, 0, 0 };

static void what_was_kept_is_returned(struct scene *s)
{
	for (uint32_t i = 0; i < EXTENTS; i++)
		if (layout_of(&s->w)->owners[i] == s->other.me.id)
			EQUAL(0, pyipc_channel_return(&s->other, i));
}

static void memory_is_released(struct scene *s)
{
	for (uint32_t i = 0; i < EXTENTS; i++)
		if (layout_of(&s->w)->owners[i] == s->other.me.id)
			EQUAL(0, pyipc_arena_release(&s->other, i));
}

/* It is let go from there, and SIGUSR1 stops it once it has it: without falling asleep. */
static int has_it_at_once(pid_t victim)
{
	siginfo_t info = { .si_status = 0 };

	if (next_stop(victim, 0) == ASLEEP)
		return 0;
	EQUAL(0, ptrace(PTRACE_GETSIGINFO, victim, NULL, &info));
	EQUAL(SIGUSR1, info.si_signo);
	return 1;
}

static void overtaken_at_each_instruction(const char *what, void (*prepare)(struct scene *), const struct deed *deed,
					  void (*give)(struct scene *))
{
	struct scene s = begin_scene(prepare);
	pid_t victim = victim_of(&s, deed);
	int steps, overtaken = 0, in_vain = 0;

	EQUAL(ASLEEP, trace(victim, &steps));
	end_it(victim);
	end_scene(&s);
	for (int at = 0; at < steps && check_ok == 1; at++) {
		if (is_within_a_loop(at, ROUNDS))
			continue;
		s = begin_scene(prepare);
		victim = victim_of(&s, deed);
		/* (With a guard in its hand it is overtaken by nobody; who waits for that gives up in two slices.) */
		if (run_to(victim, at) && layout_of(&s.w)->sent.guard == 0) {
			overtaken++;
			give(&s);
			in_vain += !has_it_at_once(victim);
		}
		end_it(victim);
		end_scene(&s);
	}
	CHECK(overtaken > 100);
	printf("  %s: overtaken at %d of %d instructions, %d times in vain\n", what, overtaken, steps, in_vain);
	EQUAL(0, in_vain);
}

static void falling_asleep_as_something_is_returned(void)
{
	overtaken_at_each_instruction(__func__, another_keeps_one, &take_and_say, what_was_kept_is_returned);
}

static void falling_asleep_as_memory_is_released(void)
{
	overtaken_at_each_instruction(__func__, another_has_the_arena, &reserve_and_say, memory_is_released);
}

#define KILLED(name, ...) static void name(void) { killed_at_each_instruction(#name, __VA_ARGS__); }

KILLED(sending_a_long_one, nothing_there, &send_long, the_living_go_on, COMMITS | LEAVES_GUARDS)
KILLED(sending_a_long_one_to_one_who_sleeps, a_receiver_sleeps, &send_long, the_sleeper_gets_it,
       COMMITS | LEAVES_GUARDS)
KILLED(sending_with_memory_of_the_dead, the_dead_have_the_arena, &send_long, the_living_go_on,
       COMMITS | LEAVES_GUARDS)
KILLED(reserving, a_short_one_there, &reserve, the_living_go_on, COMMITS | LEAVES_GUARDS)
KILLED(taking_the_arenas_guard_from_the_dead, the_dead_hold_the_arenas_guard, &reserve, the_living_go_on,
       COMMITS | LEAVES_GUARDS)
KILLED(going_to_sleep_for_memory, another_has_the_arena, &reserve, the_living_go_on, LEAVES_GUARDS)
KILLED(committing, nothing_there, &commit_it, the_living_go_on, COMMITS | LEAVES_GUARDS)
KILLED(going_to_sleep_with_a_loan, no_room_in_the_ring, &commit_it, the_living_go_on, LEAVES_GUARDS)
KILLED(taking_out_of_a_slot, a_short_one_there, &take_it, the_living_go_on, COMMITS | LEAVES_GUARDS)
KILLED(keeping_what_is_in_a_slot, a_short_one_there, &keep_it, the_living_go_on, COMMITS | LEAVES_GUARDS)
KILLED(taking_out_of_the_arena, a_long_one_there, &take_it, the_living_go_on, COMMITS | LEAVES_GUARDS)
KILLED(keeping_what_is_in_the_arena, a_long_one_there, &keep_it, the_living_go_on, COMMITS | LEAVES_GUARDS)
KILLED(taking_while_a_sender_sleeps, a_sender_sleeps, &take_it, the_sleeper_finds_room, COMMITS | LEAVES_GUARDS)
KILLED(taking_an_orphan, an_orphan_there, &take_it, the_living_go_on, COMMITS | LEAVES_GUARDS)
KILLED(keeping_an_orphan, an_orphan_there, &keep_it, the_living_go_on, COMMITS | LEAVES_GUARDS)
KILLED(going_to_sleep_while_another_keeps_one, another_keeps_one, &take_it, the_living_go_on, LEAVES_GUARDS)
KILLED(releasing, nothing_there, &release_it, the_living_go_on, COMMITS)
KILLED(acknowledging, nothing_there, &acknowledge_it, the_living_go_on, COMMITS)
KILLED(releasing_while_a_sender_waits_for_memory, a_sender_waits_for_memory_later, &release_all,
       the_sleeper_gets_memory, COMMITS)
KILLED(returning, nothing_there, &return_it, the_living_go_on, COMMITS | LEAVES_GUARDS)
KILLED(returning_to_one_who_sleeps, a_receiver_sleeps_later, &return_it, the_sleeper_gets_it,
       COMMITS | LEAVES_GUARDS)
KILLED(returning_by_another_end, nothing_there, &return_by_another_end, the_living_go_on,
       COMMITS | LEAVES_GUARDS)

int main(void)
{
	begin();
	stay_on_one_processor();
	RUN(sending_a_long_one);
	RUN(sending_a_long_one_to_one_who_sleeps);
	RUN(sending_with_memory_of_the_dead);
	RUN(reserving);
	RUN(taking_the_arenas_guard_from_the_dead);
	RUN(going_to_sleep_for_memory);
	RUN(committing);
	RUN(going_to_sleep_with_a_loan);
	RUN(taking_out_of_a_slot);
	RUN(keeping_what_is_in_a_slot);
	RUN(taking_out_of_the_arena);
	RUN(keeping_what_is_in_the_arena);
	RUN(taking_while_a_sender_sleeps);
	RUN(taking_an_orphan);
	RUN(keeping_an_orphan);
	RUN(going_to_sleep_while_another_keeps_one);
	RUN(releasing);
	RUN(acknowledging);
	RUN(releasing_while_a_sender_waits_for_memory);
	RUN(returning);
	RUN(returning_to_one_who_sleeps);
	RUN(returning_by_another_end);
	RUN(falling_asleep_as_something_is_returned);
	RUN(falling_asleep_as_memory_is_released);
	return report();
}

#endif
