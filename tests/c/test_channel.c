/* SPDX-License-Identifier: MIT
 *
 * test_channel.c -- channel.c between processes that live.
 */
#include "channels.h"

#include <sys/time.h>

enum { SPINS = 300 };

static void what_is_sent_is_received_in_order(void)
{
	struct world w;
	struct pyipc_channel c;
	char text[SLOT_SIZE + 1];

	make_world(&w, 4);
	c = take_part(&w, 0);
	EQUAL(-EAGAIN, try_receive(&c, text, SLOT_SIZE));
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 4; i++) {
			(void) snprintf(text, sizeof text, "%d of %d", i, round);
			EQUAL(strlen(text), try_send(&c, text, strlen(text)));
			EQUAL(i + 1, pyipc_now_channel_depth(&c));
		}
		EQUAL(-EAGAIN, try_send(&c, "x", 1));
		for (int i = 0; i < 4; i++) {
			char expected[SLOT_SIZE];

			(void) snprintf(expected, sizeof expected, "%d of %d", i, round);
			EQUAL(strlen(expected), try_receive(&c, text, SLOT_SIZE));
			EQUAL(0, memcmp(text, expected, strlen(expected)));
		}
		EQUAL(-EAGAIN, try_receive(&c, text, SLOT_SIZE));
	}
	leave(&c);
	end_world(&w);
}

static void sizes_are_kept_and_bounded(void)
{
	struct world w;
	struct pyipc_channel c;
	char data[SLOT_SIZE + 1], got[SLOT_SIZE];

	memset(data, 'd', sizeof data);
	make_world(&w, 2);
	c = take_part(&w, 0);
	EQUAL(-EMSGSIZE, try_send(&c, data, SLOT_SIZE + 1));
	for (uint64_t size = 0; size <= SLOT_SIZE; size++) {
		memset(got, UNTOUCHED, sizeof got);
		EQUAL(size, try_send(&c, data, size));
		if (size > 0)
			EQUAL(-EMSGSIZE, try_receive(&c, got, size - 1));
		CHECK(untouched(got, sizeof got));
		EQUAL(size, try_receive(&c, got, size));
		EQUAL(0, memcmp(got, data, size));
		CHECK(untouched(got + size, sizeof got - size));
	}
	leave(&c);
	end_world(&w);
}

static void a_batch_is_sent_and_received_as_far_as_it_fits(void)
{
	static const char letters[] = "abbcccdddd";
	static const uint32_t sizes[] = { 1, 2, 3, 4 };
	struct world w;
	struct pyipc_channel c;
	uint32_t got_sizes[8];
	char got[3 * SLOT_SIZE];

	make_world(&w, 4);
	c = take_part(&w, 0);
	EQUAL(0, pyipc_now_channel_send(&c, letters, sizes, 0));
	EQUAL(0, pyipc_now_channel_receive(&c, got, sizeof got, got_sizes, 0));
	for (int round = 0; round < 5; round++) {
		EQUAL(4, pyipc_now_channel_send(&c, letters, sizes, 4));
		EQUAL(-EAGAIN, pyipc_now_channel_send(&c, letters, sizes, 4));
		EQUAL(-EMSGSIZE, pyipc_now_channel_receive(&c, got, 0, got_sizes, 8));
		EQUAL(2, pyipc_now_channel_receive(&c, got, 5, got_sizes, 8));
		EQUAL(0, memcmp(got, "abb", 3));
		CHECK(got_sizes[0] == 1 && got_sizes[1] == 2);
		EQUAL(2, pyipc_now_channel_send(&c, letters, sizes, 4));
		EQUAL(4, pyipc_now_channel_receive(&c, got, sizeof got, got_sizes, 8));
		EQUAL(0, memcmp(got, "cccddddabb", 10));
		CHECK(got_sizes[0] == 3 && got_sizes[1] == 4 && got_sizes[2] == 1 && got_sizes[3] == 2);
	}
	leave(&c);
	end_world(&w);
}

static void one_that_is_too_long_stops_its_batch_before_anything_is_sent(void)
{
	static const uint32_t sizes[] = { 1, SLOT_SIZE + 1 };
	static const char data[SLOT_SIZE + 2];
	struct world w;
	struct pyipc_channel c;

	make_world(&w, 4);
	c = take_part(&w, 0);
	EQUAL(-EMSGSIZE, pyipc_now_channel_send(&c, data, sizes, 2));
	EQUAL(-EMSGSIZE, pyipc_channel_send(&c, data, sizes, 2, 0));
	EQUAL(0, pyipc_now_channel_depth(&c));
	leave(&c);
	end_world(&w);
}

static void deadlines_are_kept(void)
{
	struct world w;
	struct pyipc_channel c;
	char text[SLOT_SIZE + 1];
	int64_t start;

	make_world(&w, 1);
	c = take_part(&w, SPINS);
	for (int spins = 0; spins <= SPINS; spins += SPINS) {
		c.me.spins = spins;
		start = now_ns();
		EQUAL(-ETIMEDOUT, receive_by(&c, text, start + PYIPC_SECOND / 20));
		CHECK(now_ns() - start >= PYIPC_SECOND / 20);
		EQUAL(-ETIMEDOUT, receive_by(&c, text, 0));
		EQUAL(1, send_by(&c, "x", 0));
		start = now_ns();
		EQUAL(-ETIMEDOUT, send_by(&c, "y", start + PYIPC_SECOND / 20));
		CHECK(now_ns() - start >= PYIPC_SECOND / 20);
		EQUAL(-ETIMEDOUT, send_by(&c, "y", 0));
		EQUAL(1, receive_by(&c, text, 0));
	}
	leave(&c);
	end_world(&w);
}

/* ---- two processes and more ---- */

enum { MANY = 20000 };

static int sends_many(struct world *w, int spins, int who)
{
	struct pyipc_channel c;
	char text[SLOT_SIZE];

	only_sends(w);
	c = take_part(w, spins);
	for (int i = 0; i < MANY; i++) {
		(void) snprintf(text, sizeof text, "%d %d", who, i);
		EQUAL(strlen(text), send_by(&c, text, within_s(PATIENCE_S)));
	}
	return all_was_well();
}

/* Each sender's in order; how many of them come is told. */
static int receives_many(struct world *w, int spins, int *ret_sum)
{
	struct pyipc_channel c;
	char text[SLOT_SIZE + 1];
	int64_t got;
	int next[4] = { 0 };

	only_receives(w);
	c = take_part(w, spins);
	while ((got = receive_by(&c, text, within_s(PATIENCE_S))) > 0) {
		char *rest;
		long who = strtol(text, &rest, 10), number = strtol(rest, NULL, 10);

		CHECK(who >= 0 && who < 4 && number >= next[who]);
		next[who] = (int) number + 1;
		(void) __atomic_fetch_add(ret_sum, 1, __ATOMIC_SEQ_CST);
	}
	EQUAL(-EPIPE, got);
	return all_was_well();
}

static void many_go(int senders, int receivers, uint32_t slots, int spins)
{
	int *sum = shared_numbers();
	pid_t children[8];
	struct world w;

	make_world(&w, slots);
	for (int i = 0; i < senders + receivers; i++) {
		children[i] = fork_child();
		if (children[i] == 0)
			_exit(i < senders ? sends_many(&w, spins, i) : receives_many(&w, spins, sum));
	}
	end_world(&w);
	for (int i = 0; i < senders + receivers; i++)
		EQUAL(0, end_of(children[i]));
	EQUAL(senders * MANY, *sum);
	EQUAL(0, munmap(sum, 4096));
}

static void between_two_processes_all_arrive_and_then_comes_the_end(void)
{
	many_go(1, 1, 16, 0);
	many_go(1, 1, 16, SPINS);
	many_go(1, 1, 1, 0);
}

static void among_many_each_arrives_once_and_in_its_senders_order(void)
{
	many_go(3, 3, 8, 0);
	many_go(4, 1, 64, SPINS);
	many_go(1, 4, 2, SPINS);
}

/* ---- ends ---- */

static void a_sender_learns_that_nobody_receives(void)
{
	struct world w;
	struct pyipc_channel c;

	make_world(&w, 4);
	only_sends(&w);
	c = take_part(&w, 0);
	EQUAL(-EPIPE, try_send(&c, "x", 1));
	leave(&c);
	end_world(&w);
}

static void a_sender_that_waits_for_room_is_woken_when_the_last_receiver_dies(void)
{
	struct world w;
	pid_t sender, receiver;

	make_world(&w, 1);
	receiver = fork_child();
	if (receiver == 0) {
		only_receives(&w);
		for (;;)
			(void) pause();
	}
	sender = fork_child();
	if (sender == 0) {
		struct pyipc_channel c;

		only_sends(&w);
		c = take_part(&w, 0);
		EQUAL(1, send_by(&c, "1", within_s(PATIENCE_S)));
		EQUAL(-EPIPE, send_by(&c, "2", within_s(PATIENCE_S)));
		_exit(all_was_well());
	}
	only_sends(&w);
	end_world(&w);
	WAIT_FOR(is_in(sender, sender, SYS_ppoll));
	EQUAL(1000 + SIGKILL, kill_and_reap(receiver));
	EQUAL(0, end_of(sender));
}

static void a_receiver_takes_what_the_dead_have_sent_and_then_comes_the_end(void)
{
	struct world w;
	struct pyipc_channel c;
	char text[SLOT_SIZE + 1];
	pid_t sender;

	make_world(&w, 4);
	sender = fork_child();
	if (sender == 0) {
		struct pyipc_channel mine = take_part(&w, 0);

		EQUAL(4, send_by(&mine, "last", within_s(PATIENCE_S)));
		_exit(all_was_well());
	}
	only_receives(&w);
	EQUAL(0, end_of(sender));
	c = take_part(&w, 0);
	EQUAL(4, receive_by(&c, text, within_s(PATIENCE_S)));
	EQUAL(0, strcmp(text, "last"));
	EQUAL(-EPIPE, receive_by(&c, text, within_s(PATIENCE_S)));
	leave(&c);
	end_world(&w);
}

static void the_end_is_told_without_waiting_too(void)
{
	struct world w;
	struct pyipc_channel c;
	char text[SLOT_SIZE + 1];

	make_world(&w, 4);
	c = take_part(&w, 0);
	EQUAL(1, try_send(&c, "x", 1));
	only_receives(&w);
	EQUAL(1, receive_by(&c, text, 0));
	EQUAL(-EPIPE, receive_by(&c, text, 0));
	EQUAL(-EPIPE, receive_by(&c, text, INT64_MIN));
	leave(&c);
	end_world(&w);
}

static void a_sender_learns_it_each_time(void)
{
	struct world w;
	struct pyipc_channel c;

	make_world(&w, 4);
	c = take_part(&w, 0);
	EQUAL(1, try_send(&c, "x", 1));	/* the token lies there: no write of one will fail */
	only_sends(&w);
	c.looked_ns = 0;
	for (int i = 0; i < 3; i++)
		EQUAL(-EPIPE, try_send(&c, "y", 1));
	EQUAL(-EPIPE, send_by(&c, "y", within_s(PATIENCE_S)));
	leave(&c);
	end_world(&w);
}

/* ---- who has died with a guard ---- */

static void leave_guard(struct world *w, uint64_t side)
{
	struct pyipc_channel gone = take_part(w, 0);

	memcpy(w->mapped + side, &gone.me.id, sizeof gone.me.id);
	leave(&gone);
}

static void a_try_takes_a_guard_from_the_dead(void)
{
	struct world w;
	struct pyipc_channel c;
	char text[SLOT_SIZE + 1];

	make_world(&w, 4);
	c = take_part(&w, 0);
	leave_guard(&w, SENDERS_GUARD);
	EQUAL(1, try_send(&c, "x", 1));
	leave_guard(&w, RECEIVERS_GUARD);
	EQUAL(1, try_receive(&c, text, SLOT_SIZE));
	EQUAL(2, c.recoveries);
	leave(&c);
	end_world(&w);
}

static void signals_without_end_do_not_hide_a_death(void)
{
	struct itimerval often = { .it_interval.tv_usec = 3000, .it_value.tv_usec = 3000 }, never = { .it_value.tv_sec = 0 };
	struct world w;
	struct pyipc_channel c;
	int64_t started = now_ns();

	make_world(&w, 4);
	c = take_part(&w, 0);
	leave_guard(&w, SENDERS_GUARD);
	handle(SIGALRM, 0);
	EQUAL(0, setitimer(ITIMER_REAL, &often, NULL));
	EQUAL(1, send_by(&c, "x", within_s(PATIENCE_S)));
	EQUAL(0, setitimer(ITIMER_REAL, &never, NULL));
	(void) signal(SIGALRM, stuck);
	CHECK(now_ns() - started < 5 * (int64_t) PYIPC_SECOND);
	leave(&c);
	end_world(&w);
}

/* ---- who takes part ---- */

static void each_has_a_slot_and_the_next_holder_of_it_another_id(void)
{
	struct world w;
	struct pyipc_channel first, second, third;
	uint32_t id;

	make_world(&w, 1);
	first = take_part(&w, 0);
	second = take_part(&w, 0);
	CHECK((first.me.id & 1023) == 1 && (second.me.id & 1023) == 2);
	id = first.me.id;
	leave(&first);
	third = take_part(&w, 0);
	EQUAL(1, third.me.id & 1023);
	CHECK(third.me.id != id);
	leave(&second);
	leave(&third);
	end_world(&w);
}

/* Its sender was killed before it could write the token. */
static void a_message_without_a_token_is_found_within_a_second(void)
{
	struct world w;
	struct pyipc_channel c, other;
	char text[SLOT_SIZE + 1];
	int64_t start;
	pid_t child;

	make_world(&w, 4);
	c = take_part(&w, 0);
	child = fork_child();
	if (child == 0) {
		other = take_part(&w, 0);
		EQUAL(1, receive_by(&other, text, within_s(PATIENCE_S)));
		_exit(all_was_well());
	}
	WAIT_FOR(is_in(child, child, SYS_ppoll));
	start = now_ns();
	layout_of(&w)->sent.token = 1;	/* as if it were there */
	EQUAL(1, try_send(&c, "x", 1));
	EQUAL(0, end_of(child));
	CHECK(now_ns() - start < 5 * (int64_t) PYIPC_SECOND);
	leave(&c);
	end_world(&w);
}

/* Whoever polls a pipe alone finds the token there first, whatever processor sleeps. */
static void who_watches_says_so(void)
{
	struct world w;
	struct pyipc_channel c;

	make_world(&w, 4);
	layout_of(&w)->watched = 0;
	c = take_part(&w, 0);
	EQUAL(0, pyipc_channel_watch(&c));
	EQUAL(1, layout_of(&w)->watched);
	EQUAL(0, layout_of(&w)->sent.guard);
	EQUAL(0, pyipc_channel_watch(&c));
	c.me.id = 0;
	layout_of(&w)->watched = 0;
	EQUAL(-ENOTCONN, pyipc_channel_watch(&c));
	leave(&c);
	end_world(&w);
}

static void what_is_no_channel_is_refused(void)
{
	struct world w;
	struct pyipc_channel c = { .me.spins = 0 };

	make_world(&w, 4);
	EQUAL(-EINVAL, pyipc_channel_open(&c, w.mapped, 100, -1));
	EQUAL(-EINVAL, pyipc_channel_open(&c, w.mapped, (uint64_t) pyipc_channel_memory(4, SLOT_SIZE, 0) - 1, -1));
	((uint32_t *) w.mapped)[2]++;
	EQUAL(-EPROTONOSUPPORT, pyipc_channel_open(&c, w.mapped, w.size, -1));
	w.mapped[0]++;
	EQUAL(-EINVAL, pyipc_channel_open(&c, w.mapped, w.size, -1));
	EQUAL(-EINVAL, pyipc_channel_memory(0, 1, 0));
	EQUAL(-EINVAL, pyipc_channel_memory(4, 0, 0));
	EQUAL(-EINVAL, pyipc_channel_memory(UINT32_C(1) << 31, UINT32_MAX, 0));
	end_world(&w);
}

int main(void)
{
	begin();
	(void) signal(SIGPIPE, SIG_IGN);
	RUN(what_is_sent_is_received_in_order);
	RUN(sizes_are_kept_and_bounded);
	RUN(a_batch_is_sent_and_received_as_far_as_it_fits);
	RUN(one_that_is_too_long_stops_its_batch_before_anything_is_sent);
	RUN(deadlines_are_kept);
	RUN(between_two_processes_all_arrive_and_then_comes_the_end);
	RUN(among_many_each_arrives_once_and_in_its_senders_order);
	RUN(a_sender_learns_that_nobody_receives);
	RUN(a_sender_that_waits_for_room_is_woken_when_the_last_receiver_dies);
	RUN(a_receiver_takes_what_the_dead_have_sent_and_then_comes_the_end);
	RUN(the_end_is_told_without_waiting_too);
	RUN(a_sender_learns_it_each_time);
	RUN(a_try_takes_a_guard_from_the_dead);
	RUN(signals_without_end_do_not_hide_a_death);
	RUN(each_has_a_slot_and_the_next_holder_of_it_another_id);
	RUN(a_message_without_a_token_is_found_within_a_second);
	RUN(who_watches_says_so);
	RUN(what_is_no_channel_is_refused);
	return report();
}
