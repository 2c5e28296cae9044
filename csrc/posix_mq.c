/* SPDX-License-Identifier: MIT
 *
 * posix_mq.c -- POSIX message queues: open, send, receive, look at, be notified, remove.
 *
 * These are system calls, and are made as such: the C library adds only that mq_notify() starts threads,
 * and in older ones wants a library of its own.
 *
 * A deadline of mq_timedreceive(2) is on the wall clock, which may be set while one waits.  But one that
 * has passed long ago makes it a try, whatever O_NONBLOCK says, which all who share the open queue would
 * share; and that a try may succeed is what poll(2) waits for, whose time nobody can set.
 */
#define _GNU_SOURCE		/* syscall() */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

/* struct mq_attr of linux/mqueue.h, where long has 64 bits. */
struct attributes {
	int64_t flags, max_messages, max_size, messages, reserved[4];
};

static const struct timespec long_ago;

int pyipc_posix_mq_open(const char *name, int flags, int mode, int64_t max_messages, int64_t max_size,
			int32_t *ret_fd)
{
	struct attributes wanted = { .max_messages = max_messages, .max_size = max_size };
	int kernel = O_CLOEXEC;

	if (flags & PYIPC_POSIX_READ)
		kernel |= flags & PYIPC_POSIX_WRITE ? O_RDWR : O_RDONLY;
	else
		kernel |= O_WRONLY;
	if (flags & PYIPC_POSIX_CREATE)
		kernel |= O_CREAT;
	if (flags & PYIPC_POSIX_EXCLUSIVE)
		kernel |= O_EXCL;
	return own(neg_errno(syscall(SYS_mq_open, name, kernel, mode & 0777, &wanted)), ret_fd);
}

int pyipc_posix_mq_unlink(const char *name)
{
	return (int) neg_errno(syscall(SYS_mq_unlink, name));
}

/* That a signal came does not matter to who does not wait. */
int pyipc_posix_mq_send(const int32_t *fd, const char *data, uint64_t size, uint32_t priority)
{
	int64_t result;

	do
		result = neg_errno(syscall(SYS_mq_timedsend, number_of(fd), data, size, priority, &long_ago));
	while (result == -EINTR);
	return (int) (result == -ETIMEDOUT ? -EAGAIN : result);
}

int pyipc_now_posix_mq_send(const int32_t *fd, const char *data, uint64_t size, uint32_t priority)
{
	const int32_t held = hold(fd);

	return (int) end_hold(fd, pyipc_posix_mq_send(&held, data, size, priority));
}

int64_t pyipc_posix_mq_receive(const int32_t *fd, char *ret_data, uint64_t room, uint32_t *ret_priority)
{
	int64_t result;

	do
		result = neg_errno(syscall(SYS_mq_timedreceive, number_of(fd), ret_data, room, ret_priority, &long_ago));
	while (result == -EINTR);
	return result == -ETIMEDOUT ? -EAGAIN : result;
}

int64_t pyipc_now_posix_mq_receive(const int32_t *fd, char *ret_data, uint64_t room, uint32_t *ret_priority)
{
	const int32_t held = hold(fd);

	return end_hold(fd, pyipc_posix_mq_receive(&held, ret_data, room, ret_priority));
}

int pyipc_now_posix_mq_stat(int number, struct pyipc_posix_mq_stat *ret_stat)
{
	struct attributes now;
	struct stat stat;

	if (syscall(SYS_mq_getsetattr, number, NULL, &now) == -1 || fstat(number, &stat) == -1)
		return -errno;
	*ret_stat = (struct pyipc_posix_mq_stat){
		.max_messages = now.max_messages,
		.max_size = now.max_size,
		.messages = now.messages,
		.uid = stat.st_uid,
		.gid = stat.st_gid,
		.mode = stat.st_mode & 0777,
	};
	return 0;
}

/* Of one message that comes to an empty queue nobody waits at.  By a signal with a value; or by a message of
 * 32 bytes to a socket of netlink(7), whose last one says what it is about (NOTIFY_WOKENUP 1,
 * NOTIFY_REMOVED 2): this is what the C library's threads wait for, and says it without one. */
int pyipc_now_posix_mq_notify(int number, int kind, int what, int64_t value)
{
	static const char cookie[PYIPC_NOTIFY_COOKIE];
	struct sigevent event;

	memset(&event, 0, sizeof event);
	event.sigev_signo = what;
	if (kind == PYIPC_NOTIFY_BY_SOCKET) {
		event.sigev_notify = SIGEV_THREAD;
		event.sigev_value.sival_ptr = (void *) (uintptr_t) cookie;	/* which is only read */
	} else {
		event.sigev_notify = SIGEV_SIGNAL;
		event.sigev_value.sival_ptr = (void *) (intptr_t) value;
	}
	return (int) neg_errno(syscall(SYS_mq_notify, number, kind == PYIPC_NOTIFY_NOBODY ? NULL : &event));
}
