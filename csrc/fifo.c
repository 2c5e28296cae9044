/* SPDX-License-Identifier: MIT
 *
 * fifo.c -- named pipes: open one for as long as it takes somebody to come, read, write, see readers go.
 *
 * open(2) of a fifo waits for the other side, and has no timeout.  What has none is to be had by O_NONBLOCK
 * and naps, at the price of naps; and not at all for a reader, whose open then succeeds at once, and whom
 * writers take for one who reads.  The open that waits is exact: whoever comes ends it, and if a signal ends
 * it, nobody has come, which the kernel decides under the lock of the pipe.  So a thread of its own waits
 * there, and its caller, who can be woken by time and by signals, gets it out by SIGURG (interrupt.c).
 */
#define _GNU_SOURCE		/* ppoll() */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

/* As fd_wait does: Python looks around this often. */
enum { NET_NS = PYIPC_SECOND };

/* With the GIL: no more than this at once. */
enum { MOST = 65536 };

struct opening {
	const char *path;
	int flags;
	int over;		/* an eventfd: readable once the thread is through */
	int32_t thread_id;	/* 0 until it has begun */
	int64_t result;
};

static void *open_it(void *argument)
{
	struct opening *o = argument;
	uint64_t one = 1;

	__atomic_store_n(&o->thread_id, (int32_t) syscall(SYS_gettid), __ATOMIC_RELEASE);
	o->result = neg_errno(open(o->path, o->flags | O_CLOEXEC));
	(void) neg_errno(write(o->over, &one, sizeof one));	/* cannot fail: it is the first */
	return NULL;
}

/* Every signal is the caller's, but for the one that gets it out. */
static int start(struct opening *o, pthread_t *ret_thread)
{
	sigset_t others, before;
	int problem;

	(void) sigfillset(&others);
	(void) sigdelset(&others, SIGURG);
	(void) pthread_sigmask(SIG_SETMASK, &others, &before);
	problem = pthread_create(ret_thread, NULL, open_it, o);
	(void) pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -problem;
}

static int is_over(const struct opening *o, int64_t span_ns)
{
	struct pollfd end = { .fd = o->over, .events = POLLIN };
	struct timespec span = ns_to_timespec(span_ns);

	return ppoll(&end, 1, &span, NULL) == 1;
}

/* It may not be in the kernel yet when it is pushed, so again. */
static void get_out(struct opening *o)
{
	while (!is_over(o, 0)) {
		int32_t thread_id = __atomic_load_n(&o->thread_id, __ATOMIC_ACQUIRE);

		if (thread_id != 0)
			(void) pyipc_interrupt(thread_id);
		else
			(void) is_over(o, PYIPC_SECOND / 1000);
	}
}

static int64_t wait_for_somebody(const char *path, int flags, int64_t deadline_ns)
{
	struct opening o = { .path = path, .flags = flags };
	int64_t left = deadline_ns - monotonic_ns();
	pthread_t thread;
	int problem;

	o.over = eventfd(0, EFD_CLOEXEC);
	if (o.over == -1)
		return -errno;
	problem = start(&o, &thread);
	if (problem == 0) {
		if (left > 0)
			(void) is_over(&o, left < NET_NS ? left : NET_NS);
		get_out(&o);
		(void) pthread_join(thread, NULL);
	}
	(void) close(o.over);
	return problem ? problem : o.result;
}

/* -EINTR of a signal, and once a second; -EAGAIN if there may be no more threads (RLIMIT_NPROC).  Reads and
 * writes of what it opens do not wait. */
int pyipc_fifo_open(const char *path, int writing, int64_t deadline_ns, int32_t *ret_fd)
{
	int64_t number = wait_for_somebody(path, writing ? O_WRONLY : O_RDONLY, deadline_ns);

	if (number >= 0)
		(void) fcntl((int) number, F_SETFL, O_NONBLOCK);	/* cannot fail */
	if (number == -EINTR && monotonic_ns() >= deadline_ns)
		return -ETIMEDOUT;
	return own(number, ret_fd);
}

/* All who have it open share the flag, and one may have cleared it. */
static int do_not_wait(int number)
{
	int flags = fcntl(number, F_GETFL);

	if (flags == -1)
		return -errno;
	return flags & O_NONBLOCK ? 0 : (int) neg_errno(fcntl(number, F_SETFL, flags | O_NONBLOCK));
}

int64_t pyipc_now_fifo_read(const int32_t *fd, char *ret_data, uint64_t room)
{
	int number = hold(fd);
	int64_t result = do_not_wait(number);

	return end_hold(fd, result < 0 ? result : neg_errno(read(number, ret_data, room < MOST ? room : MOST)));
}

/* How many bytes went. */
int64_t pyipc_now_fifo_write(const int32_t *fd, const char *data, uint64_t size)
{
	int number = hold(fd);
	int64_t result = do_not_wait(number);

	if (result == 0)
		result = pyipc_write_without_sigpipe(number, data, size < MOST ? size : MOST);
	return end_hold(fd, result);
}

/* 1 if nobody has it open for reading; of one that is open for writing. */
int pyipc_now_fifo_is_unread(const int32_t *fd)
{
	struct pollfd end = { .fd = hold(fd) };
	int64_t result = end.fd < 0 ? -EBADF : neg_errno(poll(&end, 1, 0)) == 1 && (end.revents & POLLERR);

	return (int) end_hold(fd, result);
}

/* Becomes readable when somebody closes it who had it open for reading alone. */
int pyipc_fifo_watch(const char *path, int32_t *ret_fd)
{
	int number = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	int problem;

	if (number == -1)
		return -errno;
	if (inotify_add_watch(number, path, IN_CLOSE_NOWRITE) == -1) {
		problem = -errno;
		(void) close(number);
		return problem;
	}
	*ret_fd = number;
	return 0;
}
