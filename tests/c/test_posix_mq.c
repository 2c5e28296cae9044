/* SPDX-License-Identifier: MIT
 *
 * test_posix_mq.c -- posix_mq.c: POSIX message queues.
 */
#include "facts.h"

#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

enum { BOTH = PYIPC_POSIX_READ | PYIPC_POSIX_WRITE, NEW = PYIPC_POSIX_CREATE | PYIPC_POSIX_EXCLUSIVE };
enum { MOST = 4, SIZE = 64 };

static char name[64];	/* nobody else's */

static int32_t opened(int flags)
{
	int32_t fd = -1;

	EQUAL(0, pyipc_posix_mq_open(name, flags, 0600, MOST, SIZE, &fd));
	return fd;
}

static int32_t queue(void)
{
	return opened(NEW | BOTH);
}

static void end_it(int32_t *fd)
{
	EQUAL(0, pyipc_fd_close(fd));
	EQUAL(0, pyipc_posix_mq_unlink(name));
}

static int send_text(int32_t fd, const char *text, uint32_t priority)
{
	return pyipc_now_posix_mq_send(&fd, text, strlen(text), priority);
}

static int received(int32_t fd, const char *text, uint32_t priority)
{
	char data[SIZE];
	uint32_t got = 77;
	int64_t result = pyipc_now_posix_mq_receive(&fd, data, sizeof data, &got);

	return result == (int64_t) strlen(text) && !memcmp(data, text, strlen(text)) && got == priority;
}

static int64_t receive(int32_t fd)
{
	char data[SIZE];
	uint32_t priority;

	return pyipc_now_posix_mq_receive(&fd, data, sizeof data, &priority);
}

static int64_t messages(int number)
{
	struct pyipc_posix_mq_stat stat = { 0 };

	EQUAL(0, pyipc_now_posix_mq_stat(number, &stat));
	return stat.messages;
}

static void a_queue_is_found_by_its_name_until_that_is_removed(void)
{
	int32_t fd, found, none = nothing_yet();

	EQUAL(-ENOENT, pyipc_posix_mq_open(name, BOTH, 0, 0, 0, &none));
	EQUAL(-ENOENT, pyipc_posix_mq_unlink(name));
	fd = queue();
	CHECK(is_close_on_exec(fd));
	EQUAL(-EEXIST, pyipc_posix_mq_open(name, NEW | BOTH, 0600, 1, 1, &none));
	CHECK(is_untouched(none));
	found = opened(BOTH);
	EQUAL(0, send_text(fd, "hello", 3));
	CHECK(received(found, "hello", 3));
	EQUAL(0, pyipc_posix_mq_unlink(name));
	EQUAL(-ENOENT, pyipc_posix_mq_open(name, BOTH, 0, 0, 0, &none));
	EQUAL(0, send_text(found, "still", 0));
	CHECK(received(fd, "still", 0));
	EQUAL(0, pyipc_fd_close(&found));
	EQUAL(0, pyipc_fd_close(&fd));
}

static void who_asks_for_what_cannot_be_is_told(void)
{
	static const struct {
		int64_t most, size;
	} strange[] = { { 0, 1 }, { 1, 0 }, { -1, 1 }, { 1, -1 }, { INT64_MAX, 1 }, { 1, INT64_MAX }, { INT64_MIN, INT64_MIN } };
	int32_t none = nothing_yet();
	char longer[400];

	for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
		EQUAL(-EINVAL, pyipc_posix_mq_open(name, NEW | BOTH, 0600, strange[i].most, strange[i].size, &none));
	memset(longer, 'x', sizeof longer);
	longer[sizeof longer - 1] = '\0';
	EQUAL(-ENAMETOOLONG, pyipc_posix_mq_open(longer, NEW | BOTH, 0600, 1, 1, &none));
	EQUAL(-ENAMETOOLONG, pyipc_posix_mq_unlink(longer));
	CHECK(pyipc_posix_mq_open("", NEW | BOTH, 0600, 1, 1, &none) < 0);
	EQUAL(-EACCES, pyipc_posix_mq_open("a/b", NEW | BOTH, 0600, 1, 1, &none));
	EQUAL(-EFAULT, pyipc_posix_mq_open((const char *) 8, NEW | BOTH, 0600, 1, 1, &none));
	CHECK(is_untouched(none));
	EQUAL(-ENOENT, pyipc_posix_mq_unlink(name));
}

static void messages_come_by_priority_and_in_order(void)
{
	int32_t fd = queue();

	EQUAL(-EAGAIN, receive(fd));
	EQUAL(0, send_text(fd, "low", 0));
	EQUAL(0, send_text(fd, "high", 32767));
	EQUAL(0, send_text(fd, "", 5));
	EQUAL(0, send_text(fd, "low too", 0));
	EQUAL(-EAGAIN, send_text(fd, "full", 32767));
	CHECK(received(fd, "high", 32767));
	CHECK(received(fd, "", 5));
	CHECK(received(fd, "low", 0));
	CHECK(received(fd, "low too", 0));
	EQUAL(-EAGAIN, receive(fd));
	end_it(&fd);
}

static void what_cannot_be_sent_or_received_is_said_and_changes_nothing(void)
{
	int32_t fd = queue(), reader = opened(PYIPC_POSIX_READ), writer = opened(PYIPC_POSIX_WRITE);
	int32_t closed = closed_number(), none = -1;
	char data[SIZE + 1] = "";
	uint32_t priority = 77;

	EQUAL(-EMSGSIZE, pyipc_now_posix_mq_send(&fd, data, SIZE + 1, 0));
	EQUAL(-EMSGSIZE, pyipc_posix_mq_send(&fd, data, UINT64_MAX, 0));
	EQUAL(-EINVAL, pyipc_now_posix_mq_send(&fd, data, 1, 32768));
	EQUAL(-EINVAL, pyipc_now_posix_mq_send(&fd, data, 1, UINT32_MAX));
	EQUAL(-EFAULT, pyipc_now_posix_mq_send(&fd, (const char *) 8, 1, 0));
	EQUAL(-EBADF, pyipc_now_posix_mq_send(&reader, data, 1, 0));
	EQUAL(-EBADF, pyipc_now_posix_mq_send(&closed, data, 1, 0));
	EQUAL(-EBADF, pyipc_now_posix_mq_send(&none, data, 1, 0));
	EQUAL(0, messages(fd));
	EQUAL(0, send_text(writer, "stays", 3));
	memset(data, UNTOUCHED, sizeof data);
	EQUAL(-EMSGSIZE, pyipc_now_posix_mq_receive(&fd, data, SIZE - 1, &priority));
	EQUAL(-EMSGSIZE, pyipc_posix_mq_receive(&fd, data, 0, &priority));
	EQUAL(-EBADF, pyipc_now_posix_mq_receive(&writer, data, SIZE, &priority));
	EQUAL(-EBADF, pyipc_now_posix_mq_receive(&closed, data, SIZE, &priority));
	EQUAL(-EBADF, pyipc_now_posix_mq_receive(&none, data, SIZE, &priority));
	CHECK(untouched(data, sizeof data) && priority == 77);
	EQUAL(1, messages(fd));
	CHECK(received(reader, "stays", 3));
	EQUAL(0, pyipc_fd_close(&reader));
	EQUAL(0, pyipc_fd_close(&writer));
	end_it(&fd);
}

static void a_try_does_not_wait_whatever_the_queue_was_opened_for(void)
{
	int32_t fd = queue();

	EQUAL(0, fcntl(fd, F_GETFL) & O_NONBLOCK);
	EQUAL(-EAGAIN, receive(fd));
	EQUAL(0, fcntl(fd, F_SETFL, O_NONBLOCK));
	EQUAL(-EAGAIN, receive(fd));
	for (int i = 0; i < MOST; i++)
		EQUAL(0, send_text(fd, "x", 0));
	EQUAL(-EAGAIN, send_text(fd, "x", 0));
	EQUAL(0, fcntl(fd, F_SETFL, 0));
	EQUAL(-EAGAIN, send_text(fd, "x", 0));
	end_it(&fd);
}

static void signals_do_not_end_a_try(void)
{
	struct itimerval often = { .it_interval = { .tv_usec = 100 }, .it_value = { .tv_usec = 100 } }, never = { 0 };
	struct sigaction before;
	int32_t fd = queue();
	int tries = 0;

	(void) sigaction(SIGVTALRM, NULL, &before);
	handle(SIGVTALRM, 0);
	EQUAL(0, setitimer(ITIMER_VIRTUAL, &often, NULL));
	for (int64_t end = now_ns() + (int64_t) PATIENCE_S * PYIPC_SECOND; signals_seen < 20 && now_ns() < end; tries++)
		if (receive(fd) != -EAGAIN)
			break;
	EQUAL(0, setitimer(ITIMER_VIRTUAL, &never, NULL));
	(void) sigaction(SIGVTALRM, &before, NULL);
	CHECK(signals_seen >= 20 && tries > 0);
	EQUAL(-EAGAIN, receive(fd));
	end_it(&fd);
}

static int receives_in_order(int count)
{
	int32_t fd = -1;

	if (pyipc_posix_mq_open(name, PYIPC_POSIX_READ, 0, 0, 0, &fd) < 0)
		return 1;
	for (int i = 0; i < count;) {
		char data[SIZE];
		uint32_t priority;
		int number = -1;
		int64_t result = pyipc_now_posix_mq_receive(&fd, data, sizeof data, &priority);

		if (result == -EAGAIN) {
			if (wait_on(fd, PYIPC_READABLE) < 0)
				return 2;
			continue;
		}
		memcpy(&number, data, sizeof number);
		if (result != sizeof number || number != i++)
			return 3;
	}
	return 0;
}

static void two_processes_lose_and_reorder_nothing(void)
{
	enum { COUNT = 5000 };
	int32_t fd = queue();
	pid_t child = fork_child();

	if (child == 0)
		_exit(receives_in_order(COUNT));
	for (int i = 0; i < COUNT;) {
		int result = pyipc_now_posix_mq_send(&fd, (const char *) &i, sizeof i, 3);

		CHECK(result == 0 || result == -EAGAIN);
		if (result == 0)
			i++;
		else if (wait_on(fd, PYIPC_WRITABLE) < 0)
			break;
	}
	EQUAL(0, end_of(child));
	EQUAL(0, messages(fd));
	end_it(&fd);
}

static void a_wait_for_a_message_ends_when_another_process_sends(void)
{
	int32_t fd = queue();
	pid_t child = fork_child();

	if (child == 0)
		_exit(receives_in_order(1));
	WAIT_FOR(is_in(child, child, SYS_ppoll) || is_in(child, child, SYS_poll));
	EQUAL(0, pyipc_now_posix_mq_send(&fd, "\0\0\0", 4, 0));
	EQUAL(0, end_of(child));
	end_it(&fd);
}

static void stat_says_what_the_kernel_knows(void)
{
	struct pyipc_posix_mq_stat stat;
	mode_t before = umask(027);
	int32_t fd = -1;

	EQUAL(0, pyipc_posix_mq_open(name, NEW | BOTH, 07666, 3, 77, &fd));
	(void) umask(before);
	EQUAL(0, send_text(fd, "one", 0));
	memset(&stat, UNTOUCHED, sizeof stat);
	EQUAL(0, pyipc_now_posix_mq_stat(fd, &stat));
	EQUAL(3, stat.max_messages);
	EQUAL(77, stat.max_size);
	EQUAL(1, stat.messages);
	EQUAL(geteuid(), stat.uid);
	EQUAL(getegid(), stat.gid);
	EQUAL(0640, stat.mode);
	end_it(&fd);
	memset(&stat, UNTOUCHED, sizeof stat);
	EQUAL(-EBADF, pyipc_now_posix_mq_stat(closed_number(), &stat));
	EQUAL(-EBADF, pyipc_now_posix_mq_stat(STDOUT_FILENO, &stat));
	CHECK(untouched(&stat, sizeof stat));
}

/* ---- who is told ---- */

static int by_signal(int32_t fd, int signal_number, int64_t value)
{
	return pyipc_now_posix_mq_notify(fd, PYIPC_NOTIFY_BY_SIGNAL, signal_number, value);
}

static int nobody(int32_t fd)
{
	return pyipc_now_posix_mq_notify(fd, PYIPC_NOTIFY_NOBODY, 0, 0);
}

static void a_message_to_an_empty_queue_sends_a_signal_once(void)
{
	struct timespec long_enough = { .tv_sec = PATIENCE_S }, at_once = { 0 };
	int32_t fd = queue();
	siginfo_t info;
	sigset_t set;

	(void) sigemptyset(&set);
	(void) sigaddset(&set, SIGUSR1);
	EQUAL(0, sigprocmask(SIG_BLOCK, &set, NULL));
	EQUAL(0, by_signal(fd, SIGUSR1, -5));
	EQUAL(-EBUSY, by_signal(fd, SIGUSR1, 6));
	EQUAL(0, send_text(fd, "x", 0));
	EQUAL(SIGUSR1, sigtimedwait(&set, &info, &long_enough));
	EQUAL(SI_MESGQ, info.si_code);
	EQUAL(-5, info.si_value.sival_int);
	EQUAL(getpid(), info.si_pid);
	EQUAL(0, by_signal(fd, SIGUSR1, 7));
	EQUAL(0, send_text(fd, "not empty", 0));
	EQUAL(-1, sigtimedwait(&set, &info, &at_once));
	EQUAL(-EBUSY, by_signal(fd, SIGUSR1, 8));
	EQUAL(0, nobody(fd));
	EQUAL(0, nobody(fd));
	CHECK(received(fd, "x", 0) && received(fd, "not empty", 0));
	EQUAL(0, send_text(fd, "nobody", 0));
	EQUAL(-1, sigtimedwait(&set, &info, &at_once));
	EQUAL(0, sigprocmask(SIG_UNBLOCK, &set, NULL));
	end_it(&fd);
}

static int last_of(int sock)
{
	char cookie[PYIPC_NOTIFY_COOKIE + 1] = "";
	struct pollfd state = { .fd = sock, .events = POLLIN };

	if (poll(&state, 1, PATIENCE_S * 1000) != 1)
		return -1;
	return recv(sock, cookie, sizeof cookie, 0) == PYIPC_NOTIFY_COOKIE ? cookie[PYIPC_NOTIFY_COOKIE - 1] : -2;
}

static int by_socket(int32_t fd, int sock)
{
	return pyipc_now_posix_mq_notify(fd, PYIPC_NOTIFY_BY_SOCKET, sock, 0);
}

static void a_message_or_the_end_of_asking_comes_to_a_socket(void)
{
	int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
	int32_t fd = queue();

	CHECK(sock >= 0);
	EQUAL(0, by_socket(fd, sock));
	EQUAL(-EBUSY, by_socket(fd, sock));
	EQUAL(0, send_text(fd, "x", 0));
	EQUAL(1, last_of(sock));
	CHECK(received(fd, "x", 0));
	EQUAL(0, by_socket(fd, sock));
	EQUAL(0, nobody(fd));
	EQUAL(2, last_of(sock));
	EQUAL(0, by_socket(fd, sock));
	end_it(&fd);
	EQUAL(2, last_of(sock));
	EQUAL(0, close(sock));
}

static void who_cannot_be_told_is_refused(void)
{
	int32_t fd = queue();
	int ends[2];

	EQUAL(-EINVAL, by_signal(fd, 65, 0));
	EQUAL(-EINVAL, by_signal(fd, -1, 0));
	pipe_ends(ends);
	CHECK(by_socket(fd, ends[0]) < 0);
	EQUAL(-EBADF, by_socket(fd, -1));
	EQUAL(-EBADF, by_socket(ends[0], ends[0]) == -EBADF ? -EBADF : by_signal(ends[0], SIGUSR1, 0));
	EQUAL(-EBADF, nobody(ends[0]));
	EQUAL(-EBADF, nobody(-1));
	close_both(ends);
	EQUAL(0, by_signal(fd, 0, 0));	/* and nobody was, until now */
	end_it(&fd);
}

static void another_process_is_told_or_nobody_else(void)
{
	int32_t fd = queue();
	pid_t child;

	EQUAL(0, by_signal(fd, 0, 0));
	child = fork_child();
	if (child == 0)
		_exit(by_signal(fd, SIGUSR1, 0) == -EBUSY && nobody(fd) == 0 ? 0 : 1);
	EQUAL(0, end_of(child));
	EQUAL(-EBUSY, by_signal(fd, 0, 0));
	end_it(&fd);
}

/* ---- limits and permissions ---- */

static void who_has_too_much_is_told(void)
{
	int32_t fd = queue();
	pid_t child = fork_child();

	if (child == 0) {
		struct rlimit little = { 100, 100 };
		int32_t none = nothing_yet();

		EQUAL(0, pyipc_posix_mq_unlink(name));
		EQUAL(0, setrlimit(RLIMIT_MSGQUEUE, &little));
		EQUAL(-EMFILE, pyipc_posix_mq_open(name, NEW | BOTH, 0600, MOST, SIZE, &none));
		leave_room_for(0);
		EQUAL(-EMFILE, pyipc_posix_mq_open(name, NEW | BOTH, 0600, 1, 1, &none));
		CHECK(is_untouched(none));
		_exit(all_was_well());
	}
	EQUAL(0, end_of(child));
	EQUAL(0, pyipc_fd_close(&fd));
	EQUAL(-ENOENT, pyipc_posix_mq_unlink(name));
}

static int others_may(int flags)
{
	int32_t fd = -1;
	int result;

	if (!become_nobody())
		return CANNOT;
	result = pyipc_posix_mq_open(name, flags, 0, 0, 0, &fd);
	return result < 0 ? -result : 0;
}

static void who_has_no_permission_is_told(void)
{
	int32_t fd = -1;
	int results[2];

	EQUAL(0, pyipc_posix_mq_open(name, NEW | BOTH, 0604, MOST, SIZE, &fd));
	for (int i = 0; i < 2; i++) {
		pid_t child = fork_child();

		if (child == 0)
			_exit(others_may(i ? PYIPC_POSIX_READ : BOTH));
		results[i] = end_of(child);
	}
	end_it(&fd);
	if (results[0] == CANNOT)
		NOT_RUN("only root can become another user");
	EQUAL(EACCES, results[0]);
	EQUAL(0, results[1]);
}

int main(void)
{
	begin();
	(void) snprintf(name, sizeof name, "pyipc-test-%d", (int) getpid());
	RUN(a_queue_is_found_by_its_name_until_that_is_removed);
	RUN(who_asks_for_what_cannot_be_is_told);
	RUN(messages_come_by_priority_and_in_order);
	RUN(what_cannot_be_sent_or_received_is_said_and_changes_nothing);
	RUN(a_try_does_not_wait_whatever_the_queue_was_opened_for);
	RUN(signals_do_not_end_a_try);
	RUN(two_processes_lose_and_reorder_nothing);
	RUN(a_wait_for_a_message_ends_when_another_process_sends);
	RUN(stat_says_what_the_kernel_knows);
	RUN(a_message_to_an_empty_queue_sends_a_signal_once);
	RUN(a_message_or_the_end_of_asking_comes_to_a_socket);
	RUN(who_cannot_be_told_is_refused);
	RUN(another_process_is_told_or_nobody_else);
	RUN(who_has_too_much_is_told);
	RUN(who_has_no_permission_is_told);
	return report();
}
