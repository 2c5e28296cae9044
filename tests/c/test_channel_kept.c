/* SPDX-License-Identifier: MIT
 *
 * test_channel_kept.c -- messages that are kept until they are acknowledged, and what becomes of memory and
 * messages when those who have them die.  (At each instruction: test_kills_loans.c.)
 */
#include "channels.h"

static const int64_t NO_TIME = 0;

/* ---- those who have something, and die ---- */

enum { KEPT = 1, NOT_KEPT = 0 };

/* Takes one, and says so. */
static pid_t one_that_takes(struct world *w, int kept, int *said)
{
	pid_t child = fork_child();

	if (child == 0) {
		struct pyipc_channel c;
		struct pyipc_loan loan;

		only_receives(w);
		c = take_part(w, 0);
		EQUAL(0, take_by(&c, kept, within_s(PATIENCE_S), &loan));
		tell(said, loan.redelivered ? 2 : 1);
		for (;;)
			(void) pause();
	}
	WAIT_FOR(told(said) != 0);
	return child;
}

static pid_t one_that_reserves(const struct world *w, uint64_t size, uint64_t place, int *said)
{
	pid_t child = fork_child();

	if (child == 0) {
		struct pyipc_channel c = take_part(w, 0);
		struct pyipc_loan loan;

		EQUAL(0, reserve_by(&c, size, within_s(PATIENCE_S), &loan));
		/* As far as commit comes, but for the count. */
		layout_of(w)->extents[loan.extent].place = place;
		tell(said, 1);
		for (;;)
			(void) pause();
	}
	WAIT_FOR(told(said) != 0);
	return child;
}

static void is_the_letter(const struct pyipc_channel *c, const struct pyipc_loan *loan, char letter)
{
	CHECK(loan->size == 1 && c->memory[loan->at] == letter);
}

static void what_was_kept_comes_again_when_its_holder_is_killed(void)
{
	int *said = shared_numbers();
	struct world w;
	struct pyipc_channel c;
	struct pyipc_loan got;

	make_world(&w, 4);
	c = take_part(&w, 0);
	for (int round = 0; round < 4; round++) {
		pid_t holder;

		if (round % 2)
			EQUAL(0, send_long_by(&c, "m", 1, NO_TIME));
		else
			EQUAL(1, try_send(&c, "m", 1));
		EQUAL(1, try_send(&c, "n", 1));
		tell(said, 0);
		holder = one_that_takes(&w, KEPT, said);
		EQUAL(1, told(said));
		EQUAL(1000 + SIGKILL, kill_and_reap(holder));
		if (round >= 2) {	/* and again */
			tell(said, 0);
			holder = one_that_takes(&w, KEPT, said);
			EQUAL(2, told(said));
			EQUAL(1000 + SIGKILL, kill_and_reap(holder));
		}
		EQUAL(0, take_by(&c, KEPT, NO_TIME, &got));	/* before what waits */
		EQUAL(1, got.redelivered);
		is_the_letter(&c, &got, 'm');
		EQUAL(0, release(&c, &got));
		EQUAL(0, take_by(&c, KEPT, NO_TIME, &got));
		EQUAL(0, got.redelivered);
		is_the_letter(&c, &got, 'n');
		EQUAL(0, release(&c, &got));
		EQUAL(-ETIMEDOUT, take_by(&c, KEPT, NO_TIME, &got));
		EQUAL(0, extents_in_use(&w));
	}
	EQUAL(0, munmap(said, 4096));
	leave(&c);
	end_world(&w);
}

static void and_when_its_holder_leaves(void)
{
	struct world w;
	struct pyipc_channel c, other;
	struct pyipc_loan got;

	make_world(&w, 4);
	c = take_part(&w, 0);
	other = take_part(&w, 0);
	EQUAL(0, send_long_by(&c, "m", 1, NO_TIME));
	EQUAL(0, take_by(&other, KEPT, NO_TIME, &got));
	EQUAL(-ETIMEDOUT, take_by(&c, KEPT, NO_TIME, &got));
	leave(&other);
	EQUAL(0, take_by(&c, NOT_KEPT, NO_TIME, &got));
	EQUAL(1, got.redelivered);
	is_the_letter(&c, &got, 'm');
	leave(&c);
	other = take_part(&w, 0);
	EQUAL(-ETIMEDOUT, take_by(&other, KEPT, NO_TIME, &got));	/* the second time it was not kept */
	leave(&other);
	end_world(&w);
}

static void what_was_not_kept_is_gone_with_its_holder_and_its_memory_is_free(void)
{
	int *said = shared_numbers();
	static char data[ARENA];
	struct world w;
	struct pyipc_channel c;
	struct pyipc_loan loan;
	pid_t holder;

	make_world(&w, 4);
	c = take_part(&w, 0);
	EQUAL(0, send_long_by(&c, data, ARENA, NO_TIME));
	holder = one_that_takes(&w, NOT_KEPT, said);
	EQUAL(-ETIMEDOUT, reserve_by(&c, 1, NO_TIME, &loan));
	EQUAL(1000 + SIGKILL, kill_and_reap(holder));
	EQUAL(-ETIMEDOUT, take_by(&c, KEPT, NO_TIME, &loan));
	EQUAL(0, reserve_by(&c, ARENA, NO_TIME, &loan));
	EQUAL(0, munmap(said, 4096));
	leave(&c);
	end_world(&w);
}

static void who_is_short_of_memory_takes_none_that_is_kept(void)
{
	int *said = shared_numbers();
	static char data[ARENA];
	struct world w;
	struct pyipc_channel c;
	struct pyipc_loan loan;
	pid_t holder;

	make_world(&w, 4);
	c = take_part(&w, 0);
	fill(data, ARENA, 1);
	EQUAL(0, send_long_by(&c, data, ARENA, NO_TIME));
	holder = one_that_takes(&w, KEPT, said);
	EQUAL(1000 + SIGKILL, kill_and_reap(holder));
	EQUAL(-ETIMEDOUT, reserve_by(&c, 1, NO_TIME, &loan));
	EQUAL(0, take_by(&c, KEPT, NO_TIME, &loan));
	CHECK(loan.redelivered && is_filled(c.memory + loan.at, ARENA, 1));
	EQUAL(0, munmap(said, 4096));
	leave(&c);
	end_world(&w);
}

/* ---- how soon ---- */

static void a_receiver_that_is_busy_finds_it_among_what_waits(void)
{
	int *said = shared_numbers();
	struct world w;
	struct pyipc_channel c;
	struct pyipc_loan got;
	int64_t died, result;
	pid_t holder;
	char text[SLOT_SIZE + 1];

	make_world(&w, 4);
	c = take_part(&w, 0);
	EQUAL(1, try_send(&c, "m", 1));
	holder = one_that_takes(&w, KEPT, said);
	EQUAL(1000 + SIGKILL, kill_and_reap(holder));
	died = now_ns();
	do {
		EQUAL(1, try_send(&c, "n", 1));
		result = receive_by(&c, text, NO_TIME);
	} while (result == 1 && now_ns() - died < PYIPC_SECOND);
	EQUAL(-EMSGSIZE, result);
	EQUAL(0, take_by(&c, NOT_KEPT, NO_TIME, &got));
	EQUAL(1, got.redelivered);
	EQUAL(1, receive_by(&c, text, NO_TIME));
	EQUAL(0, munmap(said, 4096));
	leave(&c);
	end_world(&w);
}

/* What it has taken: 1, or 2 if that had come before. */
static pid_t one_that_sleeps(struct world *w, int *said)
{
	pid_t child = fork_child();

	if (child == 0) {
		struct pyipc_channel c;
		struct pyipc_loan loan;
		int64_t result;

		only_receives(w);
		c = take_part(w, 0);
		result = take_by(&c, KEPT, within_s(PATIENCE_S), &loan);
		tell(said, result < 0 ? (int) result : (int) loan.redelivered + 1);
		if (result == 0)
			(void) release(&c, &loan);
		_exit(0);
	}
	WAIT_FOR(is_in(child, child, SYS_ppoll));
	return child;
}

static void a_receiver_that_sleeps_finds_it_within_about_a_second(void)
{
	int *said = shared_numbers();
	struct world w;
	struct pyipc_channel c;
	pid_t holder, sleeper;
	int64_t died;

	make_world(&w, 4);
	c = take_part(&w, 0);
	EQUAL(1, try_send(&c, "m", 1));
	holder = one_that_takes(&w, KEPT, &said[0]);
	sleeper = one_that_sleeps(&w, &said[1]);
	EQUAL(1000 + SIGKILL, kill_and_reap(holder));
	died = now_ns();
	EQUAL(0, end_of(sleeper));
	CHECK(now_ns() - died < 5 * (int64_t) PYIPC_SECOND);
	EQUAL(2, told(&said[1]));
	EQUAL(0, munmap(said, 4096));
	leave(&c);
	end_world(&w);
}

static int is_readable(int fd)
{
	struct pollfd end = { .fd = fd, .events = POLLIN };

	return poll(&end, 1, 0) == 1 && (end.revents & POLLIN);
}

/* By one who also sends, and by one who cannot. */
static void what_is_returned_wakes_who_sleeps(void)
{
	int *said = shared_numbers();
	pid_t anybody_sends = sleeping_child();

	for (int sends = 0; sends < 2; sends++) {
		struct world w;
		struct pyipc_channel c;
		struct pyipc_loan mine, got;
		pid_t sleeper;
		int64_t returned;

		make_world(&w, 4);
		c = take_part(&w, 0);
		EQUAL(1, try_send(&c, "m", 1));
		EQUAL(0, take_by(&c, KEPT, NO_TIME, &mine));
		EQUAL(-ETIMEDOUT, take_by(&c, KEPT, NO_TIME, &got));	/* the tokens are gone */
		CHECK(!is_readable(w.data[0]));
		tell(said, 0);
		sleeper = one_that_sleeps(&w, said);
		if (!sends)
			c.data_write = -1;
		EQUAL(0, pyipc_channel_return(&c, mine.extent));
		returned = now_ns();
		EQUAL(0, end_of(sleeper));
		CHECK(now_ns() - returned < PYIPC_SECOND / 4 * 3);
		EQUAL(2, told(said));
		EQUAL(0, extents_in_use(&w));
		leave(&c);
		end_world(&w);
	}
	EQUAL(1000 + SIGKILL, kill_and_reap(anybody_sends));
	EQUAL(0, munmap(said, 4096));
}

static void what_is_returned_makes_the_descriptor_readable(void)
{
	struct world w;
	struct pyipc_channel c, other;
	struct pyipc_loan got, again;
	char text[SLOT_SIZE + 1];

	make_world(&w, 4);
	c = take_part(&w, 0);
	other = take_part(&w, 0);
	EQUAL(0, send_long_by(&c, "m", 1, NO_TIME));
	EQUAL(0, take_by(&c, KEPT, NO_TIME, &got));
	EQUAL(-ETIMEDOUT, receive_by(&other, text, NO_TIME));
	CHECK(!is_readable(w.data[0]));
	EQUAL(0, pyipc_channel_return(&c, got.extent));
	CHECK(is_readable(w.data[0]));
	EQUAL(-EMSGSIZE, receive_by(&other, text, within_s(PATIENCE_S)));
	CHECK(is_readable(w.data[0]));
	EQUAL(-EBADMSG, pyipc_channel_return(&c, got.extent));
	EQUAL(-EBADMSG, release(&c, &got));
	EQUAL(0, take_by(&other, NOT_KEPT, NO_TIME, &again));
	CHECK(again.redelivered && again.extent == got.extent);
	EQUAL(0, release(&other, &again));
	leave(&c);
	leave(&other);
	end_world(&w);
}

/* ---- the end ---- */

static void the_end_waits_for_what_another_keeps(void)
{
	enum { RELEASES, DIES };
	int *said = shared_numbers();

	for (int how = RELEASES; how <= DIES; how++) {
		struct world w;
		struct pyipc_channel c, holder;
		struct pyipc_loan kept, got;
		pid_t sleeper;
		int64_t then;

		make_world(&w, 4);
		c = take_part(&w, 0);
		EQUAL(1, try_send(&c, "m", 1));
		leave(&c);
		only_receives(&w);
		holder = take_part(&w, 0);
		EQUAL(0, take_by(&holder, KEPT, NO_TIME, &kept));
		tell(said, 0);
		sleeper = fork_child();
		if (sleeper == 0) {
			struct pyipc_loan loan;
			int64_t result;

			EQUAL(0, pyipc_member_forked(&holder.me));
			EQUAL(0, pyipc_member_join(&holder.me, holder.me.roster, holder.me.life));
			result = take_by(&holder, KEPT, within_s(PATIENCE_S), &loan);
			if (how == DIES) {
				EQUAL(0, result);
				EQUAL(1, loan.redelivered);
				EQUAL(0, release(&holder, &loan));
				result = take_by(&holder, KEPT, within_s(PATIENCE_S), &loan);
			}
			EQUAL(-EPIPE, result);
			_exit(all_was_well());
		}
		WAIT_FOR(is_in(sleeper, sleeper, SYS_futex));
		c = take_part(&w, 0);
		EQUAL(-ETIMEDOUT, take_by(&c, KEPT, now_ns() + PYIPC_SECOND / 20, &got));
		EQUAL(-ETIMEDOUT, take_by(&c, KEPT, INT64_MIN, &got));
		leave(&c);
		then = now_ns();
		if (how == RELEASES)
			EQUAL(0, release(&holder, &kept));
		leave(&holder);
		EQUAL(0, end_of(sleeper));
		CHECK(now_ns() - then < (how == RELEASES ? PYIPC_SECOND / 4 * 3 : 5 * (int64_t) PYIPC_SECOND));
		end_world(&w);
	}
	EQUAL(0, munmap(said, 4096));
}

static void the_end_does_not_wait_for_what_one_keeps_oneself_or_is_not_kept(void)
{
	struct world w;
	struct pyipc_channel c, other;
	struct pyipc_loan kept, taken, got;
	char text[SLOT_SIZE + 1];

	make_world(&w, 4);
	c = take_part(&w, 0);
	other = take_part(&w, 0);
	EQUAL(2, UNTIL_DONE(pyipc_channel_send(&c, "mn", (uint32_t[]){ 1, 1 }, 2, NO_TIME)));
	only_receives(&w);
	EQUAL(0, take_by(&c, KEPT, NO_TIME, &kept));
	EQUAL(0, take_by(&other, NOT_KEPT, NO_TIME, &taken));
	EQUAL(-EPIPE, take_by(&c, KEPT, within_s(PATIENCE_S), &got));
	EQUAL(-EPIPE, receive_by(&c, text, within_s(PATIENCE_S)));
	leave(&c);
	leave(&other);
	end_world(&w);
}

/* ---- what the dead had reserved ---- */

static void what_the_dead_had_reserved_is_free(void)
{
	int *said = shared_numbers();
	struct world w;
	struct pyipc_channel c;
	struct pyipc_loan loan;
	pid_t holder;

	make_world(&w, 4);
	c = take_part(&w, 0);
	holder = one_that_reserves(&w, ARENA, 0, said);
	EQUAL(-ETIMEDOUT, reserve_by(&c, 1, NO_TIME, &loan));
	EQUAL(1000 + SIGKILL, kill_and_reap(holder));
	EQUAL(0, reserve_by(&c, ARENA, NO_TIME, &loan));
	EQUAL(0, munmap(said, 4096));
	leave(&c);
	end_world(&w);
}

/* Nobody can send before there is memory, so the memory cannot wait for a message that is sent. */
static void and_what_the_dead_were_about_to_send(void)
{
	for (int others = 0; others <= 2; others++) {	/* that were sent since */
		int *said = shared_numbers();
		struct world w;
		struct pyipc_channel c;
		struct pyipc_loan loan;
		char text[SLOT_SIZE + 1];
		pid_t holder;

		make_world(&w, 4);
		c = take_part(&w, 0);
		EQUAL(1, try_send(&c, "k", 1));
		holder = one_that_reserves(&w, ARENA, 2, said);
		EQUAL(1000 + SIGKILL, kill_and_reap(holder));
		for (int i = 0; i < others; i++)
			EQUAL(1, try_send(&c, "o", 1));
		EQUAL(0, reserve_by(&c, ARENA, NO_TIME, &loan));
		EQUAL(0, release(&c, &loan));
		EQUAL(0, take_by(&c, KEPT, NO_TIME, &loan));
		is_the_letter(&c, &loan, 'k');
		EQUAL(0, release(&c, &loan));
		for (int i = 0; i < others; i++)
			EQUAL(1, receive_by(&c, text, NO_TIME));
		EQUAL(0, extents_in_use(&w));
		EQUAL(0, munmap(said, 4096));
		leave(&c);
		end_world(&w);
	}
}

static void but_not_what_they_have_sent(void)
{
	static char data[ARENA];
	struct world w;
	struct pyipc_channel c, gone;
	struct pyipc_loan loan;

	make_world(&w, 4);
	c = take_part(&w, 0);
	gone = take_part(&w, 0);
	fill(data, ARENA, 1);
	EQUAL(0, send_long_by(&gone, data, ARENA, NO_TIME));
	leave(&gone);
	EQUAL(-ETIMEDOUT, reserve_by(&c, 1, NO_TIME, &loan));
	EQUAL(0, take_by(&c, KEPT, NO_TIME, &loan));
	EQUAL(0, loan.redelivered);
	CHECK(is_filled(c.memory + loan.at, ARENA, 1));
	leave(&c);
	end_world(&w);
}

/* Else senders could fill the arena, and nobody would ever empty it. */
static void there_is_memory_to_keep_what_lies_before_a_full_arena(void)
{
	for (int many = 0; many < 2; many++) {
		struct world w;
		struct pyipc_channel c;
		struct pyipc_loan loan;

		make_world(&w, 1);
		c = take_part(&w, 0);
		EQUAL(1, try_send(&c, "m", 1));
		if (many)
			while (reserve_by(&c, 1, NO_TIME, &loan) == 0)
				;
		else
			EQUAL(0, reserve_by(&c, ARENA, NO_TIME, &loan));
		EQUAL(-ETIMEDOUT, reserve_by(&c, 1, NO_TIME, &loan));
		EQUAL(0, take_by(&c, KEPT, NO_TIME, &loan));
		is_the_letter(&c, &loan, 'm');
		leave(&c);
		end_world(&w);
	}
}

static void too_much_kept_to_keep_one_more_loses_nothing(void)
{
	struct world w;
	struct pyipc_channel c;
	struct pyipc_loan loans[2], another;
	char text[SLOT_SIZE + 1];

	make_world_with(&w, 4, 256);	/* for two */
	c = take_part(&w, 0);
	c.arena_size = 256;
	c.spares_size = 0;
	EQUAL(3, UNTIL_DONE(pyipc_channel_send(&c, "klm", (uint32_t[]){ 1, 1, 1 }, 3, NO_TIME)));
	for (int i = 0; i < 2; i++)
		EQUAL(0, take_by(&c, KEPT, NO_TIME, &loans[i]));
	EQUAL(-ENOSPC, take_by(&c, KEPT, within_s(PATIENCE_S), &another));
	EQUAL(1, pyipc_now_channel_depth(&c));
	EQUAL(0, release(&c, &loans[0]));
	EQUAL(0, take_by(&c, KEPT, NO_TIME, &another));
	is_the_letter(&c, &another, 'm');
	EQUAL(-ETIMEDOUT, receive_by(&c, text, NO_TIME));
	leave(&c);
	end_world(&w);
}

static void what_is_dropped_comes_back_if_it_was_kept_and_is_free_otherwise(void)
{
	struct world w;
	struct pyipc_channel c;
	struct pyipc_loan sent, got;

	make_world(&w, 4);
	c = take_part(&w, 0);
	EQUAL(0, reserve_by(&c, c.arena_size, NO_TIME, &sent));
	EQUAL(0, pyipc_now_channel_drop(&c, sent.extent));
	EQUAL(-EBADMSG, pyipc_now_channel_drop(&c, sent.extent));
	EQUAL(-EBADMSG, pyipc_now_channel_drop(&c, EXTENTS));
	EQUAL(0, reserve_by(&c, c.arena_size, NO_TIME, &sent));
	c.memory[sent.at] = 'd';
	EQUAL(0, commit_by(&c, &sent, 1, NO_TIME));
	EQUAL(-EBADMSG, pyipc_now_channel_drop(&c, sent.extent));	/* it waits in the ring */
	for (int kept = 1; kept >= 0; kept--) {
		EQUAL(0, take_by(&c, kept, NO_TIME, &got));
		is_the_letter(&c, &got, 'd');
		CHECK(got.redelivered == !kept);
		EQUAL(0, pyipc_now_channel_drop(&c, got.extent));
	}
	EQUAL(-ETIMEDOUT, take_by(&c, KEPT, NO_TIME, &got));
	EQUAL(0, reserve_by(&c, c.arena_size, NO_TIME, &sent));
	leave(&c);
	end_world(&w);
}

int main(void)
{
	begin();
	(void) signal(SIGPIPE, SIG_IGN);
	RUN(what_was_kept_comes_again_when_its_holder_is_killed);
	RUN(and_when_its_holder_leaves);
	RUN(what_was_not_kept_is_gone_with_its_holder_and_its_memory_is_free);
	RUN(who_is_short_of_memory_takes_none_that_is_kept);
	RUN(a_receiver_that_is_busy_finds_it_among_what_waits);
	RUN(a_receiver_that_sleeps_finds_it_within_about_a_second);
	RUN(what_is_returned_wakes_who_sleeps);
	RUN(what_is_returned_makes_the_descriptor_readable);
	RUN(the_end_waits_for_what_another_keeps);
	RUN(the_end_does_not_wait_for_what_one_keeps_oneself_or_is_not_kept);
	RUN(what_the_dead_had_reserved_is_free);
	RUN(and_what_the_dead_were_about_to_send);
	RUN(but_not_what_they_have_sent);
	RUN(there_is_memory_to_keep_what_lies_before_a_full_arena);
	RUN(too_much_kept_to_keep_one_more_loses_nothing);
	RUN(what_is_dropped_comes_back_if_it_was_kept_and_is_free_otherwise);
	return report();
}
