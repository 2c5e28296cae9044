/* SPDX-License-Identifier: MIT
 *
 * test_interrupt.c -- interrupt.c: waking a thread of this process, and SIGURG as it was before.
 */
#include "facts.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/msg.h>

struct waiter {
	int queue, set;		/* where it waits: -1 where not */
	int blocks_sigurg;
	atomic_int thread_id, done;
	int64_t result;
	pthread_t thread;
};

static void *wait_there(void *argument)
{
	static const struct pyipc_sem_op take = { .delta = -1 };
	struct waiter *waiter = argument;
	union { struct pyipc_msg msg; char bytes[64]; } in;
	sigset_t urgent;

	(void) sigemptyset(&urgent);
	(void) sigaddset(&urgent, SIGURG);
	(void) pthread_sigmask(waiter->blocks_sigurg ? SIG_BLOCK : SIG_UNBLOCK, &urgent, NULL);
	atomic_store(&waiter->thread_id, (int) syscall(SYS_gettid));
	waiter->result = waiter->set >= 0 ? pyipc_sem_op(waiter->set, &take, 1, INT64_MAX)
		: pyipc_msg_receive(waiter->queue, &in.msg, sizeof in - sizeof in.msg, 0, 0, INT64_MAX);
	atomic_store(&waiter->done, 1);
	return NULL;
}

static int waits(struct waiter *waiter)
{
	return is_in(getpid(), waiter->thread_id, SYS_msgrcv);
}

static void start(struct waiter *waiter)
{
	EQUAL(0, pthread_create(&waiter->thread, NULL, wait_there, waiter));
	WAIT_FOR(waiter->thread_id);
	if (waiter->set < 0)
		WAIT_FOR(waits(waiter));
}

static void push_until_gone(struct waiter *waiter)
{
	int64_t end_ns = now_ns() + (int64_t) PATIENCE_S * PYIPC_SECOND;

	while (!atomic_load(&waiter->done) && now_ns() < end_ns) {
		int result = pyipc_interrupt(waiter->thread_id);

		CHECK(result == 0 || (result == -ESRCH && atomic_load(&waiter->done)));
	}
	CHECK(atomic_load(&waiter->done));
	EQUAL(0, pthread_join(waiter->thread, NULL));
}

static int64_t pushed_out_of_a_queue(void)
{
	struct waiter waiter = { .queue = pyipc_msg_create(IPC_PRIVATE, 0600), .set = -1 };

	start(&waiter);
	push_until_gone(&waiter);
	EQUAL(0, pyipc_msg_remove(waiter.queue));
	return waiter.result;
}

/* ---- SIGURG, as the program has it ---- */

enum { OF_LIBC = 0x04000000 };	/* SA_RESTORER: in what libc sets, and in what it shows of that */

static void as_it_was(const struct sigaction *before)
{
	struct sigaction after;

	EQUAL(0, sigaction(SIGURG, NULL, &after));
	CHECK(before->sa_handler == after.sa_handler);
	EQUAL(before->sa_flags & ~OF_LIBC, after.sa_flags & ~OF_LIBC);
	if (after.sa_handler == SIG_DFL || after.sa_handler == SIG_IGN)
		return;		/* a mask means nothing there, and ThreadSanitizer sets one */
	for (int i = 1; i < 32; i++)
		EQUAL(sigismember(&before->sa_mask, i), sigismember(&after.sa_mask, i));
}

static atomic_int seen_by_the_program;

static void handler_of_the_program(int signal_number, siginfo_t *info, void *context)
{
	(void) signal_number, (void) info, (void) context;
	atomic_fetch_add(&seen_by_the_program, 1);
}

/* Set it, and say what it then is. */
static struct sigaction sigurg(void (*simple)(int))
{
	struct sigaction action = { .sa_flags = SA_RESTART };

	(void) sigemptyset(&action.sa_mask);
	if (simple) {
		action.sa_handler = simple;
	} else {
		action.sa_sigaction = handler_of_the_program;
		action.sa_flags |= SA_SIGINFO | SA_ONSTACK;
		(void) sigaddset(&action.sa_mask, SIGUSR2);
	}
	EQUAL(0, sigaction(SIGURG, &action, NULL));
	EQUAL(0, sigaction(SIGURG, NULL, &action));
	return action;
}

static struct sigaction sigurg_default(void)
{
	struct sigaction action = { .sa_flags = 0 };

	EQUAL(0, sigaction(SIGURG, &action, NULL));	/* SIG_DFL is a null pointer */
	return action;
}

static void a_wait_without_end_is_ended_where_sigurg_is_default(void)
{
	struct sigaction before = sigurg_default();

	EQUAL(-EINTR, pushed_out_of_a_queue());
	as_it_was(&before);
}

static void a_wait_without_end_is_ended_where_sigurg_is_ignored(void)
{
	struct sigaction before = sigurg(SIG_IGN);

	EQUAL(-EINTR, pushed_out_of_a_queue());
	as_it_was(&before);
	(void) sigurg_default();
}

static void a_wait_without_end_is_ended_where_the_program_handles_sigurg(void)
{
	struct sigaction before = sigurg(NULL);

	atomic_store(&seen_by_the_program, 0);
	EQUAL(-EINTR, pushed_out_of_a_queue());
	CHECK(atomic_load(&seen_by_the_program) > 0);
	as_it_was(&before);
	(void) sigurg_default();
}

static void a_wait_for_a_set_is_ended_before_its_second_is_over(void)
{
	static const uint16_t values[1] = { 0 };
	struct waiter waiter = { .queue = -1, .set = pyipc_sem_create(IPC_PRIVATE, values, 1, 0600) };
	int64_t began = now_ns();

	start(&waiter);
	WAIT_FOR(pyipc_now_sem_get(waiter.set, 0, PYIPC_SEM_GET_WAITERS) == 1);
	push_until_gone(&waiter);
	EQUAL(-EINTR, waiter.result);
	CHECK(now_ns() - began < PYIPC_SECOND);
	EQUAL(0, pyipc_sem_remove(waiter.set));
}

static void a_thread_that_blocks_sigurg_waits_on(void)
{
	struct waiter waiter = {
		.queue = pyipc_msg_create(IPC_PRIVATE, 0600), .set = -1, .blocks_sigurg = 1,
	};
	struct sigaction before = sigurg_default();

	start(&waiter);
	for (int i = 0; i < 20; i++)
		EQUAL(0, pyipc_interrupt(waiter.thread_id));
	CHECK(waits(&waiter));
	EQUAL(0, pyipc_msg_remove(waiter.queue));
	EQUAL(0, pthread_join(waiter.thread, NULL));
	EQUAL(-EIDRM, waiter.result);
	as_it_was(&before);
}

static void whoever_is_no_thread_of_ours_is_esrch(void)
{
	struct sigaction before = sigurg_default();
	pid_t child = fork_child();

	if (child == 0)
		for (;;)
			(void) pause();
	EQUAL(-ESRCH, pyipc_interrupt(child));
	EQUAL(1000 + SIGKILL, kill_and_reap(child));
	EQUAL(-ESRCH, pyipc_interrupt(INT32_MAX));
	EQUAL(-EINVAL, pyipc_interrupt(0));
	EQUAL(-EINVAL, pyipc_interrupt(-1));
	EQUAL(-EINVAL, pyipc_interrupt(INT32_MIN));
	as_it_was(&before);
}

static void a_push_that_nobody_waits_for_does_nothing(void)
{
	static const struct pyipc_sem_op take = { .delta = -1 };
	static const uint16_t values[1] = { 0 };
	int id = pyipc_sem_create(IPC_PRIVATE, values, 1, 0600);

	EQUAL(0, pyipc_interrupt((int) syscall(SYS_gettid)));
	EQUAL(-ETIMEDOUT, pyipc_sem_op(id, &take, 1, now_ns() + 20000000));
	EQUAL(0, pyipc_sem_remove(id));
}

/* ---- two threads at once ---- */

static atomic_int stop;

static void *push_the_process(void *argument)
{
	(void) argument;
	while (!atomic_load(&stop))
		(void) pyipc_interrupt(getpid());
	return NULL;
}

static void pushes_at_the_same_time_leave_sigurg_as_it_was(void)
{
	struct sigaction before = sigurg(SIG_IGN);
	pthread_t threads[2];

	atomic_store(&stop, 0);
	for (int i = 0; i < 2; i++)
		EQUAL(0, pthread_create(&threads[i], NULL, push_the_process, NULL));
	for (int i = 0; i < 50; i++)
		EQUAL(0, pyipc_interrupt(getpid()));
	atomic_store(&stop, 1);
	for (int i = 0; i < 2; i++)
		EQUAL(0, pthread_join(threads[i], NULL));
	as_it_was(&before);
	(void) sigurg_default();
}

static void a_handler_set_during_a_push_stays(void)
{
	pthread_t thread;

	for (int i = 0; i < 20; i++) {
		struct sigaction mine;

		(void) sigurg_default();
		atomic_store(&stop, 0);
		EQUAL(0, pthread_create(&thread, NULL, push_the_process, NULL));
		WAIT_FOR(({
			struct sigaction now;

			(void) sigaction(SIGURG, NULL, &now);
			now.sa_handler != SIG_DFL;
		}));
		mine = sigurg(NULL);
		atomic_store(&stop, 1);
		EQUAL(0, pthread_join(thread, NULL));
		as_it_was(&mine);
	}
	(void) sigurg_default();
}

int main(void)
{
	begin();
	RUN(a_wait_without_end_is_ended_where_sigurg_is_default);
	RUN(a_wait_without_end_is_ended_where_sigurg_is_ignored);
	RUN(a_wait_without_end_is_ended_where_the_program_handles_sigurg);
	RUN(a_wait_for_a_set_is_ended_before_its_second_is_over);
	RUN(a_thread_that_blocks_sigurg_waits_on);
	RUN(whoever_is_no_thread_of_ours_is_esrch);
	RUN(a_push_that_nobody_waits_for_does_nothing);
	RUN(pushes_at_the_same_time_leave_sigurg_as_it_was);
	RUN(a_handler_set_during_a_push_stays);
	return report();
}
