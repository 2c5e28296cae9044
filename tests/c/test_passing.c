/* SPDX-License-Identifier: MIT
 *
 * test_passing.c -- passing.c: descriptors over Unix sockets; who sent them: test_peers.c.
 *
 * Whether a copy of a descriptor is left anywhere, the read end of a pipe knows (nobody_writes).
 */
#include "sockets.h"

#include <arpa/inet.h>
#include <netinet/in.h>

enum { MOST = PYIPC_MOST_FDS };

static int access_of(int number)
{
	return fcntl(number, F_GETFL) & O_ACCMODE;
}

/* ---- sockets ---- */

static void a_pair_is_of_its_kind_and_closed_on_exec(void)
{
	FOR_EACH(kind) {
		int32_t ends[2];

		pair_of(kind, ends);
		for (int i = 0; i < 2; i++) {
			CHECK(is_close_on_exec(ends[i]));
			EQUAL(kind, pyipc_now_socket_kind(ends[i]));
			EQUAL(1, pyipc_now_socket_is_unix(ends[i]));
		}
		EQUAL(2, send_text(ends[0], "to"));
		EQUAL(3, send_text(ends[1], "fro"));
		receive_nothing_but(ends[1], "to");
		receive_nothing_but(ends[0], "fro");
		close_both(ends);
	}
}

static void a_pair_that_is_refused_leaves_both_owners_alone(void)
{
	int32_t ends[2] = { -1, -1 };
	pid_t child;

	memset(ends, UNTOUCHED, sizeof ends);
	CHECK(pyipc_now_socketpair(SOCK_RDM, ends) < 0);	/* known, but not to Unix sockets */
	CHECK(pyipc_now_socketpair(99, ends) < 0);
	CHECK(pyipc_now_socketpair(-1, ends) < 0);
	CHECK(untouched(ends, sizeof ends));
	child = fork_child();
	if (child == 0) {
		leave_room_for(1);
		EQUAL(-EMFILE, pyipc_now_socketpair(PYIPC_STREAM, ends));
		CHECK(untouched(ends, sizeof ends));
		_exit(all_was_well());
	}
	EQUAL(0, end_of(child));
}

static void other_descriptors_are_no_unix_sockets(void)
{
	int inet = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ends[2];

	if (inet >= 0) {
		EQUAL(PYIPC_STREAM, pyipc_now_socket_kind(inet));
		EQUAL(0, pyipc_now_socket_is_unix(inet));
		EQUAL(0, close(inet));
	}
	pipe_ends(ends);
	EQUAL(-ENOTSOCK, pyipc_now_socket_kind(ends[0]));
	EQUAL(-ENOTSOCK, pyipc_now_socket_is_unix(ends[0]));
	EQUAL(-ENOTSOCK, send_text(ends[1], "x"));
	EQUAL(-ENOTSOCK, nothing_comes(ends[0]));
	EQUAL(-ENOTSOCK, pyipc_now_message_size(ends[0]));
	close_both(ends);
	EQUAL(-EBADF, pyipc_now_socket_kind(-1));
	EQUAL(-EBADF, pyipc_now_socket_is_unix(-1));
	EQUAL(-EBADF, send_text(-1, "x"));
	EQUAL(-EBADF, nothing_comes(-1));
	EQUAL(-EBADF, pyipc_now_message_size(-1));
}

/* ---- descriptors ---- */

static void descriptors_arrive_in_order_and_are_the_same_files(void)
{
	FOR_EACH(kind) {
		struct pyipc_message message;
		int32_t socks[2];
		int ends[2];
		int32_t sent[3];

		pair_of(kind, socks);
		pipe_ends(ends);
		EQUAL(0, fcntl(ends[0], F_SETFD, 0));	/* how they were has no say in how they come */
		sent[0] = ends[1], sent[1] = ends[0], sent[2] = socks[0];
		EQUAL(5, send_fds(socks[0], "three", sent, 3));
		message = receive(socks[1], "three");
		EQUAL(3, message.count);
		for (int i = 0; i < 3; i++) {
			CHECK(message.fds[i] > STDERR_FILENO && message.fds[i] != sent[i]);
			CHECK(is_close_on_exec(message.fds[i]));
			CHECK(same_file(sent[i], message.fds[i]));
			EQUAL(access_of(sent[i]), access_of(message.fds[i]));
		}
		CHECK(untouched(message.fds + 3, sizeof message.fds - sizeof sent));
		EQUAL(0, message.has_credentials);
		EQUAL(-1, message.pidfd);
		EQUAL(0, message.address_size);
		EQUAL(0, pyipc_message_close(&message));
		close_both(ends);
		close_both(socks);
	}
}

static void no_copy_is_left_when_the_message_is_closed(void)
{
	FOR_EACH(kind) {
		struct pyipc_message message;
		int32_t socks[2];
		int ends[2];

		pair_of(kind, socks);
		pipe_ends(ends);
		EQUAL(1, send_fds(socks[0], "x", &ends[1], 1));
		EQUAL(0, close(ends[1]));
		CHECK(!nobody_writes(ends[0]));		/* it is under way */
		message = receive(socks[1], "x");
		EQUAL(1, message.count);
		CHECK(!nobody_writes(ends[0]));
		EQUAL(0, pyipc_message_close(&message));
		CHECK(nobody_writes(ends[0]));
		EQUAL(0, message.count);
		EQUAL(-1, message.fds[0]);
		EQUAL(0, close(ends[0]));
		close_both(socks);
	}
}

static void no_copy_is_left_when_nobody_receives_it(void)
{
	FOR_EACH(kind) {
		int32_t socks[2];
		int ends[2];

		pair_of(kind, socks);
		pipe_ends(ends);
		for (int i = 0; i < 5; i++)
			EQUAL(1, send_fds(socks[0], "x", &ends[1], 1));
		EQUAL(0, close(ends[1]));
		CHECK(!nobody_writes(ends[0]));
		close_both(socks);
		CHECK(nobody_writes(ends[0]));
		EQUAL(0, close(ends[0]));
	}
}

static void what_was_moved_out_of_a_message_is_not_closed_with_it(void)
{
	struct pyipc_message message;
	int32_t socks[2], sent[2];
	int32_t kept = -1;
	int ends[2];

	pair_of(PYIPC_SEQPACKET, socks);
	pipe_ends(ends);
	sent[0] = sent[1] = ends[1];
	EQUAL(1, send_fds(socks[0], "x", sent, 2));
	EQUAL(0, close(ends[1]));
	message = receive(socks[1], "x");
	EQUAL(0, pyipc_now_fd_move(&message.fds[0], &kept));
	EQUAL(0, pyipc_message_close(&message));
	EQUAL(0, pyipc_message_close(&message));
	CHECK(is_open(kept));
	CHECK(!nobody_writes(ends[0]));
	EQUAL(0, pyipc_fd_close(&kept));
	CHECK(nobody_writes(ends[0]));
	EQUAL(0, close(ends[0]));
	close_both(socks);
}

static void there_is_room_for_253_in_one_message_and_credentials(void)
{
	const struct pyipc_credentials me = { .pid = getpid(), .uid = getuid(), .gid = getgid() };

	FOR_EACH(kind) {
		struct pyipc_message message = nothing_in_it();
		int32_t socks[2], sent[MOST + 1];
		int ends[2];
		char data[8];

		pair_of(kind, socks);
		pipe_ends(ends);
		for (int i = 0; i <= MOST; i++)
			sent[i] = ends[1];
		EQUAL(-EINVAL, send_fds(socks[0], "x", sent, MOST + 1));
		EQUAL(-EINVAL, pyipc_now_send(socks[0], "x", 1, sent, MOST + 1, &me, NULL, 0));
		EQUAL(-EINVAL, send_fds(socks[0], "x", sent, -1));
		EQUAL(-EINVAL, send_fds(socks[0], "x", sent, INT32_MIN));
		EQUAL(-EINVAL, send_fds(socks[0], "x", sent, INT32_MAX));
		EQUAL(-EAGAIN, nothing_comes(socks[1]));
		(void) pyipc_now_pass_credentials(socks[1], 1, 1);
		EQUAL(1, pyipc_now_send(socks[0], "x", 1, sent, MOST, &me, NULL, 0));
		EQUAL(0, close(ends[1]));
		EQUAL(1, pyipc_now_receive(socks[1], data, sizeof data, &message));
		EQUAL(PYIPC_NONE_LOST, message.lost);
		EQUAL(MOST, message.count);
		EQUAL(1, message.has_credentials);
		for (int i = 0; i < MOST; i++)
			CHECK(same_file(ends[0], message.fds[i]) && is_close_on_exec(message.fds[i]));
		EQUAL(0, pyipc_message_close(&message));
		CHECK(nobody_writes(ends[0]));
		EQUAL(0, close(ends[0]));
		close_both(socks);
	}
}

static void descriptors_come_without_a_byte_where_messages_have_an_end(void)
{
	static const int with_ends[] = { PYIPC_DATAGRAM, PYIPC_SEQPACKET };

	for (int i = 0; i < 2; i++) {
		struct pyipc_message message;
		int32_t socks[2];
		int ends[2];

		pair_of(with_ends[i], socks);
		pipe_ends(ends);
		EQUAL(0, send_fds(socks[0], "", &ends[1], 1));
		EQUAL(0, close(ends[1]));
		if (with_ends[i] == PYIPC_SEQPACKET)
			EQUAL(0, shutdown(socks[0], SHUT_WR));	/* the end, but not yet */
		message = receive(socks[1], "");
		EQUAL(1, message.count);
		CHECK(same_file(ends[0], message.fds[0]));
		EQUAL(0, pyipc_message_close(&message));
		CHECK(nobody_writes(ends[0]));
		EQUAL(0, close(ends[0]));
		close_both(socks);
	}
}

static void on_a_stream_bytes_stay_with_their_descriptors(void)
{
	struct pyipc_message message;
	int32_t socks[2];
	int ends[2];

	pair_of(PYIPC_STREAM, socks);
	pipe_ends(ends);
	EQUAL(3, send_fds(socks[0], "one", &ends[0], 1));
	EQUAL(3, send_fds(socks[0], "two", &ends[1], 1));
	EQUAL(4, send_text(socks[0], "none"));
	message = receive(socks[1], "one");
	EQUAL(1, message.count);
	EQUAL(O_RDONLY, access_of(message.fds[0]));
	EQUAL(0, pyipc_message_close(&message));
	message = receive(socks[1], "two");
	EQUAL(1, message.count);
	EQUAL(O_WRONLY, access_of(message.fds[0]));
	EQUAL(0, pyipc_message_close(&message));
	receive_nothing_but(socks[1], "none");
	close_both(ends);
	close_both(socks);
}

static void a_descriptor_that_is_not_open_stops_the_whole_message(void)
{
	FOR_EACH(kind) {
		static const int32_t bad[] = { 100000, -1, INT32_MIN };
		int32_t socks[2];
		int ends[2];

		pair_of(kind, socks);
		pipe_ends(ends);
		for (int i = 0; i < 3; i++) {
			const int32_t sent[2] = { ends[1], bad[i] };

			EQUAL(-EBADF, send_fds(socks[0], "x", sent, 2));
		}
		EQUAL(-EAGAIN, nothing_comes(socks[1]));
		EQUAL(0, close(ends[1]));
		CHECK(nobody_writes(ends[0]));
		EQUAL(0, close(ends[0]));
		close_both(socks);
	}
}

/* ---- a table that is full ---- */

/* In a child, for it does so to itself: five are sent, and there is room for so many. */
static int receives_in_a_full_table(int kind, int room)
{
	struct pyipc_message message = nothing_in_it();
	int32_t socks[2], sent[5];
	char data[8] = "";
	int ends[2];

	pair_of(kind, socks);
	pipe_ends(ends);
	for (int i = 0; i < 5; i++)
		sent[i] = ends[1];
	EQUAL(4, send_fds(socks[0], "five", sent, 5));
	EQUAL(0, close(ends[1]));
	leave_room_for(room);
	EQUAL(4, pyipc_now_receive(socks[1], data, sizeof data, &message));
	EQUAL(0, strcmp(data, "five"));
	EQUAL(PYIPC_LOST_TABLE_FULL, message.lost);
	EQUAL(room, message.count);
	for (int i = 0; i < room; i++)
		CHECK(is_close_on_exec(message.fds[i]));
	EQUAL(-1, message.pidfd);
	EQUAL(0, pyipc_message_close(&message));
	CHECK(nobody_writes(ends[0]));
	EQUAL(1, send_text(socks[0], "x"));
	receive_nothing_but(socks[1], "x");
	return all_was_well();
}

static void what_a_full_table_cannot_take_is_lost_and_the_rest_is_the_messages(void)
{
	for (int room = 0; room < 5; room++)
		FOR_EACH(kind) {
			pid_t child = fork_child();

			if (child == 0)
				_exit(receives_in_a_full_table(kind, room));
			EQUAL(0, end_of(child));
		}
}

/* A security module keeps descriptors back from a table that has room.  Here the table is full, and
 * says otherwise when it is asked: with that error, or with none and a number, which is then closed. */
static int receives_what_is_kept_back(int error_number)
{
	struct pyipc_message message = nothing_in_it();
	int32_t socks[2], sent[3];
	char data[8];

	pair_of(PYIPC_SEQPACKET, socks);
	sent[0] = sent[1] = sent[2] = STDOUT_FILENO;
	EQUAL(1, send_fds(socks[0], "x", sent, 3));
	EQUAL(STDIN_FILENO, dup2(STDOUT_FILENO, STDIN_FILENO));
	leave_room_for(1);
	if (!answer(SYS_fcntl, error_number, 1, F_DUPFD_CLOEXEC))
		return CANNOT;
	EQUAL(1, pyipc_now_receive(socks[1], data, sizeof data, &message));
	EQUAL(PYIPC_LOST, message.lost);
	EQUAL(1, message.count);
	if (!error_number)
		CHECK(!is_open(STDIN_FILENO));
	EQUAL(0, pyipc_message_close(&message));
	return all_was_well();
}

static void what_is_lost_for_another_reason_is_told_apart(void)
{
	static const int errors[] = { EPERM, 0 };

	for (int i = 0; i < 2; i++) {
		pid_t child = fork_child();
		int status;

		if (child == 0)
			_exit(receives_what_is_kept_back(errors[i]));
		status = end_of(child);
		if (status == CANNOT)
			NOT_RUN("no seccomp filter can be set");
		EQUAL(0, status);
	}
}

/* ---- messages and their ends ---- */

static void the_end_of_a_connection_is_epipe(void)
{
	static const int with_an_end[] = { PYIPC_STREAM, PYIPC_SEQPACKET };

	for (int i = 0; i < 4; i++) {
		int32_t socks[2];

		pair_of(with_an_end[i % 2], socks);
		EQUAL(4, send_text(socks[0], "last"));
		EQUAL(0, i < 2 ? close(socks[0]) : shutdown(socks[0], SHUT_WR));
		receive_nothing_but(socks[1], "last");
		EQUAL(-EPIPE, nothing_comes(socks[1]));
		EQUAL(-EPIPE, nothing_comes(socks[1]));
		EQUAL(0, close(socks[1]));
		if (i >= 2)
			EQUAL(0, close(socks[0]));
	}
}

/* Who leaves with messages unread makes the next call fail, which is no reason to lose what it sent. */
static void what_was_sent_comes_from_who_left_with_messages_unread(void)
{
	static const int with_an_end[] = { PYIPC_STREAM, PYIPC_SEQPACKET };

	for (int i = 0; i < 2; i++) {
		struct pyipc_message message;
		int32_t socks[2];
		int ends[2];

		pair_of(with_an_end[i], socks);
		pipe_ends(ends);
		EQUAL(6, send_text(socks[1], "unread"));
		EQUAL(5, send_fds(socks[0], "first", &ends[1], 1));
		if (with_an_end[i] == PYIPC_SEQPACKET)
			EQUAL(6, send_text(socks[0], "second"));
		EQUAL(0, close(socks[0]));
		EQUAL(0, close(ends[1]));
		message = receive(socks[1], "first");
		EQUAL(1, message.count);
		EQUAL(0, pyipc_message_close(&message));
		CHECK(nobody_writes(ends[0]));
		if (with_an_end[i] == PYIPC_SEQPACKET)
			receive_nothing_but(socks[1], "second");
		EQUAL(-EPIPE, nothing_comes(socks[1]));
		EQUAL(0, close(socks[1]));
		EQUAL(0, close(ends[0]));
	}
}

static void an_empty_datagram_is_a_message(void)
{
	int32_t socks[2];

	pair_of(PYIPC_DATAGRAM, socks);
	EQUAL(0, send_text(socks[0], ""));
	EQUAL(0, send_text(socks[0], ""));
	EQUAL(1, send_text(socks[0], "x"));
	EQUAL(0, send_text(socks[0], ""));
	EQUAL(0, close(socks[0]));
	receive_nothing_but(socks[1], "");
	receive_nothing_but(socks[1], "");
	receive_nothing_but(socks[1], "x");
	receive_nothing_but(socks[1], "");
	EQUAL(-EAGAIN, nothing_comes(socks[1]));
	EQUAL(0, close(socks[1]));
}

static void an_empty_packet_is_not_the_end_of_those_after_it(void)
{
	for (int closes = 0; closes < 2; closes++) {
		struct pyipc_message message;
		int32_t socks[2];
		int ends[2];

		pair_of(PYIPC_SEQPACKET, socks);
		pipe_ends(ends);
		EQUAL(0, send_text(socks[0], ""));
		receive_nothing_but(socks[1], "");	/* nor is it where the other side can send */
		EQUAL(0, send_text(socks[0], ""));
		EQUAL(5, send_text(socks[0], "after"));
		EQUAL(0, send_text(socks[0], ""));
		EQUAL(1, send_fds(socks[0], "x", &ends[1], 1));
		EQUAL(0, closes ? close(socks[0]) : shutdown(socks[0], SHUT_WR));
		receive_nothing_but(socks[1], "");
		receive_nothing_but(socks[1], "after");
		receive_nothing_but(socks[1], "");
		message = receive(socks[1], "x");
		EQUAL(1, message.count);
		EQUAL(0, pyipc_message_close(&message));
		EQUAL(-EPIPE, nothing_comes(socks[1]));
		EQUAL(0, close(socks[1]));
		if (!closes)
			EQUAL(0, close(socks[0]));
		close_both(ends);
	}
}

static void a_message_that_is_too_long_says_so(void)
{
	static const int with_ends[] = { PYIPC_DATAGRAM, PYIPC_SEQPACKET };

	for (int i = 0; i < 2; i++) {
		struct pyipc_message message = nothing_in_it();
		int32_t socks[2];
		int ends[2];
		char data[8];

		pair_of(with_ends[i], socks);
		pipe_ends(ends);
		EQUAL(10, send_fds(socks[0], "0123456789", &ends[1], 1));
		EQUAL(4, send_text(socks[0], "next"));
		EQUAL(0, close(ends[1]));
		memset(data, UNTOUCHED, sizeof data);
		EQUAL(4 + 1, pyipc_now_receive(socks[1], data, 4, &message));
		EQUAL(0, memcmp(data, "0123", 4));
		CHECK(untouched(data + 4, 4));
		EQUAL(PYIPC_NONE_LOST, message.lost);
		EQUAL(1, message.count);	/* its end is lost, its descriptors are not */
		EQUAL(0, pyipc_message_close(&message));
		CHECK(nobody_writes(ends[0]));
		EQUAL(0, close(ends[0]));
		receive_nothing_but(socks[1], "next");
		EQUAL(1, send_text(socks[0], "x"));
		message = nothing_in_it();
		EQUAL(0 + 1, pyipc_now_receive(socks[1], data, 0, &message));
		EQUAL(4, send_text(socks[0], "fits"));
		message = nothing_in_it();
		EQUAL(4, pyipc_now_receive(socks[1], data, 4, &message));
		close_both(socks);
	}
}

static void a_stream_keeps_what_did_not_fit(void)
{
	struct pyipc_message message = nothing_in_it();
	int32_t socks[2];
	char data[8];

	pair_of(PYIPC_STREAM, socks);
	EQUAL(10, send_text(socks[0], "0123456789"));
	memset(data, UNTOUCHED, sizeof data);
	EQUAL(4, pyipc_now_receive(socks[1], data, 4, &message));
	EQUAL(0, memcmp(data, "0123", 4));
	CHECK(untouched(data + 4, 4));
	receive_nothing_but(socks[1], "456789");
	close_both(socks);
}

/* A connection over the loopback, or -1. */
static int tcp_pair(int *ends)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof name;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int made;

	ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	made = bind(listener, (struct sockaddr *) &name, size) == 0 && listen(listener, 1) == 0 &&
		getsockname(listener, (struct sockaddr *) &name, &size) == 0 &&
		connect(ends[0], (struct sockaddr *) &name, size) == 0;
	ends[1] = made ? accept4(listener, NULL, NULL, SOCK_CLOEXEC) : -1;
	if (listener >= 0)
		(void) close(listener);
	if (!made && ends[0] >= 0)
		(void) close(ends[0]);
	return made ? 0 : -1;
}

static void another_stream_keeps_it_too(void)
{
	struct pyipc_message message = nothing_in_it();
	char data[8];
	int socks[2];

	if (tcp_pair(socks) != 0)
		NOT_RUN("nothing connects over the loopback");
	EQUAL(-EAGAIN, nothing_comes(socks[1]));
	EQUAL(10, send_text(socks[0], "0123456789"));
	EQUAL(0, wait_on(socks[1], PYIPC_READABLE));
	EQUAL(4, pyipc_now_receive(socks[1], data, 4, &message));
	EQUAL(0, memcmp(data, "0123", 4));
	EQUAL(0, message.address_size);
	receive_nothing_but(socks[1], "456789");
	EQUAL(0, close(socks[0]));
	EQUAL(0, wait_on(socks[1], PYIPC_READABLE));
	EQUAL(-EPIPE, nothing_comes(socks[1]));
	EQUAL(0, close(socks[1]));
}

static void the_size_of_the_next_message_is_known_before_it_is_taken(void)
{
	static const int with_ends[] = { PYIPC_DATAGRAM, PYIPC_SEQPACKET };

	for (int i = 0; i < 2; i++) {
		struct pyipc_message message;
		int32_t socks[2];
		int ends[2];

		pair_of(with_ends[i], socks);
		pipe_ends(ends);
		EQUAL(-EAGAIN, pyipc_now_message_size(socks[1]));
		EQUAL(5, send_fds(socks[0], "hello", &ends[1], 1));
		EQUAL(0, send_text(socks[0], ""));
		EQUAL(0, close(ends[1]));
		EQUAL(5, pyipc_now_message_size(socks[1]));
		EQUAL(5, pyipc_now_message_size(socks[1]));
		CHECK(!nobody_writes(ends[0]));
		message = receive(socks[1], "hello");
		EQUAL(1, message.count);
		EQUAL(0, pyipc_message_close(&message));
		CHECK(nobody_writes(ends[0]));
		EQUAL(0, pyipc_now_message_size(socks[1]));
		receive_nothing_but(socks[1], "");
		EQUAL(-EAGAIN, pyipc_now_message_size(socks[1]));
		EQUAL(0, close(ends[0]));
		close_both(socks);
	}
}

/* ---- calls that never wait ---- */

static int64_t fill(int sock, const char *data, uint64_t size, int32_t fd)
{
	int64_t result;

	do
		result = pyipc_now_send(sock, data, size, &fd, 1, NULL, NULL, 0);
	while (result >= 0);
	return result;
}

static void nothing_waits_for_room_or_for_a_message(void)
{
	static char much[16384];

	FOR_EACH(kind) {
		int32_t socks[2];
		int ends[2];

		pair_of(kind, socks);
		pipe_ends(ends);
		CHECK(!(fcntl(socks[0], F_GETFL) & O_NONBLOCK));
		EQUAL(-EAGAIN, nothing_comes(socks[1]));
		EQUAL(-EAGAIN, fill(socks[0], much, sizeof much, ends[1]));
		EQUAL(-ETIMEDOUT, pyipc_fd_wait(socks[0], PYIPC_WRITABLE, 0));
		EQUAL(-EAGAIN, fill(socks[0], much, sizeof much, ends[1]));
		EQUAL(0, close(ends[1]));
		for (;;) {	/* and with what was not sent, no descriptor was */
			struct pyipc_message message = nothing_in_it();

			if (pyipc_now_receive(socks[1], much, sizeof much, &message) < 0)
				break;
			EQUAL(0, pyipc_message_close(&message));
		}
		CHECK(nobody_writes(ends[0]));
		EQUAL(0, close(ends[0]));
		close_both(socks);
	}
}

static void a_long_message_to_a_stream_is_sent_in_part(void)
{
	static char much[4 << 20];
	int32_t socks[2];
	int64_t sent;

	pair_of(PYIPC_STREAM, socks);
	sent = pyipc_now_send(socks[0], much, sizeof much, NULL, 0, NULL, NULL, 0);
	CHECK(sent > 0 && sent < (int64_t) sizeof much);
	EQUAL(-EAGAIN, pyipc_now_send(socks[0], much, sizeof much, NULL, 0, NULL, NULL, 0));
	close_both(socks);
}

static void a_message_that_no_socket_holds_is_refused(void)
{
	static char much[4 << 20];
	static const int with_ends[] = { PYIPC_DATAGRAM, PYIPC_SEQPACKET };

	for (int i = 0; i < 2; i++) {
		int32_t socks[2];

		pair_of(with_ends[i], socks);
		EQUAL(-EMSGSIZE, pyipc_now_send(socks[0], much, sizeof much, NULL, 0, NULL, NULL, 0));
		EQUAL(-EAGAIN, nothing_comes(socks[1]));
		close_both(socks);
	}
}

static int sends_to_nobody(int kind)
{
	int32_t socks[2];

	(void) signal(SIGPIPE, SIG_DFL);
	pair_of(kind, socks);
	EQUAL(0, close(socks[1]));
	if (kind == PYIPC_DATAGRAM)
		EQUAL(-ECONNREFUSED, send_text(socks[0], "x"));
	else
		EQUAL(-EPIPE, send_text(socks[0], "x"));
	return all_was_well();
}

static void a_sender_to_nobody_is_told_and_not_killed(void)
{
	FOR_EACH(kind) {
		pid_t child = fork_child();

		if (child == 0)
			_exit(sends_to_nobody(kind));
		EQUAL(0, end_of(child));
	}
}

static void a_socket_that_is_not_connected_sends_nothing(void)
{
	FOR_EACH(kind) {
		int sock = socket(AF_UNIX, kind | SOCK_CLOEXEC, 0);

		EQUAL(-ENOTCONN, send_text(sock, "x"));
		CHECK(nothing_comes(sock) < 0);
		EQUAL(0, close(sock));
	}
}

/* ---- a peer that knows nothing of us ---- */

/* The text and one descriptor, with sendmsg(2) and recvmsg(2) as cmsg(3) shows them. */
union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(sizeof(int))];
};

static int plain_send(int sock, char *text, int fd)
{
	union control control = { .room = "" };
	struct iovec part = { .iov_base = text, .iov_len = strlen(text) };
	struct msghdr head = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control,
	};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&head);

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(rights), &fd, sizeof fd);
	return sendmsg(sock, &head, 0) == (ssize_t) strlen(text);
}

static int plain_receive(int sock, const char *text)
{
	union control control;
	char data[64] = "";
	struct iovec part = { .iov_base = data, .iov_len = sizeof data - 1 };
	struct msghdr head = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control,
	};
	struct cmsghdr *rights;
	int fd;

	if (recvmsg(sock, &head, 0) != (ssize_t) strlen(text) || strcmp(text, data) != 0)
		return -1;
	rights = CMSG_FIRSTHDR(&head);
	if (!rights || rights->cmsg_type != SCM_RIGHTS || rights->cmsg_len != CMSG_LEN(sizeof fd) ||
	    head.msg_flags & MSG_CTRUNC)
		return -1;
	memcpy(&fd, CMSG_DATA(rights), sizeof fd);
	return fd;
}

/* Writes into what it is sent, and sends back the read end of a pipe that holds more. */
static int plain_peer(int sock)
{
	char answer_[] = "answer";
	int fd = plain_receive(sock, "question");
	int ends[2];

	if (fd < 0 || write(fd, "from the peer", 13) != 13)
		return 1;
	if (pipe(ends) != 0 || write(ends[1], "more", 4) != 4)
		return 2;
	return plain_send(sock, answer_, ends[0]) ? 0 : 3;
}

static void a_peer_in_plain_c_understands_us_and_we_it(void)
{
	FOR_EACH(kind) {
		struct pyipc_message message;
		int32_t socks[2];
		char text[64] = "";
		int ends[2];
		pid_t child;

		pair_of(kind, socks);
		child = fork_child();
		if (child == 0) {
			(void) close(socks[0]);
			_exit(plain_peer(socks[1]));
		}
		EQUAL(0, close(socks[1]));
		pipe_ends(ends);
		EQUAL(8, send_fds(socks[0], "question", &ends[1], 1));
		EQUAL(0, close(ends[1]));
		EQUAL(0, wait_on(socks[0], PYIPC_READABLE));
		message = receive(socks[0], "answer");
		EQUAL(0, end_of(child));
		EQUAL(1, message.count);
		EQUAL(4, read(message.fds[0], text, sizeof text));
		EQUAL(0, strcmp(text, "more"));
		EQUAL(13, read(ends[0], text, sizeof text));
		EQUAL(0, memcmp(text, "from the peer", 13));
		CHECK(nobody_writes(ends[0]));
		CHECK(nobody_writes(message.fds[0]));
		EQUAL(0, pyipc_message_close(&message));
		EQUAL(0, close(ends[0]));
		EQUAL(0, close(socks[0]));
	}
}

int main(void)
{
	begin();
	RUN(a_pair_is_of_its_kind_and_closed_on_exec);
	RUN(a_pair_that_is_refused_leaves_both_owners_alone);
	RUN(other_descriptors_are_no_unix_sockets);
	RUN(descriptors_arrive_in_order_and_are_the_same_files);
	RUN(no_copy_is_left_when_the_message_is_closed);
	RUN(no_copy_is_left_when_nobody_receives_it);
	RUN(what_was_moved_out_of_a_message_is_not_closed_with_it);
	RUN(there_is_room_for_253_in_one_message_and_credentials);
	RUN(descriptors_come_without_a_byte_where_messages_have_an_end);
	RUN(on_a_stream_bytes_stay_with_their_descriptors);
	RUN(a_descriptor_that_is_not_open_stops_the_whole_message);
	RUN(what_a_full_table_cannot_take_is_lost_and_the_rest_is_the_messages);
	RUN(what_is_lost_for_another_reason_is_told_apart);
	RUN(the_end_of_a_connection_is_epipe);
	RUN(what_was_sent_comes_from_who_left_with_messages_unread);
	RUN(an_empty_datagram_is_a_message);
	RUN(an_empty_packet_is_not_the_end_of_those_after_it);
	RUN(a_message_that_is_too_long_says_so);
	RUN(a_stream_keeps_what_did_not_fit);
	RUN(another_stream_keeps_it_too);
	RUN(the_size_of_the_next_message_is_known_before_it_is_taken);
	RUN(nothing_waits_for_room_or_for_a_message);
	RUN(a_long_message_to_a_stream_is_sent_in_part);
	RUN(a_message_that_no_socket_holds_is_refused);
	RUN(a_sender_to_nobody_is_told_and_not_killed);
	RUN(a_socket_that_is_not_connected_sends_nothing);
	RUN(a_peer_in_plain_c_understands_us_and_we_it);
	return report();
}
