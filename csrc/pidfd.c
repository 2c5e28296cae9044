/* SPDX-License-Identifier: MIT
 *
 * pidfd.c -- processes by descriptor: open, signal, how it ended, a copy of its descriptors.
 *
 * A pid is a number that another process may have by the time it is used; a pidfd means one
 * process for ever.  The calls are younger than the C libraries we are built for.
 */
#define _GNU_SOURCE		/* syscall() */
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "internal.h"

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424	/* Linux 5.1, the same on every machine */
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434		/* 5.3 */
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438		/* 5.6 */
#endif

enum { BY_PIDFD = 3 };			/* P_PIDFD, Linux 5.4 */

int pyipc_now_pidfd_open(int pid, int32_t *ret_fd)
{
	int64_t number = neg_errno(syscall(SYS_pidfd_open, pid, 0));

	if (number == -EPERM)		/* which only a sandbox says: pidfd_open(2) has no such answer */
		return -ENOSYS;
	return own(number, ret_fd);	/* a pidfd is born CLOEXEC */
}

int pyipc_now_pidfd_send(const int32_t *fd, int signal_number)
{
	int number = hold(fd);

	return (int) end_hold(fd, neg_errno(syscall(SYS_pidfd_send_signal, number, signal_number, NULL, 0)));
}

/* How a child of ours has ended: -EAGAIN while it runs, -ECHILD of a process that is no child of
 * ours, or that somebody has reaped.  Without reap it stays a zombie, for whom it belongs to. */
static int status_of(idtype_t by, int number, int reap, struct pyipc_exit *ret_exit)
{
	siginfo_t info = { 0 };
	int64_t result = neg_errno(waitid(by, (id_t) number, &info, WEXITED | WNOHANG | (reap ? 0 : WNOWAIT)));

	if (result < 0)
		return (int) result;
	if (info.si_pid == 0)
		return -EAGAIN;
	*ret_exit = (struct pyipc_exit){
		.pid = info.si_pid,
		.code = info.si_code == CLD_EXITED ? info.si_status : -1,
		.signal = info.si_code == CLD_EXITED ? 0 : info.si_status,
		.dumped = info.si_code == CLD_DUMPED,
	};
	return 0;
}

int pyipc_now_pidfd_status(const int32_t *fd, int reap, struct pyipc_exit *ret_exit)
{
	int number = hold(fd);

	return (int) end_hold(fd, number < 0 ? -EBADF : status_of((idtype_t) BY_PIDFD, number, reap, ret_exit));
}

/* By the pid, which nobody else can have as long as the child is not reaped. */
int pyipc_now_child_status(int pid, int reap, struct pyipc_exit *ret_exit)
{
	return pid <= 0 ? -EINVAL : status_of(P_PID, pid, reap, ret_exit);
}

/* Of a child that belongs to who calls: how it ended is kept in a record of its own, before the kernel
 * forgets it and before Python can run.  Other threads may look at the record at any time: its pid comes
 * last, and who sees that sees all.  -ECHILD says that another thread has reaped it, or a stranger. */
int pyipc_now_child_reap(const int32_t *fd, struct pyipc_exit *record)
{
	struct pyipc_exit end;
	int result = pyipc_now_pidfd_status(fd, 1, &end);

	if (result < 0)
		return result;
	record->code = end.code;
	record->signal = end.signal;
	record->dumped = end.dumped;
	__atomic_store_n(&record->pid, end.pid, __ATOMIC_RELEASE);	/* pairs with the acquire below */
	return 0;
}

int pyipc_child_wait(const int32_t *fd, int64_t deadline_ns, struct pyipc_exit *record)
{
	struct timespec nap = { .tv_nsec = 1000000 };
	int result = pyipc_fd_wait(number_of(fd), PYIPC_READABLE, deadline_ns);

	if (result < 0)
		return result;
	result = pyipc_now_child_reap(fd, record);
	if (result != -EAGAIN)
		return result;
	/* It has ended, but who traces it is told first (ptrace(2)), and no descriptor tells when that is. */
	(void) nanosleep(&nap, NULL);
	return monotonic_ns() < deadline_ns ? -EINTR : -ETIMEDOUT;
}

/* Its pid; -EAGAIN while the record is empty.  Nobody changes it after that, so the rest can just be read. */
int pyipc_now_child_exit(const struct pyipc_exit *record)
{
	int pid = __atomic_load_n(&record->pid, __ATOMIC_ACQUIRE);

	return pid == 0 ? -EAGAIN : pid;
}

int pyipc_now_pidfd_getfd(const int32_t *fd, int theirs, int32_t *ret_fd)
{
	int number = hold(fd);

	/* CLOEXEC, says pidfd_getfd(2). */
	return own(end_hold(fd, neg_errno(syscall(SYS_pidfd_getfd, number, theirs, 0))), ret_fd);
}
