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

#include "stepping.h"

enum { SLOTS = 2, ALL = 4096, LONG = 300, SOON_NS = PYIPC_SECOND / 2 };
enum { NOT_KEPT = 0, KEPT = 1 };

static const int64_t NO_TIME = 0;

struct scene {
	struct world w;
	struct pyipc_channel ours;	/* the one who lives */
	struct pyipc_channel other;	/* lives until the victim is dead */
	char there[8];			/* messages that wait before, a letter each */
	char orphan, others;		/* one that somebody kept who is dead, or the other keeps; or 0 */
	uint32_t its_owner;		/* of the orphan: until that changes, nobody has it */
	pid_t sleeper;
	long late_in;			/* the call it sleeps in, once the victim has what it has before */
	int said[2];
};

struct counts {
	uint64_t sent, received;
	int kept;		/* messages that came, and are kept, but not by the other */
};

static struct counts counts_of(const struct scene *s)
{
	const struct channel *ch = layout_of(&s->w);
	struct counts now = { ch->sent.count, ch->received.count, 0 };

	for (int i = 0; i < EXTENTS; i++) {
		const struct extent *e = &ch->extents[i];

		if (!ch->owners[i] || ch->owners[i] == s->other.me.id || !e->place || e->place > now.received)
			continue;
		now.kept += e->kept || ch->owners[i] == s->its_owner;
	}
	return now;
}

/* ---- what is there before ---- */

static int64_t send_letter(struct pyipc_channel *c, char letter, uint64_t size, int64_t deadline)
{
	char data[LONG];

	memset(data, letter, size);
	return send_long_by(c, data, size, deadline);
}

/* Small letters by a slot, great ones by the arena. */
static void put_there(struct scene *s, const char *letters)
{
	(void) snprintf(s->there, sizeof s->there, "%s", letters);
	for (; *letters; letters++)
		if (*letters >= 'a')
			EQUAL(1, try_send(&s->ours, letters, 1));
		else
			EQUAL(0, send_letter(&s->ours, *letters, LONG, NO_TIME));
}

static void nothing_there(struct scene *s)
{
	(void) s;
}

static void a_short_one_there(struct scene *s)
{
	put_there(s, "ab");
}

static void a_long_one_there(struct scene *s)
{
	put_there(s, "Ab");
}

static char letter_at(const struct pyipc_channel *c, const struct pyipc_loan *loan)
{
	return loan->size > 0 && c->memory[loan->at] == c->memory[loan->at + loan->size - 1] ? c->memory[loan->at] : '?';
}

static void an_orphan_there(struct scene *s)
{
	struct pyipc_channel gone = take_part(&s->w, 0);
	struct pyipc_loan loan;

	put_there(s, "O");
	EQUAL(0, take_by(&gone, KEPT, NO_TIME, &loan));
	leave(&gone);
	s->orphan = 'O';
	s->its_owner = gone.me.id;
	put_there(s, "a");
}

static void another_keeps_one(struct scene *s)
{
	struct pyipc_loan loan;

	put_there(s, "k");
	EQUAL(0, take_by(&s->other, KEPT, NO_TIME, &loan));
	s->there[0] = '\0';
	s->others = 'k';
}

static void another_has_the_arena(struct scene *s)
{
	struct pyipc_loan loan;

	EQUAL(0, reserve_by(&s->other, ALL, NO_TIME, &loan));
}

static void no_room_in_the_ring(struct scene *s)
{
	put_there(s, "ab");
}

/* What was being filled, what was about to be sent, and what came to one who did not keep it. */
static void the_dead_have_the_arena(struct scene *s)
{
	struct pyipc_channel gone = take_part(&s->w, 0);
	struct pyipc_loan loan;

	EQUAL(0, send_letter(&gone, 'x', LONG, NO_TIME));
	EQUAL(0, take_by(&gone, NOT_KEPT, NO_TIME, &loan));
	EQUAL(0, reserve_by(&gone, 1900, NO_TIME, &loan));
	layout_of(&s->w)->extents[loan.extent].place = 2;
	EQUAL(0, reserve_by(&gone, 1700, NO_TIME, &loan));
	leave(&gone);
	put_there(s, "a");
}

static void leave_guard(struct scene *s, uint32_t *guard)
{
	struct pyipc_channel gone = take_part(&s->w, 0);

	*guard = gone.me.id;
	leave(&gone);
}

static void the_dead_hold_the_arenas_guard(struct scene *s)
{
	put_there(s, "a");
	leave_guard(s, &layout_of(&s->w)->arena.guard);
}

static void takes_to_the_end(const struct scene *s)
{
	struct pyipc_channel c = take_part(&s->w, 0);
	struct pyipc_loan loan;
	char letter = '-';

	while (letter != 'Z' && take_by(&c, NOT_KEPT, within_s(PATIENCE_S), &loan) == 0) {
		letter = letter_at(&c, &loan);
		if (release(&c, &loan) < 0 || (loan.redelivered && write(s->said[1], "!", 1) != 1)
		    || write(s->said[1], &letter, 1) != 1)
			break;
	}
	_exit(0);
}

static void a_receiver_sleeps(struct scene *s)
{
	s->sleeper = fork_child();
	if (s->sleeper == 0)
		takes_to_the_end(s);
	WAIT_FOR(is_in(s->sleeper, s->sleeper, SYS_ppoll));
}

static void wait_to_be_told(const struct scene *s)
{
	char word;

	(void) !read(s->said[0], &word, 1);
}

static void a_receiver_sleeps_later(struct scene *s)
{
	s->late_in = SYS_ppoll;
	s->sleeper = fork_child();
	if (s->sleeper == 0) {
		wait_to_be_told(s);
		takes_to_the_end(s);
	}
}

/* For all of the arena. */
static void a_sender_waits_for_memory_later(struct scene *s)
{
	s->late_in = SYS_futex;
	s->sleeper = fork_child();
	if (s->sleeper == 0) {
		struct pyipc_channel c = take_part(&s->w, 0);
		struct pyipc_loan loan;

		wait_to_be_told(s);
		if (reserve_by(&c, ALL, within_s(PATIENCE_S), &loan) == 0)
			(void) !write(s->said[1], "S", 1);
		_exit(0);
	}
}

static void sends_s(const struct scene *s, uint64_t size)
{
	struct pyipc_channel c = take_part(&s->w, 0);

	if (send_letter(&c, 'S', size, within_s(PATIENCE_S)) == 0)
		(void) !write(s->said[1], "S", 1);
	_exit(0);
}

static void a_sender_sleeps(struct scene *s)
{
	put_there(s, "aB");
	s->sleeper = fork_child();
	if (s->sleeper == 0)
		sends_s(s, LONG);
	WAIT_FOR(is_in(s->sleeper, s->sleeper, SYS_ppoll));
}

/* ---- what the victim does ---- */

struct deed {
	void (*before)(struct pyipc_channel *c, struct pyipc_loan *loan);	/* unless it is NULL */
	void (*call)(struct pyipc_channel *c, struct pyipc_loan *loan);
	char sends, has;	/* a letter: of what it sends; of what it has before, to keep or to give back */
	int keeps;		/* what it takes */
};

static void reserves(struct pyipc_channel *c, struct pyipc_loan *loan)
{
	(void) pyipc_channel_reserve(c, LONG, within_s(PATIENCE_S), loan);
	if (loan->size == LONG)
		memset(c->memory + loan->at, 'V', LONG);
}

static void just_reserves(struct pyipc_channel *c, struct pyipc_loan *loan)
{
	(void) pyipc_channel_reserve(c, LONG, within_s(PATIENCE_S), loan);
}

static void commits(struct pyipc_channel *c, struct pyipc_loan *loan)
{
	(void) pyipc_channel_commit(c, loan, LONG, within_s(PATIENCE_S));
}

static void sends_long(struct pyipc_channel *c, struct pyipc_loan *loan)
{
	static char data[LONG];

	(void) loan;
	memset(data, 'V', 1);
	memset(data + LONG - 1, 'V', 1);
	(void) pyipc_channel_send_long(c, data, LONG, within_s(PATIENCE_S));
}

static void takes(struct pyipc_channel *c, struct pyipc_loan *loan)
{
	(void) pyipc_channel_take(c, NOT_KEPT, within_s(PATIENCE_S), loan);
}

static void keeps(struct pyipc_channel *c, struct pyipc_loan *loan)
{
	(void) pyipc_channel_take(c, KEPT, within_s(PATIENCE_S), loan);
}

static void has_one(struct pyipc_channel *c, struct pyipc_loan *loan)
{
	EQUAL(0, send_letter(c, 'H', LONG, NO_TIME));
	takes(c, loan);
}

static void has_kept_one(struct pyipc_channel *c, struct pyipc_loan *loan)
{
	EQUAL(0, send_letter(c, 'H', LONG, NO_TIME));
	keeps(c, loan);
}

static void has_all(struct pyipc_channel *c, struct pyipc_loan *loan)
{
	(void) pyipc_channel_reserve(c, ALL, NO_TIME, loan);
}

static void releases(struct pyipc_channel *c, struct pyipc_loan *loan)
{
	(void) pyipc_now_channel_release(c, loan->extent);
}

static void returns(struct pyipc_channel *c, struct pyipc_loan *loan)
{
	(void) pyipc_channel_return(c, loan->extent);
}

static void returns_without_an_end_to_send(struct pyipc_channel *c, struct pyipc_loan *loan)
{
	c->data_write = -1;
	returns(c, loan);
}

static const struct deed send_long = { NULL, sends_long, 'V', 0, 0 };
static const struct deed reserve = { NULL, just_reserves, 0, 0, 0 };
static const struct deed commit_it = { reserves, commits, 'V', 0, 0 };
static const struct deed take_it = { NULL, takes, 0, 0, NOT_KEPT };
static const struct deed keep_it = { NULL, keeps, 0, 0, KEPT };
static const struct deed release_it = { has_one, releases, 0, 0, 0 };
static const struct deed acknowledge_it = { has_kept_one, releases, 0, 'H', 0 };
static const struct deed release_all = { has_all, releases, 0, 0, 0 };
static const struct deed return_it = { has_kept_one, returns, 0, 'H', 0 };
static const struct deed return_by_another_end = { has_kept_one, returns_without_an_end_to_send, 0, 'H', 0 };

static pid_t victim_of(const struct scene *s, const struct deed *deed)
{
	pid_t victim = fork_victim();

	if (victim == 0) {
		struct pyipc_channel c = take_part(&s->w, 2);
		struct pyipc_loan loan = { .extent = EXTENTS };

		if (deed->before)
			deed->before(&c, &loan);
		step_me();
		deed->call(&c, &loan);
		was_stepped();
	}
	see_it_stop(victim);
	return victim;
}

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

static void hear(struct pyipc_channel *c, int64_t deadline, char *got)
{
	struct pyipc_loan loan;
	size_t length = strlen(got);

	if (length > 12 || take_by(c, NOT_KEPT, deadline, &loan) < 0)
		return;
	(void) snprintf(got + length, 4, "%s%c", loan.redelivered ? "!" : "", letter_at(c, &loan));
	EQUAL(0, release(c, &loan));
	hear(c, deadline, got);
}

/* And nothing else. */
static void the_living_get(struct scene *s, const char *expected)
{
	char got[16] = "";

	hear(&s->ours, NO_TIME, got);
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
		EQUAL(0, take_by(&s->ours, NOT_KEPT, NO_TIME, &loan));
		EQUAL(0, release(&s->ours, &loan));
		expected++;
	}
	EQUAL('S', next_heard(s));
	hear(&s->ours, NO_TIME, got);
	CHECK(strncmp(got, expected, strlen(expected)) == 0 && strcmp(got + strlen(expected), "S") == 0);
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
	for (int at = 0; at < steps && check_ok == 1; at++) {
		struct counts before;
		char expected[16];

		if (is_within_a_loop(at, ROUNDS))
			continue;
		s = begin_scene(prepare);
		victim = ready_victim(&s, deed);
		before = counts_of(&s);
		reached += run_to(victim, at);
		end_it(victim);
		killed++;
		if (at % EVERY_GUARD_BUT)
			taken_over += take_guards_from_the_dead(&s);
		descriptors_tell(&s);
		owners = owners_of_all(&s);
		foresee(&s, before, deed, expected);
		if (killed == 1) {
			(void) snprintf(at_first, sizeof at_first, "%s", expected);
			owners_at_first = owners;
		}
		committed += strcmp(expected, at_first) != 0 || owners != owners_at_first;
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

static const struct deed take_and_say = { NULL, says_what_it_takes, 0, 0, NOT_KEPT };
static const struct deed reserve_and_say = { NULL, says_that_it_has_memory, 0, 0, 0 };

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
			EQUAL(0, pyipc_now_channel_release(&s->other, i));
}

/* It is let go from there, and has it soon: SIGUSR1 stops it. */
static int64_t let_it_go_on(pid_t victim)
{
	int64_t began = now_ns();
	int status = 0;

	(void) ptrace(PTRACE_CONT, victim, NULL, NULL);
	while (waitpid(victim, &status, 0) == -1 && now_ns() - began < 2 * (int64_t) PYIPC_SECOND)
		;
	CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGUSR1);
	return now_ns() - began;
}

static void overtaken_at_each_instruction(const char *what, void (*prepare)(struct scene *), const struct deed *deed,
					  void (*give)(struct scene *), int64_t soon_ns)
{
	struct scene s = begin_scene(prepare);
	pid_t victim = victim_of(&s, deed);
	int steps, overtaken = 0, late = 0;

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
			late += let_it_go_on(victim) >= soon_ns;
		}
		end_it(victim);
		end_scene(&s);
	}
	CHECK(overtaken > 100);
	printf("  %s: overtaken at %d of %d instructions, %d times late\n", what, overtaken, steps, late);
	EQUAL(0, late);
}

static void falling_asleep_as_something_is_returned(void)
{
	overtaken_at_each_instruction(__func__, another_keeps_one, &take_and_say, what_was_kept_is_returned, SOON_NS);
}

/* (Half of the first slice, after which it would look again.) */
static void falling_asleep_as_memory_is_released(void)
{
	overtaken_at_each_instruction(__func__, another_has_the_arena, &reserve_and_say, memory_is_released,
				      PYIPC_SECOND / 20);
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
