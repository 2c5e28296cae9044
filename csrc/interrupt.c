/* SPDX-License-Identifier: MIT
 *
 * interrupt.c -- get a thread of this process out of a wait in the kernel.
 *
 * close() must wake whoever waits on the handle.  A thread that sleeps in semop(2) or msgrcv(2)
 * can be reached in three ways: remove the object (it may not be ours to remove), let the wait
 * succeed (that takes a unit or a message from somebody), or a signal.  So: a signal, and the
 * most harmless one.  SIGURG is ignored by default, so a late one does nothing, and programs
 * that handle it are used to false alarms.
 *
 * An ignored signal ends no wait.  So SIGURG gets a handler that does nothing for as long as a
 * push takes, unless the program has one of its own, which then serves, without SA_RESTART.  The thread may still
 * have been on its way into the kernel, or the old disposition may come back too early: hence
 * the caller pushes again until the thread has reported itself gone.
 */
#define _GNU_SOURCE		/* SYS_tgkill */
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

static void do_nothing(int signal_number)
{
	(void) signal_number;
}

int pyipc_interrupt(int thread_id)
{
	struct sigaction awake = { .sa_handler = do_nothing };	/* no SA_RESTART: waits end */
	struct timespec a_moment = { .tv_nsec = PYIPC_SECOND / 1000 };
	struct sigaction old, found;
	int result;
	int ours, restarts;

	(void) sigaction(SIGURG, NULL, &old);
	ours = old.sa_handler == SIG_DFL || old.sa_handler == SIG_IGN;
	restarts = !ours && (old.sa_flags & SA_RESTART);
	if (restarts) {
		awake = old;
		awake.sa_flags &= ~SA_RESTART;
	}
	if (ours || restarts)
		(void) sigaction(SIGURG, &awake, NULL);
	result = (int) neg_errno(syscall(SYS_tgkill, getpid(), thread_id, SIGURG));
	(void) nanosleep(&a_moment, NULL);
	if (ours || restarts) {
		(void) sigaction(SIGURG, &old, &found);
		if (found.sa_handler != awake.sa_handler && found.sa_handler != SIG_DFL && found.sa_handler != SIG_IGN)
			(void) sigaction(SIGURG, &found, NULL);	/* the program's, set meanwhile */
	}
	return result;
}
