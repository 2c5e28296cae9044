/* SPDX-License-Identifier: MIT
 *
 * descriptors.c -- descriptors that have one owner, waiting for one, and eventfds.
 *
 * A descriptor is a number, and a number can be lost or closed twice.  Python may run a signal
 * handler, which may raise, after any call; between "the kernel gave us 7" and "somebody is
 * responsible for 7" there must be no such place.  So each descriptor has an int in memory that
 * owns it from the moment it exists: whatever makes one writes it there, and closing, moving and
 * giving away are one call each, which leaves -1 behind.  Who reads -1 has nothing to do.
 *
 * Calls that use what they are given take the owner, not the number: with the GIL held, nobody can
 * close it and let the number come to mean another file.  Without a GIL (PYIPC_NO_GIL) an owner is
 * two ints.  The second one counts the calls that hold it, which are those that do not wait; whoever
 * takes the number waits until there are none.  Both sides write before they read, in one order for
 * all: either the call sees that there is no number any more, or the other one sees the call.
 */
#define _GNU_SOURCE		/* ppoll() */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "internal.h"

/* As semop does: a signal that came after Python looked and before we sleep is noticed then. */
enum { NET_NS = PYIPC_SECOND };

static int taken(int32_t *fd)
{
	return __atomic_exchange_n(fd, -1, __ATOMIC_SEQ_CST);
}

#ifdef PYIPC_NO_GIL
/* A call lasts microseconds, unless it is preempted.  In a child of fork(2) its thread may not be there. */
static void wait_for_calls(const int32_t *fd)
{
	enum { YIELDS = 100, NAPS = 10000, NAP_NS = 100000 };
	const struct timespec nap = { .tv_nsec = NAP_NS };

	for (int i = 0; i < YIELDS + NAPS && __atomic_load_n(fd + 1, __ATOMIC_SEQ_CST) > 0; i++)
		if (i < YIELDS)
			(void) sched_yield();
		else
			(void) nanosleep(&nap, NULL);
}
#else
static void wait_for_calls(const int32_t *fd)
{
	(void) fd;
}
#endif

int pyipc_now_fd_take(int32_t *fd)
{
	int number = taken(fd);

	wait_for_calls(fd);
	return number;
}

/* What close(2) says is of no use to a retry: Linux has freed the number whatever it says. */
int pyipc_fd_close(int32_t *fd)
{
	int number = pyipc_now_fd_take(fd);

	return number < 0 ? 0 : (int) neg_errno(close(number));
}

/* From what nobody else uses: an owner, or an int of a message. */
int pyipc_now_fd_move(int32_t *from, int32_t *to)
{
	int number = taken(from);

	if (number < 0)
		return -EBADF;
	*to = number;
	return 0;
}

int pyipc_now_fd_adopt(int number, int32_t *ret_fd)
{
	int flags = fcntl(number, F_GETFD);

	if (flags == -1)
		return -errno;
	if (!(flags & FD_CLOEXEC) && fcntl(number, F_SETFD, flags | FD_CLOEXEC) == -1)
		return -errno;
	*ret_fd = number;
	return 0;
}

int pyipc_now_fd_duplicate(int number, int32_t *ret_fd)
{
	return own(neg_errno(fcntl(number, F_DUPFD_CLOEXEC, 0)), ret_fd);
}

/* Of what an owner has: another thread may close it at any time, and its number be another file's, but not
 * between these two. */
int pyipc_now_fd_twin(const int32_t *fd, int32_t *ret_fd)
{
	int number = hold(fd);

	return (int) end_hold(fd, pyipc_now_fd_duplicate(number, ret_fd));
}

/* Of what is there; flags are those of open(2), which mean the same to Python. */
int pyipc_fd_open(const char *path, int flags, int32_t *ret_fd)
{
	if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE)	/* O_DIRECTORY is a part of the latter */
		return -EINVAL;
	return own(neg_errno(open(path, flags | O_CLOEXEC)), ret_fd);
}

/* Until it is readable or writable, or has an error or a hang-up, which the next call will name. */
int pyipc_fd_wait(int number, int events, int64_t deadline_ns)
{
	struct pollfd waiting = { .fd = number };
	int64_t now = monotonic_ns();
	int64_t left = deadline_ns > now ? deadline_ns - now : 0;
	struct timespec span = ns_to_timespec(left < NET_NS ? left : NET_NS);
	int64_t result;

	if (number < 0)			/* poll(2) would sleep over it */
		return -EBADF;
	if (events & PYIPC_READABLE)
		waiting.events |= POLLIN;
	if (events & PYIPC_WRITABLE)
		waiting.events |= POLLOUT;
	result = neg_errno(ppoll(&waiting, 1, &span, NULL));
	if (result < 0)
		return (int) result;
	if (result == 0)
		return left < NET_NS ? -ETIMEDOUT : -EINTR;
	return waiting.revents & POLLNVAL ? -EBADF : 0;
}

int pyipc_now_eventfd(uint32_t initial, int semaphore, int32_t *ret_fd)
{
	int flags = EFD_CLOEXEC | EFD_NONBLOCK | (semaphore ? EFD_SEMAPHORE : 0);

	return own(neg_errno(eventfd(initial, flags)), ret_fd);
}

/* The descriptor need not be ours, nor non-blocking: another process may have made it, or have
 * cleared the flag that all share.  Then its counter says whether the call would wait; where several
 * use one counter, only O_NONBLOCK makes that sure. */
int pyipc_is_blocking(int number)
{
	int flags = fcntl(number, F_GETFL);

	return flags == -1 ? -errno : !(flags & O_NONBLOCK);
}

/* The counter of an eventfd, which the kernel tells in /proc; -EINVAL of what is none. */
static int counter_of(int number, uint64_t *ret_value)
{
	static const char label[] = "eventfd-count:";
	char path[64], text[512];
	const char *line;
	int64_t got;
	int info;

	(void) snprintf(path, sizeof path, "/proc/self/fdinfo/%d", number);
	info = open(path, O_RDONLY | O_CLOEXEC);
	if (info == -1)
		return -errno;
	got = neg_errno(read(info, text, sizeof text - 1));
	(void) close(info);
	if (got < 0)
		return (int) got;
	text[got] = '\0';
	line = strstr(text, label);
	if (!line)
		return -EINVAL;
	*ret_value = strtoull(line + sizeof label - 1, NULL, 16);
	return 0;
}

/* 0 if the call will not wait, -EAGAIN if it would: to read (needed 0), or to add so much. */
static int will_not_wait(int number, uint64_t needed)
{
	enum { READING = 0 };
	int blocking = pyipc_is_blocking(number);
	uint64_t value = 0;
	int result;

	if (blocking <= 0)
		return blocking;
	result = counter_of(number, &value);
	if (result < 0)
		return result;
	return (needed == READING ? value > 0 : value <= UINT64_MAX - 1 - needed) ? 0 : -EAGAIN;
}

static int read_counter(int number, uint64_t *ret_value)
{
	uint64_t value;
	int64_t result = will_not_wait(number, 0);

	if (result == 0)
		result = neg_errno(read(number, &value, sizeof value));
	if (result < 0)
		return (int) result;
	if (result != sizeof value)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

int pyipc_now_eventfd_read(const int32_t *fd, uint64_t *ret_value)
{
	int number = hold(fd);

	return (int) end_hold(fd, read_counter(number, ret_value));
}

static int add_to_counter(int number, uint64_t value)
{
	int64_t result = value == 0 ? 0 : will_not_wait(number, value);

	if (result == 0)
		result = neg_errno(write(number, &value, sizeof value));
	return result < 0 ? (int) result : 0;
}

int pyipc_now_eventfd_write(const int32_t *fd, uint64_t value)
{
	int number = hold(fd);

	return (int) end_hold(fd, value == UINT64_MAX ? -EINVAL : add_to_counter(number, value));
}

/* A pipe; its ends wait, or never do. */
int pyipc_now_pipe(int waits, int32_t *ret_read, int32_t *ret_write)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | (waits ? 0 : O_NONBLOCK)) == -1)
		return -errno;
	*ret_read = ends[0];
	*ret_write = ends[1];
	return 0;
}

/* A program may have SIGPIPE kill it.  There is no write(2) to a pipe without it (RWF_NOSIGNAL is of
 * Linux 6.18), so it is blocked meanwhile, and taken away if it was not pending before, which it can be
 * only if it was blocked then too. */
static int64_t write_and_block_sigpipe(int number, const char *data, uint64_t size)
{
	static const struct timespec at_once;
	sigset_t broken, pending, before;
	int64_t result;

	(void) sigemptyset(&broken);
	(void) sigaddset(&broken, SIGPIPE);
	(void) sigemptyset(&pending);
	(void) pthread_sigmask(SIG_BLOCK, &broken, &before);
	if (sigismember(&before, SIGPIPE))
		(void) sigpending(&pending);
	result = neg_errno(write(number, data, size));
	if (result == -EPIPE && !sigismember(&pending, SIGPIPE))
		(void) sigtimedwait(&broken, NULL, &at_once);
	(void) pthread_sigmask(SIG_SETMASK, &before, NULL);
	return result;
}

/* Most ignore it, as Python does from the start, and then one question is all that it costs. */
int64_t pyipc_write_without_sigpipe(int number, const char *data, uint64_t size)
{
	struct sigaction now;

	if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_IGN)
		return neg_errno(write(number, data, size));
	return write_and_block_sigpipe(number, data, size);
}
