/* SPDX-License-Identifier: MIT
 *
 * test_cell.c -- the latest value: whole, newest, at once; waits; and what a hostile peer may do.
 */
#include "cells.h"

#include <pthread.h>

/* ---- values ---- */

static void a_value_of_each_size_is_read_back(void)
{
	struct world w;
	struct pyipc_cell c;
	char value[MOST], got[MOST + 1];
	uint64_t size = 1;

	make_world(&w);
	c = take_part(&w, 0);
	EQUAL(0, pyipc_now_cell_version(&c));
	EQUAL(0, pyipc_now_cell_get(&c, got, 0, &size));
	EQUAL(0, size);
	for (uint32_t length = 0; length <= MOST; length++) {
		memset(value, 'a' + (int) length % 26, sizeof value);
		memset(got, UNTOUCHED, sizeof got);
		EQUAL(length + 1, length % 2 ? pyipc_now_cell_set(&c, value, length) :
		      pyipc_cell_set(&c, value, length, within_ns(PYIPC_SECOND)));
		EQUAL(length, pyipc_now_cell_size(&c));
		EQUAL(length + 1, length % 3 ? pyipc_now_cell_get(&c, got, length, &size) : pyipc_cell_get(&c, got, MOST, &size));
		EQUAL(length, size);
		EQUAL(0, memcmp(value, got, length));
		CHECK(untouched(got + length, sizeof got - length));
		if (length > 0)
			EQUAL(-EMSGSIZE, pyipc_now_cell_get(&c, got, length - 1, &size));
	}
	EQUAL(-EMSGSIZE, pyipc_now_cell_set(&c, value, MOST + 1));
	EQUAL(-EMSGSIZE, pyipc_cell_set(&c, value, MOST + 1, INT64_MAX));
	EQUAL(MOST + 1, pyipc_now_cell_version(&c));
	leave(&c);
	end_world(&w);
}

static void sizes_that_no_cell_has(void)
{
	struct world w;

	EQUAL(-EINVAL, pyipc_cell_memory(0));
	EQUAL(-EINVAL, pyipc_cell_memory(PYIPC_CELL_MOST + 1));
	EQUAL(-EINVAL, pyipc_cell_memory(UINT32_MAX));
	CHECK(pyipc_cell_memory(PYIPC_CELL_MOST) > 4LL * PYIPC_CELL_MOST);
	make_world(&w);
	EQUAL(-EINVAL, pyipc_cell_format(w.mapped, w.size - 1, MOST));
	EQUAL(-EINVAL, pyipc_cell_format(w.mapped, w.size, 0));
	end_world(&w);
}

static int opened(const struct world *w, uint64_t size)
{
	struct pyipc_cell c = { .me = { .spins = 0 } };
	int32_t life = a_life(w);
	int result = pyipc_cell_open(&c, w->mapped, size, life);

	EQUAL(0, pyipc_fd_close(&life));
	return result;
}

static void what_is_no_cell_is_refused(void)
{
	struct world w;

	make_world(&w);
	EQUAL(0, opened(&w, w.size));
	EQUAL(-EINVAL, opened(&w, w.size - 1));
	EQUAL(-EINVAL, opened(&w, 64));
	w.mapped[12] = 101;	/* most */
	CHECK(pyipc_cell_memory(101) > 0);
	w.mapped[14] = 1;
	EQUAL(-EINVAL, opened(&w, w.size));
	w.mapped[14] = 0;
	w.mapped[8] = 2;	/* major */
	EQUAL(-EPROTONOSUPPORT, opened(&w, w.size));
	w.mapped[0] ^= 1;	/* magic */
	EQUAL(-EINVAL, opened(&w, w.size));
	end_world(&w);
}

static void who_is_nobody_joins_first(void)
{
	struct world w;
	struct pyipc_cell c;
	char text[MOST + 1];

	make_world(&w);
	c = take_part(&w, 0);
	EQUAL(1, set_by(&c, "one", INT64_MAX));
	EQUAL(0, pyipc_member_forked(&c.me));
	EQUAL(-ENOTCONN, pyipc_now_cell_set(&c, "x", 1));
	EQUAL(-ENOTCONN, pyipc_cell_set(&c, "x", 1, INT64_MAX));
	EQUAL(1, get_text(&c, text));	/* to read one need not be anybody */
	EQUAL(0, pyipc_member_join(&c.me, c.me.roster, c.me.life));
	EQUAL(2, set_by(&c, "two", INT64_MAX));
	leave(&c);
	end_world(&w);
}

/* ---- guards ---- */

static void a_dead_writer_is_in_nobodys_way(void)
{
	struct world w;
	struct pyipc_cell c;
	int64_t began;

	make_world(&w);
	c = take_part(&w, 0);
	leave_guard(&w);
	EQUAL(1, pyipc_now_cell_set(&c, "x", 1));	/* at once */
	leave_guard(&w);
	began = now_ns();
	EQUAL(2, set_by(&c, "y", within_ns(PYIPC_SECOND)));
	CHECK(now_ns() - began < PYIPC_SECOND);
	leave(&c);
	end_world(&w);
}

static void a_living_writer_is_waited_for_and_no_longer_than_asked(void)
{
	struct world w;
	struct pyipc_cell c, other;
	char text[MOST + 1];
	int64_t began;

	make_world(&w);
	c = take_part(&w, 0);
	other = take_part(&w, 0);
	EQUAL(1, set_by(&c, "before", INT64_MAX));
	__atomic_store_n(guard_of(&w), other.me.id, __ATOMIC_RELAXED);
	EQUAL(-EAGAIN, pyipc_now_cell_set(&c, "x", 1));
	began = now_ns();
	EQUAL(-ETIMEDOUT, set_by(&c, "x", within_ns(PYIPC_SECOND / 20)));
	CHECK(now_ns() - began >= PYIPC_SECOND / 20);
	CHECK(now_ns() - began < 5LL * PYIPC_SECOND);
	EQUAL(1, get_text(&c, text));	/* readers do not care */
	EQUAL(0, strcmp("before", text));
	__atomic_store_n(guard_of(&w), 0, __ATOMIC_RELAXED);
	leave(&c);
	leave(&other);
	end_world(&w);
}

/* ---- waiting ---- */

static void waits_end_by_time(void)
{
	struct world w;
	struct pyipc_cell c;
	int64_t began;

	make_world(&w);
	c = take_part(&w, 10);
	EQUAL(-ETIMEDOUT, pyipc_cell_wait(&c, 0, now_ns(), 0));
	began = now_ns();
	EQUAL(-ETIMEDOUT, wait_by(&c, 0, within_ns(PYIPC_SECOND / 20)));
	CHECK(now_ns() - began >= PYIPC_SECOND / 20);
	CHECK(now_ns() - began < 5LL * PYIPC_SECOND);
	EQUAL(1, set_by(&c, "x", INT64_MAX));
	EQUAL(0, pyipc_cell_wait(&c, 0, now_ns(), 0));
	EQUAL(-ETIMEDOUT, pyipc_cell_wait(&c, 1, now_ns(), 0));
	EQUAL(-ETIMEDOUT, pyipc_cell_wait(&c, INT64_MAX, now_ns(), 0));
	began = now_ns();
	EQUAL(-EINTR, pyipc_cell_wait(&c, 1, now_ns(), INT64_MAX));	/* Python looks around */
	CHECK(now_ns() - began >= PYIPC_SECOND / 2);
	CHECK(now_ns() - began < 5LL * PYIPC_SECOND);
	leave(&c);
	end_world(&w);
}

static void a_signal_ends_a_wait(void)
{
	struct world w;
	struct pyipc_cell c;
	pid_t child;

	make_world(&w);
	c = take_part(&w, 0);
	child = fork_child();
	if (child == 0) {
		handle(SIGUSR1, SA_RESTART);
		_exit(pyipc_cell_wait(&c, 0, now_ns() - PYIPC_SECOND, INT64_MAX) == -EINTR && signals_seen ? 0 : 1);
	}
	WAIT_FOR(is_in(child, child, SYS_futex));
	EQUAL(0, signal_until_end_of(child, SIGUSR1));
	leave(&c);
	end_world(&w);
}

enum { SLEEPERS = 3 };

static void one_value_wakes_all_who_wait(void)
{
	struct world w;
	struct pyipc_cell c;
	pid_t children[SLEEPERS];
	int64_t began;

	make_world(&w);
	c = take_part(&w, 0);
	for (int i = 0; i < SLEEPERS; i++) {
		children[i] = fork_child();
		if (children[i] == 0) {
			char text[MOST + 1];

			/* As one who has waited for long, and looks once a second. */
			int result = pyipc_cell_wait(&c, 0, now_ns() - 10LL * PYIPC_SECOND, INT64_MAX);

			_exit(result == 0 && get_text(&c, text) == 1 && strcmp(text, "wake up") == 0 ? 0 : 1);
		}
		WAIT_FOR(is_in(children[i], children[i], SYS_futex));
	}
	began = now_ns();
	EQUAL(1, set_by(&c, "wake up", INT64_MAX));
	for (int i = 0; i < SLEEPERS; i++)
		EQUAL(0, end_of(children[i]));
	CHECK(now_ns() - began < PYIPC_SECOND / 4 * 3);
	leave(&c);
	end_world(&w);
}

/* ---- threads ---- */

enum { WRITERS = 2, READERS = 2, ROUNDS = 4000 };

static struct world shared;
static int writing;

static struct pyipc_cell joined_by_a_thread(void)
{
	struct pyipc_cell c = { .me = { .spins = 20 } };
	char path[64];
	int32_t life = -1;

	(void) snprintf(path, sizeof path, "/proc/self/fd/%d", shared.memory);
	(void) pyipc_fd_open(path, O_RDWR, &life);
	(void) pyipc_cell_open(&c, shared.mapped, shared.size, life);
	return c;
}

/* Whole words of one letter, which says how many there are.  What went wrong, the thread gives back. */
static void *write_many(void *unused)
{
	static char failed[] = "write";
	void *result = NULL;
	struct pyipc_cell c = joined_by_a_thread();
	char value[MOST];

	(void) unused;
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t size = 1 + (uint64_t) i % MOST;

		memset(value, (int) size, sizeof value);
		if (pyipc_cell_set(&c, value, size, within_ns(10LL * PYIPC_SECOND)) <= 0)
			result = failed;
	}
	(void) pyipc_fd_close(&c.me.life);
	(void) __atomic_sub_fetch(&writing, 1, __ATOMIC_SEQ_CST);
	return result;
}

static void *read_many(void *unused)
{
	static char failed[] = "read";
	void *result = NULL;
	struct pyipc_cell c = joined_by_a_thread();
	int64_t last = 0;

	(void) unused;
	while (__atomic_load_n(&writing, __ATOMIC_SEQ_CST) > 0) {
		char value[MOST];
		uint64_t size = 0;
		int64_t version;

		(void) pyipc_cell_wait(&c, (uint64_t) last, now_ns(), within_ns(PYIPC_SECOND / 100));
		version = pyipc_now_cell_get(&c, value, MOST, &size);
		if (version == -EBUSY)	/* who is slowed down by a checker may be */
			continue;
		if (version < last)
			result = failed;
		last = version;
		for (uint64_t i = 0; i < size; i++)
			if (value[i] != (char) size)
				result = failed;
	}
	(void) pyipc_fd_close(&c.me.life);
	return result;
}

static void joined(pthread_t thread)
{
	void *failed;

	EQUAL(0, pthread_join(thread, &failed));
	CHECK(failed == NULL);
}

static void readers_see_whole_values_and_never_an_older_one(void)
{
	pthread_t threads[WRITERS + READERS];
	struct pyipc_cell c;

	make_world(&shared);
	writing = WRITERS;
	for (int i = 0; i < WRITERS + READERS; i++)
		EQUAL(0, pthread_create(&threads[i], NULL, i < WRITERS ? write_many : read_many, NULL));
	for (int i = 0; i < WRITERS + READERS; i++)
		joined(threads[i]);
	c = take_part(&shared, 0);
	EQUAL(WRITERS * ROUNDS, pyipc_now_cell_version(&c));
	leave(&c);
	end_world(&shared);
}

/* ---- hostile peers ---- */

static void a_size_that_cannot_be_is_an_error(void)
{
	struct world w;
	struct pyipc_cell c;
	char text[MOST + 1];
	uint64_t nonsense[] = { MOST + 1, UINT32_MAX, UINT64_MAX };
	uint64_t stride = (w.size = (uint64_t) pyipc_cell_memory(MOST), (w.size - BUFFERS_AT) / BUFFERS);

	make_world(&w);
	c = take_part(&w, 0);
	EQUAL(1, set_by(&c, "x", INT64_MAX));
	for (int i = 0; i < 3; i++) {
		memcpy(w.mapped + BUFFERS_AT + stride, &nonsense[i], sizeof nonsense[i]);
		EQUAL(-EBADMSG, get_text(&c, text));
		EQUAL(-EBADMSG, pyipc_now_cell_size(&c));
	}
	EQUAL(2, set_by(&c, "y", INT64_MAX));
	EQUAL(2, get_text(&c, text));
	leave(&c);
	end_world(&w);
}

static void any_version_will_do(void)
{
	struct world w;
	struct pyipc_cell c;
	char text[MOST + 1];
	uint64_t versions[] = { 7, UINT32_MAX, UINT64_MAX, UINT64_MAX - 1, (uint64_t) 1 << 63, INT64_MAX };

	make_world(&w);
	c = take_part(&w, 0);
	for (int i = 0; i < 6; i++) {
		__atomic_store_n(version_of(&w), versions[i], __ATOMIC_RELAXED);
		CHECK(get_text(&c, text) >= 0);
		CHECK(set_by(&c, "x", INT64_MAX) >= 0);
		CHECK(get_text(&c, text) >= 0);
		EQUAL(0, strcmp("x", text));
	}
	leave(&c);
	end_world(&w);
}

static void *run_the_version_up(void *unused)
{
	(void) unused;
	while (__atomic_load_n(&writing, __ATOMIC_SEQ_CST))
		(void) __atomic_fetch_add(version_of(&shared), BUFFERS - 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void a_version_that_never_stands_still_ends_a_read(void)
{
	struct pyipc_cell c;
	pthread_t thread;
	char text[MOST + 1];
	int64_t began;

	make_world(&shared);
	c = take_part(&shared, 0);
	writing = 1;
	EQUAL(0, pthread_create(&thread, NULL, run_the_version_up, NULL));
	began = now_ns();
	for (int i = 0; i < 1000; i++) {
		int64_t version = get_text(&c, text);

		CHECK(version >= 0 || version == -EBUSY);
	}
	/* And a wait for what never comes ends by its time, however often the word changes. */
	__atomic_store_n(version_of(&shared), 0, __ATOMIC_SEQ_CST);
	EQUAL(-ETIMEDOUT, wait_by(&c, INT64_MAX, within_ns(PYIPC_SECOND / 10)));
	CHECK(now_ns() - began < 10LL * PYIPC_SECOND);
	__atomic_store_n(&writing, 0, __ATOMIC_SEQ_CST);
	EQUAL(0, pthread_join(thread, NULL));
	leave(&c);
	end_world(&shared);
}

int main(void)
{
	begin();
	RUN(a_value_of_each_size_is_read_back);
	RUN(sizes_that_no_cell_has);
	RUN(what_is_no_cell_is_refused);
	RUN(who_is_nobody_joins_first);
	RUN(a_dead_writer_is_in_nobodys_way);
	RUN(a_living_writer_is_waited_for_and_no_longer_than_asked);
	RUN(waits_end_by_time);
	RUN(a_signal_ends_a_wait);
	RUN(one_value_wakes_all_who_wait);
	RUN(readers_see_whole_values_and_never_an_older_one);
	RUN(a_size_that_cannot_be_is_an_error);
	RUN(any_version_will_do);
	RUN(a_version_that_never_stands_still_ends_a_read);
	return report();
}
