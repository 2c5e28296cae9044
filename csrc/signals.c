/* SPDX-License-Identifier: MIT
 *
 * signals.c -- what a signal does, who blocks it, sending one with a value, and signals as data.
 *
 * Sets of signals are the kernel's: 64 bits, the lowest for signal 1.  The C library's are longer, hide its own
 * signals, and say nothing of a handler's restorer; so these go to the kernel directly, and what was there
 * comes back to the bit, whoever had set it.
 */
#define _GNU_SOURCE		/* syscall() */
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424	/* Linux 5.1, the same on every machine */
#endif

enum { SET_SIZE = sizeof(uint64_t) };

_Static_assert(sizeof(struct pyipc_disposition) == 32, "the struct sigaction of rt_sigaction(2)");
_Static_assert(sizeof(struct signalfd_siginfo) == 128, "what a signalfd gives");

int pyipc_now_signal_get(int signal_number, struct pyipc_disposition *ret_disposition)
{
	return (int) neg_errno(syscall(SYS_rt_sigaction, signal_number, NULL, ret_disposition, SET_SIZE));
}

int pyipc_now_signal_set(int signal_number, const struct pyipc_disposition *disposition)
{
	return (int) neg_errno(syscall(SYS_rt_sigaction, signal_number, disposition, NULL, SET_SIZE));
}

/* Of this thread. */
int pyipc_now_signal_mask(int how, uint64_t signals, uint64_t *ret_before)
{
	return (int) neg_errno(syscall(SYS_rt_sigprocmask, how == PYIPC_UNBLOCK ? SIG_UNBLOCK : SIG_BLOCK, &signals,
				       ret_before, SET_SIZE));
}

int pyipc_now_signal_send(int pid, int signal_number)
{
	return (int) neg_errno(kill(pid, signal_number));
}

int pyipc_now_signal_queue(int pid, int signal_number, int value)
{
	union sigval with = { .sival_ptr = NULL };

	with.sival_int = value;
	return (int) neg_errno(sigqueue(pid, signal_number, with));
}

int pyipc_now_pidfd_queue(const int32_t *fd, int signal_number, int value)
{
	siginfo_t info;
	int number;

	memset(&info, 0, sizeof info);	/* with what lies between its fields */
	info.si_signo = signal_number;
	info.si_code = SI_QUEUE;
	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value.sival_int = value;
	number = hold(fd);
	return (int) end_hold(fd, neg_errno(syscall(SYS_pidfd_send_signal, number, signal_number, &info, 0)));
}

int pyipc_now_signalfd(uint64_t signals, int32_t *ret_fd)
{
	return own(neg_errno(syscall(SYS_signalfd4, -1, &signals, SET_SIZE, SFD_CLOEXEC | SFD_NONBLOCK)), ret_fd);
}

/* One signal.  A forked child, which has the same open file, may have cleared O_NONBLOCK: then it looks first. */
static int64_t read_one(int number, struct signalfd_siginfo *ret_came)
{
	struct pollfd ready = { .fd = number, .events = POLLIN };
	int blocking = pyipc_is_blocking(number);

	if (blocking < 0)
		return blocking;
	if (blocking && poll(&ready, 1, 0) == 0)
		return -EAGAIN;
	return neg_errno(read(number, ret_came, sizeof *ret_came));
}

int pyipc_now_signalfd_read(const int32_t *fd, struct pyipc_signal *ret_signal)
{
	struct signalfd_siginfo came;
	int number = hold(fd);
	int64_t size = end_hold(fd, read_one(number, &came));

	if (size != (int64_t) sizeof came)
		return size < 0 ? (int) size : -EINVAL;
	*ret_signal = (struct pyipc_signal){
		.number = (int32_t) came.ssi_signo,
		.code = came.ssi_code,
		.pid = (int32_t) came.ssi_pid,
		.uid = came.ssi_uid,
		.value = came.ssi_int,
		.status = came.ssi_status,
	};
	return 0;
}
