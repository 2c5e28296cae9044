/* SPDX-License-Identifier: MIT
 *
 * terminal.c -- pseudo-terminals: a pair of ends, and what goes through ours (pty(7)).
 *
 * Our end, the master, never blocks: reading and writing return at once and are done with the GIL
 * held, so no other thread can close it and let its number come to mean another file.
 *
 * A read from the master is EIO once nobody has the terminal open any more and all that was
 * written there has been read.  That is its end of file, and is told as every other: 0 bytes.  What
 * is written to a terminal that nobody has open any more, the kernel keeps for nobody; here it is
 * EPIPE.
 */
#define _GNU_SOURCE		/* O_CLOEXEC, TIOCSPTLCK */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "internal.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441	/* Linux 4.13; _IO('T', 0x41) on the machines that we know */
#endif

int pyipc_pty_open(int32_t *ret_fd)
{
	int number = (int) neg_errno(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
	int locked = 0;
	int result;

	if (number < 0)
		return number;
	result = (int) neg_errno(ioctl(number, TIOCSPTLCK, &locked));
	if (result < 0) {
		(void) close(number);
		return result;
	}
	*ret_fd = number;
	return 0;
}

/* The terminal of this master, whatever is mounted at /dev/pts; by its name where a sandbox does
 * not know the call. */
int pyipc_pty_peer(const int32_t *master, int32_t *ret_fd)
{
	int flags = O_RDWR | O_NOCTTY | O_CLOEXEC;
	int number = number_of(master);
	int64_t result = neg_errno(ioctl(number, TIOCGPTPEER, flags));
	unsigned int which;
	char path[32];

	if (result >= 0)
		return own(result, ret_fd);
	if (result == -EBADF || ioctl(number, TIOCGPTN, &which) == -1)
		return (int) result;
	(void) snprintf(path, sizeof path, "/dev/pts/%u", which);
	return own(neg_errno(open(path, flags)), ret_fd);
}

/* What a sleep and a wake cost both ends together, more or less, with processors that go idle. */
enum { SLEEP_COSTS_NS = 50000 };

/* Whether there is something to read, looked for during as long as a sleep would take.  Who is to write it may
 * want our processor, so each time it is offered: to look without that takes longer than to sleep.  poll(2) would
 * wait for the kernel's worker, which has just made it readable, and does not know that yet. */
int pyipc_pty_look(int number, int64_t deadline_ns)
{
	int64_t end_ns = monotonic_ns() + SLEEP_COSTS_NS;
	int there;

	if (end_ns > deadline_ns)
		end_ns = deadline_ns;
	while (ioctl(number, FIONREAD, &there) == 0) {
		if (there > 0)
			return 1;
		if (monotonic_ns() >= end_ns)
			return 0;
		(void) sched_yield();
	}
	return 0;
}

int pyipc_now_pty_read(const int32_t *master, char *buffer, int size)
{
	int number = hold(master);
	int64_t got = end_hold(master, neg_errno(read(number, buffer, (size_t) size)));

	return got == -EIO ? 0 : (int) got;
}

/* Whether nobody has the terminal open any more.  poll(2) knows, but may have to wait until the
 * kernel has handed over what it is just at; so first, whether it is the terminal of a session, which
 * it is as long as the program runs. */
static int is_left(int number)
{
	struct pollfd other = { .fd = number };
	pid_t session;

	return ioctl(number, TIOCGSID, &session) == -1 && poll(&other, 1, 0) == 1 && (other.revents & POLLHUP);
}

int64_t pyipc_now_pty_write(const int32_t *master, const char *data, uint64_t size)
{
	int number = hold(master);
	int64_t put = end_hold(master, is_left(number) ? -EPIPE : neg_errno(write(number, data, (size_t) size)));

	return put == -EIO ? -EPIPE : put;
}
