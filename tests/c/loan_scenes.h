/* SPDX-License-Identifier: MIT
 *
 * loan_scenes.h -- what is there before somebody is killed, and what that one does: for test_kills_loans.c.
 */
#ifndef LOAN_SCENES_H
#define LOAN_SCENES_H

#include "channels.h"
#include "stepping.h"

enum { SLOTS = 2, ALL = 4096, LONG = 300 };
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
	(void) pyipc_arena_release(c, loan->extent);
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

#endif
