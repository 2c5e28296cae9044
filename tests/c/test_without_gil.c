/* SPDX-License-Identifier: MIT
 *
 * test_without_gil.c -- descriptors.c, as it is compiled where no GIL keeps calls apart: who takes a number
 * away waits for the calls that are at it.  An owner is two ints there.
 */
#ifndef PYIPC_NO_GIL
#error "compile this, and the core, with -DPYIPC_NO_GIL"
#endif
#include "facts.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

enum { LARGE = 64 << 20, STRANGERS = 20000, CALLERS = 4 };

struct reading {
	int32_t owner[2];
	char *into;
	int is_over;
	int64_t got;
};

static int load(const int32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void *read_it(void *argument)
{
	struct reading *r = argument;

	r->got = pyipc_now_posix_shm_read(r->owner, r->into, LARGE, 0);
	__atomic_store_n(&r->is_over, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* What is taken away while a call of some milliseconds is at it. */
static void taken_by(int (*take)(int32_t *owner), int expected_to_close)
{
	struct reading r = { .into = malloc(LARGE) };
	int number = memfd_create("pyipc-test", MFD_CLOEXEC);
	pthread_t thread;

	CHECK(r.into && number >= 0 && ftruncate(number, LARGE) == 0);
	r.owner[0] = number;
	EQUAL(0, pthread_create(&thread, NULL, read_it, &r));
	while (load(&r.owner[1]) == 0 && !__atomic_load_n(&r.is_over, __ATOMIC_ACQUIRE))
		;
	EQUAL(expected_to_close ? 0 : number, take(r.owner));
	EQUAL(0, load(&r.owner[1]));	/* the thread is through with it */
	EQUAL(0, pthread_join(thread, NULL));
	EQUAL(LARGE, r.got);
	EQUAL(!expected_to_close, is_open(number));
	EQUAL(-1, r.owner[0]);
	if (!expected_to_close)
		EQUAL(0, close(number));
	free(r.into);
}

static void closing_waits_for_the_calls_that_are_at_it(void)
{
	taken_by(pyipc_fd_close, 1);
}

static void so_does_giving_the_number_away(void)
{
	taken_by(pyipc_now_fd_take, 0);
}

static void a_call_that_comes_later_is_told_that_it_is_closed(void)
{
	int32_t owner[2] = { eventfd(0, EFD_CLOEXEC), 0 };
	uint64_t value;

	EQUAL(0, pyipc_fd_close(owner));
	EQUAL(-EBADF, pyipc_now_eventfd_write(owner, 1));
	EQUAL(-EBADF, pyipc_now_eventfd_read(owner, &value));
	EQUAL(0, owner[1]);
}

/* A forked child may have the count of a thread that it does not have. */
static void nobody_is_waited_for_without_end(void)
{
	int32_t owner[2] = { eventfd(0, EFD_CLOEXEC), 1 };
	int number = owner[0];
	int64_t start_ns = now_ns();

	EQUAL(0, pyipc_fd_close(owner));
	CHECK(!is_open(number));
	CHECK(now_ns() - start_ns >= PYIPC_SECOND / 2);
}

static int32_t shared[2];
static int stop;

static void *write_to_it(void *unused)
{
	(void) unused;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		(void) pyipc_now_eventfd_write(shared, 1);
	return NULL;
}

/* Each stranger gets the number that was just closed. */
static void what_was_written_reaches_no_stranger(void)
{
	pthread_t threads[CALLERS];
	int64_t end_ns = now_ns() + 2 * (int64_t) PYIPC_SECOND;
	uint64_t value;
	int reached = 0;

	shared[0] = -1;
	for (int i = 0; i < CALLERS; i++)
		EQUAL(0, pthread_create(&threads[i], NULL, write_to_it, NULL));
	for (int i = 0; i < STRANGERS && now_ns() < end_ns; i++) {
		int number = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), stranger;

		__atomic_store_n(&shared[0], number, __ATOMIC_SEQ_CST);
		for (volatile int j = 0; j < i % 64; j++)
			;
		(void) pyipc_fd_close(shared);
		stranger = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		for (volatile int j = 0; j < 200; j++)
			;
		reached += read(stranger, &value, sizeof value) == sizeof value;
		(void) close(stranger);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < CALLERS; i++)
		EQUAL(0, pthread_join(threads[i], NULL));
	EQUAL(0, reached);
}

int main(void)
{
	begin();
	RUN(closing_waits_for_the_calls_that_are_at_it);
	RUN(so_does_giving_the_number_away);
	RUN(a_call_that_comes_later_is_told_that_it_is_closed);
	RUN(nobody_is_waited_for_without_end);
	RUN(what_was_written_reaches_no_stranger);
	return report();
}
