/* SPDX-License-Identifier: MIT
 *
 * test_fifo.c -- fifo.c: to open a fifo waits for the other side and no longer than it shall.
 */
#include "facts.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/time.h>

static char path[64];

static void make_it(void)
{
	(void) snprintf(path, sizeof path, "/tmp/pyipc-test-fifo-%d", (int) getpid());
	(void) unlink(path);
	EQUAL(0, mkfifo(path, 0600));
}

static void without_the_other_side_time_is_over_in_time(void)
{
	int32_t owner = nothing_yet();

	make_it();
	for (int writing = 0; writing < 2; writing++) {
		int64_t began_ns = now_ns();

		EQUAL(-ETIMEDOUT, pyipc_fifo_open(path, writing, began_ns + PYIPC_SECOND / 20, &owner));
		CHECK(now_ns() - began_ns >= PYIPC_SECOND / 20);
		EQUAL(-ETIMEDOUT, pyipc_fifo_open(path, writing, 0, &owner));
		CHECK(is_untouched(owner));
	}
	EQUAL(0, unlink(path));
	EQUAL(-ENOENT, pyipc_fifo_open(path, 1, INT64_MAX, &owner));
}

static void it_looks_around_once_a_second(void)
{
	int32_t owner = nothing_yet();
	int64_t began_ns = now_ns();

	make_it();
	EQUAL(-EINTR, pyipc_fifo_open(path, 1, INT64_MAX, &owner));
	CHECK(now_ns() - began_ns >= PYIPC_SECOND);
	EQUAL(0, unlink(path));
}

static void *come(void *flags)
{
	int number;

	(void) usleep(20000);		/* most likely, it waits by then */
	number = open(path, *(int *) flags);
	return (void *) (intptr_t) number;
}

static void it_is_open_once_somebody_comes(void)
{
	int others[] = { O_WRONLY, O_RDONLY };

	make_it();
	for (int writing = 0; writing < 2; writing++) {
		int32_t owner = nothing_yet();
		pthread_t thread;
		void *theirs;

		EQUAL(0, pthread_create(&thread, NULL, come, &others[writing]));
		EQUAL(0, pyipc_fifo_open(path, writing, now_ns() + 20 * (int64_t) PYIPC_SECOND, &owner));
		EQUAL(0, pthread_join(thread, &theirs));
		CHECK(is_close_on_exec(owner));
		CHECK(fcntl(owner, F_GETFL) & O_NONBLOCK);
		EQUAL(0, close((int) (intptr_t) theirs));
		EQUAL(0, pyipc_fd_close(&owner));
	}
	EQUAL(0, unlink(path));
}

static void a_signal_ends_the_wait(void)
{
	int32_t owner = nothing_yet();
	struct itimerval soon = { .it_value = { .tv_usec = 20000 } };

	make_it();
	handle(SIGALRM, SA_RESTART);	/* which ppoll(2) does not care for */
	EQUAL(0, setitimer(ITIMER_REAL, &soon, NULL));
	EQUAL(-EINTR, pyipc_fifo_open(path, 0, INT64_MAX, &owner));
	CHECK(is_untouched(owner));
	EQUAL(0, unlink(path));
}

static void nobody_reads_is_an_error_and_no_signal(void)
{
	int32_t reading, writing;
	char text[8];

	make_it();
	reading = open(path, O_RDONLY | O_NONBLOCK);
	writing = open(path, O_WRONLY);		/* which would wait */
	(void) signal(SIGPIPE, SIG_DFL);
	EQUAL(0, pyipc_now_fifo_is_unread(&writing));
	EQUAL(5, pyipc_now_fifo_write(&writing, "hello", 5));
	EQUAL(5, pyipc_now_fifo_read(&reading, text, sizeof text));
	EQUAL(-EAGAIN, pyipc_now_fifo_read(&reading, text, sizeof text));
	EQUAL(0, close(reading));
	EQUAL(1, pyipc_now_fifo_is_unread(&writing));
	EQUAL(-EPIPE, pyipc_now_fifo_write(&writing, "hello", 5));
	EQUAL(0, pyipc_fd_close(&writing));
	EQUAL(-EBADF, pyipc_now_fifo_write(&writing, "hello", 5));
	EQUAL(-EBADF, pyipc_now_fifo_read(&writing, text, sizeof text));
	EQUAL(-EBADF, pyipc_now_fifo_is_unread(&writing));
	EQUAL(0, unlink(path));
}

static void the_watch_tells_of_readers_that_close(void)
{
	int32_t watch = nothing_yet();
	char event[64];
	int number;

	EQUAL(-ENOENT, pyipc_fifo_watch("/no/such/fifo", &watch));
	CHECK(is_untouched(watch));
	make_it();
	EQUAL(0, pyipc_fifo_watch(path, &watch));
	CHECK(is_close_on_exec(watch));
	number = open(path, O_RDWR);
	EQUAL(0, close(number));
	EQUAL(-EAGAIN, pyipc_now_fifo_read(&watch, event, sizeof event));
	number = open(path, O_RDONLY | O_NONBLOCK);
	EQUAL(-ETIMEDOUT, pyipc_fd_wait(watch, PYIPC_READABLE, 0));
	EQUAL(0, close(number));
	EQUAL(0, pyipc_fd_wait(watch, PYIPC_READABLE, 0));
	EQUAL(0, pyipc_fd_close(&watch));
	EQUAL(0, unlink(path));
}

int main(void)
{
	begin();
	RUN(without_the_other_side_time_is_over_in_time);
	RUN(it_looks_around_once_a_second);
	RUN(it_is_open_once_somebody_comes);
	RUN(a_signal_ends_the_wait);
	RUN(nobody_reads_is_an_error_and_no_signal);
	RUN(the_watch_tells_of_readers_that_close);
	return report();
}
