/* SPDX-License-Identifier: MIT
 *
 * test_threads.c -- many threads of one process on one object, for ThreadSanitizer to watch.
 *
 * It cannot know that semop(2) and msgrcv(2) order anything, so what the threads share here is
 * atomic, mostly without order: a race that it finds is one of the core, or of us.
 */
#include "facts.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/msg.h>

enum { THREADS = 4, ROUNDS = 1000, ROOM = 16 };

static const struct pyipc_sem_op take_one = { .delta = -1 };

/* Only the main thread CHECKs: a thread returns NULL if all was well. */
static void start_threads(pthread_t *threads, int count, void *(*body)(void *), void *argument)
{
	for (int i = 0; i < count; i++)
		EQUAL(0, pthread_create(&threads[i], NULL, body, argument));
}

static void join_threads(pthread_t *threads, int count)
{
	for (int i = 0; i < count; i++) {
		void *result;

		EQUAL(0, pthread_join(threads[i], &result));
		CHECK(result == NULL);
	}
}

static void in_threads(void *(*body)(void *), void *argument)
{
	pthread_t threads[THREADS];

	start_threads(threads, THREADS, body, argument);
	join_threads(threads, THREADS);
}

/* As Python does it: a try, and if it would wait, a wait that goes up now and then. */
static int take(int id)
{
	int result = pyipc_now_sem_take(id);

	if (result == -EAGAIN)
		do
			result = pyipc_sem_op(id, &take_one, 1, INT64_MAX);
		while (result == -EINTR);
	return result;
}

static int set_of(uint16_t value)
{
	int id = pyipc_sem_create(IPC_PRIVATE, &value, 1, 0600);

	CHECK(id >= 0);
	return id;
}

/* ---- a lock ---- */

static atomic_int counter;

static void *count_under_the_lock(void *argument)
{
	int id = *(int *) argument;

	for (int i = 0; i < ROUNDS; i++) {
		int before;

		if (take(id) < 0)
			return argument;
		before = atomic_load_explicit(&counter, memory_order_relaxed);
		atomic_store_explicit(&counter, before + 1, memory_order_relaxed);
		if (pyipc_now_sem_give(id) < 0)
			return argument;
	}
	return NULL;
}

static void a_set_of_one_lets_one_thread_in(void)
{
	int id = set_of(1);

	atomic_store(&counter, 0);
	in_threads(count_under_the_lock, &id);
	EQUAL(THREADS * ROUNDS, atomic_load(&counter));
	EQUAL(0, pyipc_sem_remove(id));
}

/* ---- a queue ---- */

static atomic_int received[ROUNDS];

static int64_t send_number(int id, int number)
{
	char msg[sizeof(int64_t) + sizeof number];
	int64_t type = 1;
	int64_t result = pyipc_now_msg_send(id, type, (char *) &number, sizeof number);

	memcpy(msg, &type, sizeof type);
	memcpy(msg + sizeof type, &number, sizeof number);
	while (result == -EAGAIN || result == -EINTR)
		result = pyipc_msg_send(id, msg, sizeof number, INT64_MAX);
	return result;
}

static void *receive_numbers(void *argument)
{
	int id = *(int *) argument;
	union { struct pyipc_msg msg; char bytes[sizeof(struct pyipc_msg) + ROOM]; } in;

	for (;;) {
		int64_t result = pyipc_now_msg_receive(id, &in.msg, ROOM, 0, 0);
		int number;

		while (result == -EAGAIN || result == -EINTR || result == -ETIMEDOUT)
			result = pyipc_msg_receive(id, &in.msg, ROOM, 0, 0, now_ns() + PYIPC_SECOND / 100);
		if (result != sizeof number)
			return argument;
		memcpy(&number, in.msg.data, sizeof number);
		if (number < 0)		/* the end */
			return NULL;
		atomic_fetch_add_explicit(&received[number], 1, memory_order_relaxed);
	}
}

static void *send_numbers(void *argument)
{
	int id = *(int *) argument;

	for (int i = 0; i < ROUNDS; i++)
		if (send_number(id, i) < 0)
			return argument;
	return NULL;
}

static void *send_and_receive(void *argument)
{
	pthread_t sender;
	void *sent;
	void *got;

	if (pthread_create(&sender, NULL, send_numbers, argument) != 0)
		return argument;
	got = receive_numbers(argument);
	(void) pthread_join(sender, &sent);
	return sent ? sent : got;
}

static void *end_when_all_is_received(void *argument)
{
	int64_t end_ns = now_ns() + (int64_t) PATIENCE_S * PYIPC_SECOND;
	int sum;

	do {
		sum = 0;
		for (int i = 0; i < ROUNDS; i++)
			sum += atomic_load_explicit(&received[i], memory_order_relaxed);
	} while (sum < THREADS * ROUNDS && look_again_until(end_ns));
	for (int i = 0; i < THREADS; i++)
		if (send_number(*(int *) argument, -1) < 0)
			return argument;
	return NULL;
}

static void every_message_is_received_once(void)
{
	int id = pyipc_msg_create(IPC_PRIVATE, 0600);
	pthread_t ender;

	EQUAL(0, pyipc_now_msg_set(id, -1, -1, -1, 400));	/* full often, empty often */
	for (int i = 0; i < ROUNDS; i++)
		atomic_store(&received[i], 0);
	start_threads(&ender, 1, end_when_all_is_received, &id);
	in_threads(send_and_receive, &id);
	join_threads(&ender, 1);
	for (int i = 0; i < ROUNDS; i++)
		EQUAL(THREADS, atomic_load(&received[i]));
	EQUAL(0, pyipc_msg_remove(id));
}

/* ---- removal, pushes, segments ---- */

static void *is_told_of_the_removal(void *argument)
{
	return take(*(int *) argument) == -EIDRM ? NULL : argument;
}

static void removing_the_set_wakes_every_thread(void)
{
	int id = set_of(0);
	pthread_t threads[THREADS];

	start_threads(threads, THREADS, is_told_of_the_removal, &id);
	WAIT_FOR(pyipc_now_sem_get(id, 0, PYIPC_SEM_GET_WAITERS) == THREADS);
	EQUAL(0, pyipc_sem_remove(id));
	join_threads(threads, THREADS);
}

static atomic_int stop;

static void *push_the_first_thread(void *argument)
{
	while (!atomic_load(&stop))
		if (pyipc_interrupt(*(int *) argument) < 0)
			return argument;
	return NULL;
}

static void pushes_cost_no_message_and_no_unit(void)
{
	int first = getpid();
	int set = set_of(1);
	pthread_t pushers[2];

	atomic_store(&stop, 0);
	start_threads(pushers, 2, push_the_first_thread, &first);
	atomic_store(&counter, 0);
	for (int i = 0; i < 5; i++)
		CHECK(count_under_the_lock(&set) == NULL);
	atomic_store(&stop, 1);
	join_threads(pushers, 2);
	EQUAL(5 * ROUNDS, atomic_load(&counter));
	EQUAL(1, pyipc_now_sem_get(set, 0, PYIPC_SEM_GET_VALUE));
	EQUAL(0, pyipc_sem_remove(set));
}

/* Atomic, since one thread gets the address that another has just given back. */
static int is_one_memory(int *one, int *other, int number)
{
	tell(one, number);
	return told(other) == number;
}

static void *make_write_and_drop(void *argument)
{
	for (int i = 1; i <= 100; i++) {
		struct pyipc_shm_stat stat;
		int64_t one;
		int64_t other;
		int id = pyipc_shm_create_private(8192, 0, 0600, &one);

		if (id < 0 || (other = pyipc_shm_attach(id, 0, 0)) < 0)
			return argument;
		if (pyipc_populate((char *) one, 8192) < 0 || !is_one_memory((int *) one, (int *) other, i))
			return argument;
		if (pyipc_now_shm_stat(id, &stat) < 0 || stat.attach_count != 2)
			return argument;
		if (pyipc_shm_detach((char *) one) < 0 || pyipc_shm_detach((char *) other) < 0)
			return argument;
		if (pyipc_now_shm_stat(id, &stat) != -EIDRM)
			return argument;
	}
	return NULL;
}

static void threads_make_and_drop_segments(void)
{
	in_threads(make_write_and_drop, &stop);
}

/* ---- owners of descriptors ---- */

enum { OWNERS = 200 };

static int32_t owners[OWNERS];
static atomic_int arrived;

/* All at the same owner at about the same time, so that they get in each other's way. */
static void meet_at(int place)
{
	atomic_fetch_add_explicit(&arrived, 1, memory_order_relaxed);
	while (atomic_load_explicit(&arrived, memory_order_relaxed) < THREADS * (place + 1))
		(void) sched_yield();
}

/* A second close(2) of a number says that it is not open: nothing here opens any meanwhile. */
static void *close_each(void *argument)
{
	void *result = NULL;

	for (int i = 0; i < OWNERS; i++) {
		meet_at(i);
		if (pyipc_fd_close(&owners[i]) != 0)
			result = argument;
	}
	return result;
}

static void *take_each(void *argument)
{
	(void) argument;
	for (int i = 0; i < OWNERS; i++) {
		int number;

		meet_at(i);
		number = pyipc_now_fd_take(&owners[i]);
		if (number >= 0)
			atomic_fetch_add_explicit(&received[number], 1, memory_order_relaxed);
	}
	return NULL;
}

static void *move_each(void *argument)
{
	void *result = NULL;

	for (int i = 0; i < OWNERS; i++) {
		int32_t mine = -1;
		int moved;

		meet_at(i);
		moved = pyipc_now_fd_move(&owners[i], &mine);
		if (moved == 0)
			atomic_fetch_add_explicit(&received[mine], 1, memory_order_relaxed);
		else if (moved != -EBADF || mine != -1)
			result = argument;
	}
	return result;
}

static void open_all(void)
{
	for (int i = 0; i < OWNERS; i++)
		EQUAL(0, pyipc_now_eventfd(0, 0, &owners[i]));
	atomic_store(&arrived, 0);
	for (int i = 0; i < ROUNDS; i++)
		atomic_store(&received[i], 0);
}

/* Where others want the processors, too, each meeting takes long, and fewer rounds have to do. */
static int64_t end_of_rounds(void)
{
	return now_ns() + 5 * (int64_t) PYIPC_SECOND;
}

static void threads_that_close_one_owner_close_it_once(void)
{
	int64_t end_ns = end_of_rounds();

	for (int i = 0; i < 10 && now_ns() < end_ns; i++) {
		open_all();
		in_threads(close_each, &stop);
		for (int j = 0; j < OWNERS; j++)
			EQUAL(-1, owners[j]);
	}
}

static void one_got_each(void)
{
	int numbers = 0;

	for (int i = 0; i < ROUNDS; i++)
		if (atomic_load(&received[i])) {
			EQUAL(1, atomic_load(&received[i]));
			EQUAL(0, close(i));
			numbers++;
		}
	EQUAL(OWNERS, numbers);
}

static void threads_that_take_or_move_from_one_owner_get_it_once(void)
{
	int64_t end_ns = end_of_rounds();

	for (int i = 0; i < 2 || (i < 10 && now_ns() < end_ns); i++) {
		open_all();
		in_threads(i % 2 ? take_each : move_each, &stop);
		one_got_each();
	}
}

int main(void)
{
	begin();
	RUN(a_set_of_one_lets_one_thread_in);
	RUN(every_message_is_received_once);
	RUN(removing_the_set_wakes_every_thread);
	RUN(pushes_cost_no_message_and_no_unit);
	RUN(threads_make_and_drop_segments);
	RUN(threads_that_close_one_owner_close_it_once);
	RUN(threads_that_take_or_move_from_one_owner_get_it_once);
	return report();
}
