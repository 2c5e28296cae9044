/* SPDX-License-Identifier: MIT
 *
 * test_terminal.c -- terminal.c: both ends of a pseudo-terminal.
 */
#include "facts.h"

#include <sys/ioctl.h>
#include <termios.h>

struct ends {
	int32_t master, peer;
};

static struct ends new_ends(void)
{
	struct ends ends = { nothing_yet(), nothing_yet() };

	EQUAL(0, pyipc_pty_open(&ends.master));
	EQUAL(0, pyipc_pty_peer(&ends.master, &ends.peer));
	return ends;
}

static void close_ends(struct ends *ends)
{
	EQUAL(0, pyipc_fd_close(&ends->master));
	EQUAL(0, pyipc_fd_close(&ends->peer));
}

static void both_ends_are_close_on_exec_and_ours_does_not_block(void)
{
	struct ends ends = new_ends();

	CHECK(is_close_on_exec(ends.master));
	CHECK(is_close_on_exec(ends.peer));
	CHECK(fcntl(ends.master, F_GETFL) & O_NONBLOCK);
	CHECK(!(fcntl(ends.peer, F_GETFL) & O_NONBLOCK));
	CHECK(isatty(ends.peer));
	close_ends(&ends);
}

static void it_becomes_nobodys_controlling_terminal(void)
{
	struct ends ends = new_ends();
	pid_t group;

	CHECK(ioctl(ends.master, TIOCGPGRP, &group) == -1 || group == 0);
	close_ends(&ends);
}

static void what_is_written_is_read_and_then_there_is_nothing(void)
{
	struct ends ends = new_ends();
	char seen[100];

	EQUAL(-EAGAIN, pyipc_now_pty_read(&ends.master, seen, sizeof seen));
	EQUAL(0, pyipc_pty_look(ends.master, INT64_MAX));
	EQUAL(3, write(ends.peer, "one", 3));
	EQUAL(0, pyipc_fd_wait(ends.master, PYIPC_READABLE, INT64_MAX));
	EQUAL(1, pyipc_pty_look(ends.master, INT64_MAX));
	EQUAL(1, pyipc_pty_look(ends.master, 0));
	EQUAL(3, pyipc_now_pty_read(&ends.master, seen, sizeof seen));
	EQUAL(0, memcmp(seen, "one", 3));
	EQUAL(2, pyipc_now_pty_write(&ends.master, "2\n", 2));
	EQUAL(2, read(ends.peer, seen, sizeof seen));
	EQUAL(0, memcmp(seen, "2\n", 2));
	close_ends(&ends);
}

static void the_end_is_no_bytes_and_no_room(void)
{
	struct ends ends = new_ends();
	char seen[100];

	EQUAL(4, write(ends.peer, "last", 4));
	EQUAL(0, pyipc_fd_close(&ends.peer));
	EQUAL(-EPIPE, pyipc_now_pty_write(&ends.master, "x", 1));
	EQUAL(4, pyipc_now_pty_read(&ends.master, seen, sizeof seen));
	EQUAL(0, pyipc_now_pty_read(&ends.master, seen, sizeof seen));
	EQUAL(0, pyipc_now_pty_read(&ends.master, seen, sizeof seen));
	EQUAL(0, pyipc_pty_look(ends.master, INT64_MAX));
	EQUAL(0, pyipc_fd_close(&ends.master));
}

static void what_is_no_master_is_an_error(void)
{
	int32_t none = -1, peer = nothing_yet();
	int32_t file = open("/dev/null", O_RDWR | O_CLOEXEC);
	char seen[1];

	EQUAL(-EBADF, pyipc_pty_peer(&none, &peer));
	CHECK(is_untouched(peer));
	EQUAL(-ENOTTY, pyipc_pty_peer(&file, &peer));
	CHECK(is_untouched(peer));
	EQUAL(-EBADF, pyipc_now_pty_read(&none, seen, 1));
	EQUAL(0, pyipc_fd_close(&file));
}

static void where_a_sandbox_forbids_the_call_the_name_serves(void)
{
	pid_t child = fork_child();
	int status;

	if (child == 0) {
		if (!answer(SYS_ioctl, EPERM, 1, 0x5441))	/* TIOCGPTPEER */
			_exit(CANNOT);
		both_ends_are_close_on_exec_and_ours_does_not_block();
		what_is_written_is_read_and_then_there_is_nothing();
		_exit(all_was_well());
	}
	status = end_of(child);
	if (status == CANNOT)
		NOT_RUN("cannot filter system calls");
	EQUAL(0, status);
}

static void without_room_for_a_descriptor_nothing_is_made(void)
{
	struct rlimit before, none;
	int32_t master = nothing_yet(), peer = nothing_yet();

	EQUAL(0, pyipc_pty_open(&master));
	EQUAL(0, getrlimit(RLIMIT_NOFILE, &before));
	none = before;
	none.rlim_cur = (rlim_t) master + 1;
	EQUAL(0, setrlimit(RLIMIT_NOFILE, &none));
	EQUAL(-EMFILE, pyipc_pty_peer(&master, &peer));
	CHECK(is_untouched(peer));
	EQUAL(0, pyipc_fd_close(&master));
	none.rlim_cur = (rlim_t) 0;
	EQUAL(0, setrlimit(RLIMIT_NOFILE, &none));
	EQUAL(-EMFILE, pyipc_pty_open(&peer));
	CHECK(is_untouched(peer));
	EQUAL(0, setrlimit(RLIMIT_NOFILE, &before));
}

int main(void)
{
	begin();
	RUN(both_ends_are_close_on_exec_and_ours_does_not_block);
	RUN(it_becomes_nobodys_controlling_terminal);
	RUN(what_is_written_is_read_and_then_there_is_nothing);
	RUN(the_end_is_no_bytes_and_no_room);
	RUN(what_is_no_master_is_an_error);
	RUN(where_a_sandbox_forbids_the_call_the_name_serves);
	RUN(without_room_for_a_descriptor_nothing_is_made);
	return report();
}
