/* SPDX-License-Identifier: MIT
 *
 * test_channel_loans.c -- messages that lie in the arena (channel_arena.c, channel_loans.c).  What is kept,
 * and who dies with what: test_channel_kept.c.
 */
#include "channels.h"

static const int64_t NO_TIME = 0;

static void what_is_reserved_and_committed_is_taken_where_it_lies(void)
{
	struct world w;
	struct pyipc_channel c;
	struct pyipc_loan mine, got;

	make_world(&w, 4);
	c = take_part(&w, 0);
	for (uint64_t round = 0; round < 10; round++) {
		EQUAL(0, reserve_by(&c, 1000, NO_TIME, &mine));
		EQUAL(1000, mine.size);
		fill(c.memory + mine.at, 1000, round);
		EQUAL(-ETIMEDOUT, take_by(&c, 0, NO_TIME, &got));
		EQUAL(0, commit_by(&c, &mine, 1000, NO_TIME));
		EQUAL(1, pyipc_now_channel_depth(&c));
		EQUAL(0, take_by(&c, 0, NO_TIME, &got));
		CHECK(got.at == mine.at && got.size == 1000 && got.redelivered == 0);
		CHECK(is_filled(c.memory + got.at, 1000, round));
		EQUAL(1, extents_in_use(&w));
		EQUAL(0, release(&c, &got));
		EQUAL(0, extents_in_use(&w));
	}
	leave(&c);
	end_world(&w);
}

/* ---- order ---- */

/* The letter of a message, however long. */
static void send_letter(struct pyipc_channel *c, char letter, uint64_t size)
{
	static char data[ARENA];

	memset(data, letter, size);
	if (size <= SLOT_SIZE)
		EQUAL(size, try_send(c, data, size));
	else
		EQUAL(0, send_long_by(c, data, size, NO_TIME));
}

static void take_letter(struct pyipc_channel *c, char letter, uint64_t size)
{
	struct pyipc_loan got;

	EQUAL(0, take_by(c, 0, NO_TIME, &got));
	EQUAL(size, got.size);
	CHECK(c->memory[got.at] == letter && c->memory[got.at + size - 1] == letter);
	EQUAL(0, release(c, &got));
}

static void short_and_long_ones_come_in_their_order(void)
{
	struct world w;
	struct pyipc_channel c;
	char text[SLOT_SIZE];
	uint32_t sizes[4];

	make_world(&w, 4);
	c = take_part(&w, 0);
	for (int round = 0; round < 3; round++) {
		send_letter(&c, 'a', 1);
		send_letter(&c, 'b', 5000);
		send_letter(&c, 'c', SLOT_SIZE);
		send_letter(&c, 'd', SLOT_SIZE + 1);
		EQUAL(1, pyipc_now_channel_receive(&c, text, sizeof text, sizes, 4));	/* a batch ends there */
		CHECK(sizes[0] == 1 && text[0] == 'a');
		EQUAL(-EMSGSIZE, try_receive(&c, text, sizeof text));
		EQUAL(-EMSGSIZE, receive_by(&c, text, NO_TIME));
		take_letter(&c, 'b', 5000);
		take_letter(&c, 'c', SLOT_SIZE);	/* out of its slot */
		take_letter(&c, 'd', SLOT_SIZE + 1);
		EQUAL(-EAGAIN, try_receive(&c, text, sizeof text));
		EQUAL(0, extents_in_use(&w));
	}
	leave(&c);
	end_world(&w);
}

/* ---- sizes ---- */

static void sizes_are_kept_and_bounded(void)
{
	static const uint64_t sizes[] = { 0, 1, 127, 128, 129, SLOT_SIZE, SLOT_SIZE + 1, 4096, 12345, ARENA - 1, ARENA };
	static char data[ARENA + 1];
	struct world w;
	struct pyipc_channel c;
	struct pyipc_loan loan;

	make_world(&w, 2);
	c = take_part(&w, 0);
	EQUAL(ARENA, c.arena_size);
	for (uint64_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		fill(data, sizes[i], i);
		EQUAL(0, send_long_by(&c, data, sizes[i], NO_TIME));
		EQUAL(0, take_by(&c, 0, NO_TIME, &loan));
		EQUAL(sizes[i], loan.size);
		CHECK(is_filled(c.memory + loan.at, sizes[i], i));
		EQUAL(0, release(&c, &loan));
	}
	EQUAL(-EMSGSIZE, send_long_by(&c, data, ARENA + 1, within_s(PATIENCE_S)));
	EQUAL(-EMSGSIZE, reserve_by(&c, ARENA + 1, within_s(PATIENCE_S), &loan));
	EQUAL(-EMSGSIZE, reserve_by(&c, UINT64_MAX, within_s(PATIENCE_S), &loan));
	EQUAL(0, extents_in_use(&w));
	leave(&c);
	end_world(&w);
}

static void a_part_of_what_was_reserved_may_be_sent_but_not_more(void)
{
	struct world w;
	struct pyipc_channel c;
	struct pyipc_loan loan, got;

	make_world(&w, 2);
	c = take_part(&w, 0);
	EQUAL(0, reserve_by(&c, 5000, NO_TIME, &loan));
	fill(c.memory + loan.at, 5000, 1);
	EQUAL(-EINVAL, commit_by(&c, &loan, 5001, NO_TIME));
	EQUAL(0, commit_by(&c, &loan, 33, NO_TIME));
	EQUAL(0, take_by(&c, 0, NO_TIME, &got));
	EQUAL(33, got.size);
	CHECK(is_filled(c.memory + got.at, 33, 1));
	EQUAL(0, release(&c, &got));
	leave(&c);
	end_world(&w);
}

static void an_arena_of_nothing_has_room_for_nothing(void)
{
	struct world w;
	struct pyipc_channel c;
	struct pyipc_loan loan;
	char text[SLOT_SIZE + 1];

	make_world_with(&w, 2, 0);
	c = take_part(&w, 0);
	EQUAL(-EMSGSIZE, reserve_by(&c, 0, within_s(PATIENCE_S), &loan));
	EQUAL(1, try_send(&c, "x", 1));
	EQUAL(-ENOSPC, take_by(&c, 1, within_s(PATIENCE_S), &loan));
	EQUAL(1, receive_by(&c, text, NO_TIME));
	leave(&c);
	end_world(&w);
}

/* ---- a place in the arena ---- */

static void as_many_as_there_are_numbers_for_and_each_elsewhere(void)
{
	struct world w;
	struct pyipc_channel c;
	enum { ALL = EXTENTS - SPARES };
	struct pyipc_loan loans[ALL], one_more;

	make_world(&w, 2);
	c = take_part(&w, 0);
	for (int i = 0; i < ALL; i++) {
		EQUAL(0, reserve_by(&c, (uint64_t) i, NO_TIME, &loans[i]));
		for (int j = 0; j < i; j++)
			CHECK(loans[j].at + 128 <= loans[i].at && loans[j].extent != loans[i].extent);
	}
	EQUAL(ALL, extents_in_use(&w));
	EQUAL(-ETIMEDOUT, reserve_by(&c, 1, NO_TIME, &one_more));
	EQUAL(0, release(&c, &loans[77]));
	EQUAL(0, reserve_by(&c, 1, NO_TIME, &one_more));
	EQUAL(loans[77].at, one_more.at);
	leave(&c);
	end_world(&w);
}

static void the_first_place_that_is_long_enough_is_used_again(void)
{
	struct world w;
	struct pyipc_channel c;
	struct pyipc_loan a, b, d, next;

	make_world(&w, 2);
	c = take_part(&w, 0);
	EQUAL(0, reserve_by(&c, 1000, NO_TIME, &a));
	EQUAL(0, reserve_by(&c, 3000, NO_TIME, &b));
	EQUAL(0, reserve_by(&c, 1000, NO_TIME, &d));
	EQUAL(0, release(&c, &a));
	EQUAL(0, reserve_by(&c, 1025, NO_TIME, &next));
	CHECK(next.at > d.at);
	EQUAL(0, release(&c, &next));
	EQUAL(0, reserve_by(&c, 1024, NO_TIME, &next));
	EQUAL(a.at, next.at);
	EQUAL(0, release(&c, &next));
	EQUAL(0, release(&c, &b));
	EQUAL(0, reserve_by(&c, 4000, NO_TIME, &next));	/* both together */
	EQUAL(a.at, next.at);
	leave(&c);
	end_world(&w);
}

static void who_keeps_none_gives_none_back_and_nothing_is_given_back_twice(void)
{
	struct world w;
	struct pyipc_channel c, other;
	struct pyipc_loan mine, got;

	make_world(&w, 4);
	c = take_part(&w, 0);
	other = take_part(&w, 0);
	EQUAL(0, reserve_by(&c, 10, NO_TIME, &mine));
	EQUAL(-EBADMSG, release(&other, &mine));
	EQUAL(-EBADMSG, commit_by(&other, &mine, 10, NO_TIME));
	EQUAL(-EBADMSG, pyipc_channel_return(&c, mine.extent));
	EQUAL(0, commit_by(&c, &mine, 10, NO_TIME));
	EQUAL(-EBADMSG, release(&c, &mine));		/* it is on its way */
	EQUAL(-EBADMSG, commit_by(&c, &mine, 10, NO_TIME));
	EQUAL(1, pyipc_now_channel_depth(&c));
	EQUAL(0, take_by(&other, 1, NO_TIME, &got));
	EQUAL(-EBADMSG, release(&c, &got));
	EQUAL(-EBADMSG, pyipc_channel_return(&c, got.extent));
	EQUAL(0, release(&other, &got));
	EQUAL(-EBADMSG, release(&other, &got));
	EQUAL(-EBADMSG, pyipc_channel_return(&other, got.extent));
	EQUAL(-EBADMSG, pyipc_arena_release(&c, EXTENTS));
	EQUAL(-EBADMSG, pyipc_channel_return(&c, UINT32_MAX));
	leave(&c);
	leave(&other);
	end_world(&w);
}

/* ---- no room ---- */

static void who_waits_for_memory_waits_to_the_deadline(void)
{
	struct world w;
	struct pyipc_channel c;
	struct pyipc_loan all, one;
	int64_t start;

	make_world(&w, 2);
	c = take_part(&w, 0);
	EQUAL(0, reserve_by(&c, ARENA, NO_TIME, &all));
	EQUAL(-ETIMEDOUT, reserve_by(&c, 1, INT64_MIN, &one));
	start = now_ns();
	EQUAL(-ETIMEDOUT, reserve_by(&c, 1, start + PYIPC_SECOND / 20, &one));
	CHECK(now_ns() - start >= PYIPC_SECOND / 20);
	EQUAL(-ETIMEDOUT, send_long_by(&c, "x", 1, now_ns() + PYIPC_SECOND / 20));
	leave(&c);
	end_world(&w);
}

static void who_has_waited_for_long_looks_but_once_a_second(void)
{
	struct world w;
	struct pyipc_channel c;
	struct pyipc_loan all, one;

	make_world(&w, 2);
	c = take_part(&w, 0);
	EQUAL(0, reserve_by(&c, ARENA, NO_TIME, &all));
	c.hungry_ns = now_ns() - 10 * (int64_t) PYIPC_SECOND;
	EQUAL(-ETIMEDOUT, reserve_by(&c, 1, now_ns() + PYIPC_SECOND / 2 * 3, &one));
	CHECK(c.sleeps >= 2 && c.sleeps <= 3);
	EQUAL(0, c.hungry_ns);
	EQUAL(0, release(&c, &all));
	EQUAL(0, reserve_by(&c, 1, NO_TIME, &one));
	leave(&c);
	end_world(&w);
}

static void who_waits_for_room_in_the_ring_keeps_what_was_reserved(void)
{
	struct world w;
	struct pyipc_channel c;
	struct pyipc_loan loan, got;
	char text[SLOT_SIZE + 1];

	make_world(&w, 1);
	c = take_part(&w, 0);
	EQUAL(1, try_send(&c, "x", 1));
	EQUAL(-ETIMEDOUT, send_long_by(&c, "y", 1, now_ns() + PYIPC_SECOND / 20));
	EQUAL(0, extents_in_use(&w));
	EQUAL(0, reserve_by(&c, 1, NO_TIME, &loan));
	EQUAL(-ETIMEDOUT, commit_by(&c, &loan, 1, now_ns() + PYIPC_SECOND / 20));
	EQUAL(1, receive_by(&c, text, NO_TIME));
	EQUAL(0, commit_by(&c, &loan, 1, NO_TIME));
	EQUAL(0, take_by(&c, 0, NO_TIME, &got));
	EQUAL(loan.extent, got.extent);
	EQUAL(0, release(&c, &got));
	leave(&c);
	end_world(&w);
}

/* When it got the memory, in microseconds since the test began, is told. */
static void reserves_all_by_and_by(const struct world *w, int *told_us, int64_t began)
{
	struct pyipc_channel c = take_part(w, 0);
	struct pyipc_loan loan;

	for (int i = 0;; i++) {
		c.hungry_ns = now_ns() - 10 * (int64_t) PYIPC_SECOND;	/* it looks but once a second */
		if (reserve_by(&c, ARENA, within_s(PATIENCE_S), &loan) < 0)
			_exit(1);
		tell(&told_us[i], (int) ((now_ns() - began) / 1000));
		WAIT_FOR(told(&told_us[i]) < 0);
		(void) release(&c, &loan);
		WAIT_FOR(told(&told_us[i]) == INT32_MIN);
	}
}

static void who_waits_for_memory_is_woken_when_it_is_free(void)
{
	enum { ROUNDS = 8, QUICK_US = 500000 };	/* to look again of oneself takes twice as long */
	int *told_us = shared_numbers();
	int64_t began = now_ns();
	struct world w;
	struct pyipc_channel c;
	struct pyipc_loan all;
	pid_t waiter;
	int quick = 0;

	make_world(&w, 2);
	c = take_part(&w, 0);
	EQUAL(0, reserve_by(&c, ARENA, NO_TIME, &all));
	waiter = fork_child();
	if (waiter == 0)
		reserves_all_by_and_by(&w, told_us, began);
	for (int i = 0; i < ROUNDS; i++) {
		int64_t freed;

		WAIT_FOR(is_in(waiter, waiter, SYS_futex));
		freed = now_ns();
		EQUAL(0, release(&c, &all));
		WAIT_FOR(told(&told_us[i]) > 0);
		quick += (int64_t) told(&told_us[i]) - (freed - began) / 1000 < QUICK_US;
		tell(&told_us[i], -1);
		EQUAL(0, reserve_by(&c, ARENA, within_s(PATIENCE_S), &all));
		tell(&told_us[i], INT32_MIN);
	}
	CHECK(quick >= ROUNDS - 2);
	EQUAL(1000 + SIGKILL, kill_and_reap(waiter));
	EQUAL(0, munmap(told_us, 4096));
	leave(&c);
	end_world(&w);
}

static pid_t one_that_reserves_all(const struct world *w, int *said, int expected)
{
	pid_t child = fork_child();

	if (child == 0) {
		struct pyipc_channel c = take_part(w, 0);
		struct pyipc_loan loan;

		EQUAL(expected, reserve_by(&c, ARENA, within_s(PATIENCE_S), &loan));
		tell(said, all_was_well() + 1);
		for (;;)
			(void) pause();
	}
	return child;
}

static void who_waits_for_memory_gets_that_of_one_who_dies(void)
{
	int *said = shared_numbers();
	struct world w;
	pid_t holder, waiter;
	int64_t died;

	make_world(&w, 2);
	holder = one_that_reserves_all(&w, &said[0], 0);
	WAIT_FOR(told(&said[0]) == 1);
	waiter = one_that_reserves_all(&w, &said[1], 0);
	WAIT_FOR(is_in(waiter, waiter, SYS_futex));
	died = now_ns();
	EQUAL(1000 + SIGKILL, kill_and_reap(holder));
	WAIT_FOR(told(&said[1]) == 1);
	CHECK(now_ns() - died < 5 * (int64_t) PYIPC_SECOND);
	EQUAL(1000 + SIGKILL, kill_and_reap(waiter));
	EQUAL(0, munmap(said, 4096));
	end_world(&w);
}

static void who_waits_for_memory_learns_that_nobody_receives_any_more(void)
{
	int *said = shared_numbers();
	struct world w;
	struct pyipc_channel c;
	struct pyipc_loan all;
	pid_t receiver, waiter;
	int64_t died;

	make_world(&w, 2);
	receiver = sleeping_child();
	only_sends(&w);
	c = take_part(&w, 0);
	EQUAL(0, reserve_by(&c, ARENA, NO_TIME, &all));
	waiter = one_that_reserves_all(&w, said, -EPIPE);
	WAIT_FOR(is_in(waiter, waiter, SYS_futex));
	died = now_ns();
	EQUAL(1000 + SIGKILL, kill_and_reap(receiver));
	WAIT_FOR(told(said) == 1);
	CHECK(now_ns() - died < 5 * (int64_t) PYIPC_SECOND);
	EQUAL(-EPIPE, commit_by(&c, &all, 1, within_s(PATIENCE_S)));
	EQUAL(-EPIPE, send_long_by(&c, "x", 1, within_s(PATIENCE_S)));
	EQUAL(1000 + SIGKILL, kill_and_reap(waiter));
	EQUAL(0, munmap(said, 4096));
	leave(&c);
	end_world(&w);
}

/* ---- two processes and more ---- */

enum { TRIPS = 200, LONGEST = 300000 };

static uint64_t size_of_trip(int trip)
{
	return (uint64_t) trip * 7919 % LONGEST;
}

static void echo_all(struct pyipc_channel *from, struct pyipc_channel *to)
{
	for (int i = 0; i < TRIPS; i++) {
		struct pyipc_loan got;

		EQUAL(0, take_by(from, i % 2, within_s(PATIENCE_S), &got));
		EQUAL(size_of_trip(i), got.size);
		CHECK(is_filled(from->memory + got.at, got.size, (uint64_t) i));
		EQUAL(0, send_long_by(to, from->memory + got.at, got.size, within_s(PATIENCE_S)));
		EQUAL(0, release(from, &got));
	}
}

static void long_messages_go_to_another_process_and_back(void)
{
	static char data[LONGEST];
	struct world there, back;
	struct pyipc_channel to, from;
	pid_t echo;

	make_world(&there, 4);
	make_world(&back, 4);
	echo = fork_child();
	if (echo == 0) {
		to = take_part(&back, 0);
		from = take_part(&there, 0);
		echo_all(&from, &to);
		_exit(all_was_well());
	}
	to = take_part(&there, 0);
	from = take_part(&back, 0);
	for (int i = 0; i < TRIPS && check_ok; i++) {
		struct pyipc_loan loan;

		fill(data, size_of_trip(i), (uint64_t) i);
		if (i % 3) {
			EQUAL(0, reserve_by(&to, size_of_trip(i), within_s(PATIENCE_S), &loan));
			memcpy(to.memory + loan.at, data, size_of_trip(i));
			EQUAL(0, commit_by(&to, &loan, size_of_trip(i), within_s(PATIENCE_S)));
		} else {
			EQUAL(0, send_long_by(&to, data, size_of_trip(i), within_s(PATIENCE_S)));
		}
		EQUAL(0, take_by(&from, 0, within_s(PATIENCE_S), &loan));
		EQUAL(size_of_trip(i), loan.size);
		CHECK(is_filled(from.memory + loan.at, loan.size, (uint64_t) i));
		EQUAL(0, release(&from, &loan));
	}
	EQUAL(0, end_of(echo));
	EQUAL(0, extents_in_use(&there) + extents_in_use(&back));
	leave(&to);
	leave(&from);
	end_world(&there);
	end_world(&back);
}

enum { SENDERS = 3, RECEIVERS = 3, MANY = 3000 };

/* Every third goes by a slot, by the arena, or was reserved. */
static int sends_many(struct world *w, int who)
{
	static char data[20000];
	struct pyipc_channel c;

	only_sends(w);
	c = take_part(w, 0);
	for (int i = 1; i <= MANY && check_ok; i++) {
		uint64_t size = i % 3 ? 16 + (uint64_t) (i * 37 + who) % (sizeof data - 16) : 8 + (uint64_t) i % 90;
		struct pyipc_loan loan;

		memcpy(data, &who, 4);
		memcpy(data + 4, &i, 4);
		fill(data + 8, size - 8, (uint64_t) (i + who));
		if (i % 3 == 0) {
			uint32_t sizes[] = { (uint32_t) size };

			EQUAL(1, UNTIL_DONE(pyipc_channel_send(&c, data, sizes, 1, within_s(PATIENCE_S))));
		} else if (i % 3 == 1) {
			EQUAL(0, send_long_by(&c, data, size, within_s(PATIENCE_S)));
		} else {
			EQUAL(0, reserve_by(&c, size, within_s(PATIENCE_S), &loan));
			memcpy(c.memory + loan.at, data, size);
			EQUAL(0, commit_by(&c, &loan, size, within_s(PATIENCE_S)));
		}
	}
	return all_was_well();
}

static void see(const char *data, uint64_t size, int *last_of, int *came)
{
	int who, number;

	CHECK(size >= 8);
	memcpy(&who, data, 4);
	memcpy(&number, data + 4, 4);
	CHECK(who >= 0 && who < SENDERS && number >= 1 && number <= MANY);
	if (check_ok != 1)
		return;
	CHECK(is_filled(data + 8, size - 8, (uint64_t) (number + who)));
	CHECK(number > last_of[who]);
	last_of[who] = number;
	(void) __atomic_fetch_add(&came[who * MANY + number - 1], 1, __ATOMIC_RELAXED);
}

/* By receive where that can be, by take of both kinds else. */
static int receives_many(struct world *w, int *came)
{
	struct pyipc_channel c;
	char text[SLOT_SIZE];
	int last_of[SENDERS] = { 0 };
	int64_t result;

	only_receives(w);
	c = take_part(w, 0);
	for (int i = 0; check_ok == 1; i++) {
		struct pyipc_loan got;
		uint32_t size;

		result = UNTIL_DONE(pyipc_channel_receive(&c, text, sizeof text, &size, 1, within_s(PATIENCE_S)));
		if (result == 1) {
			see(text, size, last_of, came);
			result = take_by(&c, i % 2, within_s(PATIENCE_S), &got);
		} else if (result == -EMSGSIZE) {
			result = take_by(&c, i % 2, within_s(PATIENCE_S), &got);
		}
		if (result == -EPIPE)
			break;
		EQUAL(0, result);
		EQUAL(0, got.redelivered);
		see(c.memory + got.at, got.size, last_of, came);
		EQUAL(0, release(&c, &got));
	}
	return all_was_well();
}

static void among_many_each_comes_once_and_in_its_senders_order(void)
{
	const size_t room = SENDERS * MANY * sizeof(int);
	int *came = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t children[SENDERS + RECEIVERS];
	struct world w;

	CHECK(came != MAP_FAILED);
	make_world_with(&w, 16, 100000);	/* so that they wait for memory, too */
	for (int i = 0; i < SENDERS + RECEIVERS; i++) {
		children[i] = fork_child();
		if (children[i] == 0)
			_exit(i < SENDERS ? sends_many(&w, i) : receives_many(&w, came));
	}
	for (int i = 0; i < 2; i++) {
		EQUAL(0, close(w.data[i]));
		EQUAL(0, close(w.space[i]));
		w.data[i] = w.space[i] = -1;
	}
	for (int i = 0; i < SENDERS + RECEIVERS; i++)
		EQUAL(0, end_of(children[i]));
	for (int i = 0; i < SENDERS * MANY; i++)
		EQUAL(1, came[i]);
	EQUAL(0, extents_in_use(&w));
	EQUAL(0, munmap(came, room));
	end_world(&w);
}

static void what_a_parent_holds_is_not_its_childs(void)
{
	struct world w;
	struct pyipc_channel c;
	struct pyipc_loan mine, kept;
	pid_t child;

	make_world(&w, 4);
	c = take_part(&w, 0);
	EQUAL(1, try_send(&c, "x", 1));
	EQUAL(0, take_by(&c, 1, NO_TIME, &kept));
	EQUAL(0, reserve_by(&c, 100, NO_TIME, &mine));
	child = fork_child();
	if (child == 0) {
		EQUAL(0, pyipc_member_forked(&c.me));
		for (int joined = 0; joined < 2; joined++) {
			struct pyipc_loan another;

			EQUAL(-EBADMSG, release(&c, &mine));
			EQUAL(-EBADMSG, release(&c, &kept));
			EQUAL(-EBADMSG, pyipc_channel_return(&c, kept.extent));
			EQUAL(joined ? -EBADMSG : -ENOTCONN, commit_by(&c, &mine, 100, NO_TIME));
			EQUAL(joined ? 0 : -ENOTCONN, reserve_by(&c, 100, NO_TIME, &another));
			if (!joined)
				EQUAL(0, pyipc_member_join(&c.me, c.me.roster, c.me.life));
		}
		_exit(all_was_well());
	}
	EQUAL(0, end_of(child));
	EQUAL(0, commit_by(&c, &mine, 100, NO_TIME));
	EQUAL(0, release(&c, &kept));
	leave(&c);
	end_world(&w);
}

/* Two threads may try to. */
static void what_is_sent_is_not_sent_again(void)
{
	struct pyipc_loan loan, got;
	struct pyipc_channel c;
	struct world w;

	make_world(&w, 4);
	c = take_part(&w, 0);
	EQUAL(0, pyipc_channel_reserve(&c, 10, 0, &loan));
	EQUAL(0, pyipc_channel_commit(&c, &loan, 10, 0));
	EQUAL(-EBADMSG, pyipc_channel_commit(&c, &loan, 10, 0));
	EQUAL(1, pyipc_now_channel_depth(&c));
	EQUAL(0, pyipc_channel_take(&c, 0, 0, &got));
	EQUAL(0, pyipc_arena_release(&c, got.extent));
	EQUAL(-EBADMSG, pyipc_channel_commit(&c, &loan, 10, 0));
	leave(&c);
	end_world(&w);
}

int main(void)
{
	begin();
	(void) signal(SIGPIPE, SIG_IGN);
	RUN(what_is_reserved_and_committed_is_taken_where_it_lies);
	RUN(short_and_long_ones_come_in_their_order);
	RUN(sizes_are_kept_and_bounded);
	RUN(a_part_of_what_was_reserved_may_be_sent_but_not_more);
	RUN(an_arena_of_nothing_has_room_for_nothing);
	RUN(as_many_as_there_are_numbers_for_and_each_elsewhere);
	RUN(the_first_place_that_is_long_enough_is_used_again);
	RUN(who_keeps_none_gives_none_back_and_nothing_is_given_back_twice);
	RUN(who_waits_for_memory_waits_to_the_deadline);
	RUN(who_has_waited_for_long_looks_but_once_a_second);
	RUN(who_waits_for_room_in_the_ring_keeps_what_was_reserved);
	RUN(who_waits_for_memory_is_woken_when_it_is_free);
	RUN(who_waits_for_memory_gets_that_of_one_who_dies);
	RUN(who_waits_for_memory_learns_that_nobody_receives_any_more);
	RUN(long_messages_go_to_another_process_and_back);
	RUN(among_many_each_comes_once_and_in_its_senders_order);
	RUN(what_a_parent_holds_is_not_its_childs);
	RUN(what_is_sent_is_not_sent_again);
	return report();
}
