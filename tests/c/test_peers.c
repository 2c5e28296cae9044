/* SPDX-License-Identifier: MIT
 *
 * test_peers.c -- passing.c: credentials, pidfds and addresses of who sends, and of who is connected.
 */
#include "sockets.h"

#include <sys/un.h>

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76		/* Linux 6.5 */
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static struct pyipc_credentials ours(void)
{
	return (struct pyipc_credentials){ .pid = getpid(), .uid = getuid(), .gid = getgid() };
}

static void are_those_of(pid_t process, const struct pyipc_credentials *credentials)
{
	EQUAL(process, credentials->pid);
	EQUAL(getuid(), credentials->uid);
	EQUAL(getgid(), credentials->gid);
}

static int64_t send_as(int sock, const char *text, const struct pyipc_credentials *credentials)
{
	return pyipc_now_send(sock, text, strlen(text), NULL, 0, credentials, NULL, 0);
}

/* ---- credentials ---- */

/* Sends once and stays, so that there is somebody to be known by a pidfd. */
static pid_t sending_child(const int32_t *socks, const char *text)
{
	pid_t child = fork_child();

	if (child == 0) {
		(void) close(socks[0]);
		(void) send_text(socks[1], text);
		for (;;)
			(void) pause();
	}
	return child;
}

static void credentials_are_those_of_the_process_that_sends(void)
{
	FOR_EACH(kind) {
		struct pyipc_message message;
		int32_t socks[2];
		pid_t child;

		pair_of(kind, socks);
		EQUAL(0, pyipc_now_pass_credentials(socks[0], 1, 0));
		child = sending_child(socks, "hello");
		EQUAL(0, wait_on(socks[0], PYIPC_READABLE));
		message = receive(socks[0], "hello");
		EQUAL(1, message.has_credentials);
		are_those_of(child, &message.credentials);
		EQUAL(-1, message.pidfd);
		EQUAL(0, message.count);
		EQUAL(1000 + SIGKILL, kill_and_reap(child));
		close_both(socks);
	}
}

static void a_pidfd_comes_that_is_the_process_that_sends(void)
{
	int missing = 0;

	FOR_EACH(kind) {
		struct pyipc_message message;
		struct pyipc_exit end;
		int32_t socks[2];
		pid_t child;

		pair_of(kind, socks);
		missing = pyipc_now_pass_credentials(socks[0], 1, 1) == -ENOTSUP;
		if (!missing) {
			child = sending_child(socks, "hello");
			EQUAL(0, wait_on(socks[0], PYIPC_READABLE));
			message = receive(socks[0], "hello");
			are_those_of(child, &message.credentials);
			CHECK(message.pidfd >= 0 && is_close_on_exec(message.pidfd));
			EQUAL(0, pyipc_now_pidfd_send(&message.pidfd, 0));
			EQUAL(-EAGAIN, pyipc_now_pidfd_status(&message.pidfd, 0, &end));
			EQUAL(0, pyipc_now_pidfd_send(&message.pidfd, SIGKILL));
			EQUAL(0, wait_on(message.pidfd, PYIPC_READABLE));
			EQUAL(0, pyipc_now_pidfd_status(&message.pidfd, 1, &end));
			EQUAL(child, end.pid);
			EQUAL(SIGKILL, end.signal);
			EQUAL(0, pyipc_message_close(&message));
			EQUAL(-1, message.pidfd);
		}
		close_both(socks);
	}
	if (missing)
		NOT_RUN("the kernel passes no pidfd");
}

static void a_pidfd_without_credentials_comes_alone(void)
{
	struct pyipc_message message;
	int32_t socks[2];
	int result;

	pair_of(PYIPC_SEQPACKET, socks);
	result = pyipc_now_pass_credentials(socks[0], 0, 1);
	if (result == 0) {
		EQUAL(1, send_text(socks[1], "x"));
		message = receive(socks[0], "x");
		EQUAL(0, message.has_credentials);
		CHECK(message.pidfd >= 0);
		EQUAL(0, pyipc_now_pidfd_send(&message.pidfd, 0));
		EQUAL(0, pyipc_message_close(&message));
	}
	close_both(socks);
	if (result == -ENOTSUP)
		NOT_RUN("the kernel passes no pidfd");
	EQUAL(0, result);
}

static void what_is_turned_off_comes_no_more(void)
{
	FOR_EACH(kind) {
		int32_t socks[2];

		pair_of(kind, socks);
		if (pyipc_now_pass_credentials(socks[0], 1, 1) == -ENOTSUP)
			EQUAL(0, pyipc_now_pass_credentials(socks[0], 1, 0));
		EQUAL(0, pyipc_now_pass_credentials(socks[0], 0, 0));
		EQUAL(1, send_text(socks[1], "x"));
		receive_nothing_but(socks[0], "x");
		close_both(socks);
	}
}

static void an_empty_packet_with_credentials_is_not_the_end(void)
{
	struct pyipc_message message;
	int32_t socks[2];

	pair_of(PYIPC_SEQPACKET, socks);
	EQUAL(0, pyipc_now_pass_credentials(socks[0], 1, 0));
	EQUAL(0, send_text(socks[1], ""));
	EQUAL(0, close(socks[1]));
	message = receive(socks[0], "");
	EQUAL(1, message.has_credentials);
	EQUAL(-EPIPE, nothing_comes(socks[0]));
	EQUAL(0, close(socks[0]));
}

static void credentials_may_be_given_and_come_with_descriptors(void)
{
	const struct pyipc_credentials me = ours();

	FOR_EACH(kind) {
		struct pyipc_message message;
		int32_t socks[2];
		int ends[2];

		pair_of(kind, socks);
		pipe_ends(ends);
		EQUAL(0, pyipc_now_pass_credentials(socks[0], 1, 0));
		EQUAL(1, send_as(socks[1], "x", &me));
		message = receive(socks[0], "x");
		EQUAL(1, message.has_credentials);
		are_those_of(getpid(), &message.credentials);
		EQUAL(0, message.count);
		EQUAL(1, pyipc_now_send(socks[1], "x", 1, ends, 2, &me, NULL, 0));
		message = receive(socks[0], "x");
		EQUAL(1, message.has_credentials);
		are_those_of(getpid(), &message.credentials);
		EQUAL(2, message.count);
		CHECK(same_file(ends[0], message.fds[0]) && same_file(ends[0], message.fds[1]));
		EQUAL(0, pyipc_message_close(&message));
		close_both(ends);
		close_both(socks);
	}
}

static void root_may_give_those_of_another_user(void)
{
	struct pyipc_credentials other = { .pid = getpid(), .uid = NOBODY, .gid = NOBODY };
	struct pyipc_message message;
	int32_t socks[2];
	int64_t result;

	pair_of(PYIPC_DATAGRAM, socks);
	EQUAL(0, pyipc_now_pass_credentials(socks[0], 1, 0));
	result = send_as(socks[1], "x", &other);
	if (result == 1) {
		message = receive(socks[0], "x");
		EQUAL(getpid(), message.credentials.pid);
		EQUAL(NOBODY, message.credentials.uid);
		EQUAL(NOBODY, message.credentials.gid);
	} else {
		EQUAL(-EAGAIN, nothing_comes(socks[0]));
	}
	close_both(socks);
	if (result == -EPERM || result == -EINVAL)	/* or no such user is mapped */
		NOT_RUN("cannot be another user");
	EQUAL(1, result);
}

static void who_is_not_root_may_not_lie(void)
{
	struct pyipc_credentials lie = ours();	/* a child's parent */
	int32_t socks[2];
	pid_t child;
	int status;

	pair_of(PYIPC_STREAM, socks);
	child = fork_child();
	if (child == 0) {
		if (!become_nobody())
			_exit(CANNOT);
		EQUAL(-EPERM, send_as(socks[1], "x", &lie));
		lie = (struct pyipc_credentials){ .pid = getpid(), .uid = 0, .gid = NOBODY };
		EQUAL(-EPERM, send_as(socks[1], "x", &lie));
		EQUAL(-EAGAIN, nothing_comes(socks[0]));
		_exit(all_was_well());
	}
	status = end_of(child);
	close_both(socks);
	if (status == CANNOT)
		NOT_RUN("cannot become another user");
	EQUAL(0, status);
}

static void a_pidfd_for_which_there_is_no_room_is_none(void)
{
	pid_t child = fork_child();
	int status;

	if (child == 0) {
		struct pyipc_message message = nothing_in_it();
		int32_t socks[2];
		char data[8];

		pair_of(PYIPC_SEQPACKET, socks);
		if (pyipc_now_pass_credentials(socks[0], 1, 1) != 0)
			_exit(CANNOT);
		EQUAL(1, send_text(socks[1], "x"));
		leave_room_for(0);
		EQUAL(1, pyipc_now_receive(socks[0], data, sizeof data, &message));
		are_those_of(getpid(), &message.credentials);
		CHECK(message.pidfd < 0);
		EQUAL(0, message.count);
		EQUAL(0, pyipc_message_close(&message));
		_exit(all_was_well());
	}
	status = end_of(child);
	if (status == CANNOT)
		NOT_RUN("the kernel passes no pidfd");
	EQUAL(0, status);
}

/* Two descriptors and a pidfd, and one place. */
static void a_pidfd_is_closed_with_the_descriptors_that_came_in_part(void)
{
	pid_t child = fork_child();
	int status;

	if (child == 0) {
		struct pyipc_message message = nothing_in_it();
		int32_t socks[2];
		int ends[2];
		char data[8];

		pair_of(PYIPC_SEQPACKET, socks);
		pipe_ends(ends);
		if (pyipc_now_pass_credentials(socks[0], 1, 1) != 0)
			_exit(CANNOT);
		EQUAL(1, send_fds(socks[1], "x", ends, 2));
		leave_room_for(1);
		EQUAL(1, pyipc_now_receive(socks[0], data, sizeof data, &message));
		EQUAL(PYIPC_LOST_TABLE_FULL, message.lost);
		CHECK(message.pidfd < 0);
		CHECK(message.count <= 1);
		EQUAL(0, pyipc_message_close(&message));
		CHECK(dup(STDOUT_FILENO) >= 0);	/* the one place is free again */
		_exit(all_was_well());
	}
	status = end_of(child);
	if (status == CANNOT)
		NOT_RUN("the kernel passes no pidfd");
	EQUAL(0, status);
}

static void a_kernel_without_these_pidfds_is_told_apart(void)
{
	pid_t child = fork_child();
	int status;

	if (child == 0) {
		struct pyipc_message message;
		int32_t socks[2];
		int32_t owner;

		memset(&owner, UNTOUCHED, sizeof owner);
		pair_of(PYIPC_STREAM, socks);
		if (!answer(SYS_setsockopt, ENOPROTOOPT, 2, SO_PASSPIDFD) ||
		    !answer(SYS_getsockopt, ENOPROTOOPT, 2, SO_PEERPIDFD))
			_exit(CANNOT);
		EQUAL(-ENOTSUP, pyipc_now_pass_credentials(socks[0], 1, 1));
		EQUAL(-ENOTSUP, pyipc_now_pass_credentials(socks[0], 0, 1));
		EQUAL(1, send_text(socks[1], "x"));
		receive_nothing_but(socks[0], "x");
		EQUAL(0, pyipc_now_pass_credentials(socks[0], 1, 0));
		EQUAL(1, send_text(socks[1], "x"));
		message = receive(socks[0], "x");
		are_those_of(getpid(), &message.credentials);
		EQUAL(-ENOTSUP, pyipc_now_peer_pidfd(socks[0], &owner));
		CHECK(untouched(&owner, sizeof owner));
		_exit(all_was_well());
	}
	status = end_of(child);
	if (status == CANNOT)
		NOT_RUN("no seccomp filter can be set");
	EQUAL(0, status);
}

/* ---- addresses ---- */

enum { MOST = PYIPC_MOST_ADDRESS };

static void bind_to(int sock, const char *address, size_t size)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };

	memcpy(name.sun_path, address, size);
	size += offsetof(struct sockaddr_un, sun_path);
	EQUAL(0, bind(sock, (struct sockaddr *) &name, (socklen_t) size));
}

static int datagram_socket(void)
{
	return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static struct pyipc_message send_and_receive(int from, int to, const char *address, int size)
{
	struct pyipc_message message = nothing_in_it();
	char data[8] = "";

	memset(message.address, UNTOUCHED, sizeof message.address);
	EQUAL(2, pyipc_now_send(from, "to", 2, NULL, 0, NULL, address, size));
	EQUAL(2, pyipc_now_receive(to, data, sizeof data, &message));
	EQUAL(0, memcmp(data, "to", 3));
	CHECK(message.address_size >= 0 && message.address_size <= MOST);
	return message;
}

static void an_answer_goes_back(const struct pyipc_message *message, int from, int to)
{
	EQUAL(3, pyipc_now_send(from, "fro", 3, NULL, 0, NULL, message->address, message->address_size));
	CHECK(receive(to, "fro").address_size > 0);
}

static void a_path_comes_as_it_was_bound(void)
{
	char directory[] = "/tmp/pyipc-test-XXXXXX";
	char one[64], other[64];
	int sender = datagram_socket();
	int receiver = datagram_socket();
	struct pyipc_message message;

	CHECK(mkdtemp(directory));
	(void) snprintf(one, sizeof one, "%s/one", directory);
	(void) snprintf(other, sizeof other, "%s/other", directory);
	bind_to(receiver, one, strlen(one));
	bind_to(sender, other, strlen(other));
	message = send_and_receive(sender, receiver, one, (int) strlen(one));
	EQUAL(strlen(other), message.address_size);
	EQUAL(0, memcmp(other, message.address, strlen(other)));
	an_answer_goes_back(&message, receiver, sender);
	message = send_and_receive(sender, receiver, one, (int) strlen(one) + 1);	/* with its end, too */
	EQUAL(strlen(other), message.address_size);
	EQUAL(0, close(receiver));
	EQUAL(-ECONNREFUSED, pyipc_now_send(sender, "x", 1, NULL, 0, NULL, one, (int) strlen(one)));
	EQUAL(0, unlink(one));
	EQUAL(-ENOENT, pyipc_now_send(sender, "x", 1, NULL, 0, NULL, one, (int) strlen(one)));
	EQUAL(0, close(sender));
	EQUAL(0, unlink(other));
	EQUAL(0, rmdir(directory));
}

/* A path that fills sun_path has no end there, and the kernel says that it is a byte longer. */
static void the_longest_path_does_not_write_past_its_end(void)
{
	char directory[] = "/tmp/pyipc-test-XXXXXX";
	char path[MOST + 1];
	struct pyipc_message message;
	int32_t socks[2], sent[2];
	int ends[2];
	char data[8];

	CHECK(mkdtemp(directory));
	memset(path, 'a', sizeof path);
	memcpy(path, directory, strlen(directory));
	path[strlen(directory)] = '/';
	path[MOST] = '\0';
	pair_of(PYIPC_DATAGRAM, socks);
	pipe_ends(ends);
	bind_to(socks[0], path, MOST);
	sent[0] = sent[1] = ends[1];
	message = nothing_in_it();
	EQUAL(1, send_fds(socks[0], "x", sent, 2));
	EQUAL(1, pyipc_now_receive(socks[1], data, sizeof data, &message));
	EQUAL(MOST, message.address_size);
	EQUAL(0, memcmp(path, message.address, MOST));
	EQUAL(2, message.count);
	CHECK(same_file(message.fds[0], ends[0]) && same_file(message.fds[1], ends[0]));
	EQUAL(0, pyipc_message_close(&message));
	EQUAL(0, close(ends[1]));
	CHECK(nobody_writes(ends[0]));
	EQUAL(0, close(ends[0]));
	close_both(socks);
	EQUAL(0, unlink(path));
	EQUAL(0, rmdir(directory));
}

static int abstract_name(char *name, size_t room, const char *what)
{
	name[0] = '\0';
	return 1 + snprintf(name + 1, room - 1, "pyipc-test-%s-%d", what, (int) getpid());
}

static void an_abstract_address_has_no_end_but_its_size(void)
{
	int sender = datagram_socket();
	int receiver = datagram_socket();
	struct pyipc_message message;
	char one[MOST], other[MOST];
	int one_size = abstract_name(one, sizeof one, "one");

	memset(other, 'a', sizeof other);
	other[0] = other[20] = '\0';
	(void) snprintf(other + 1, 19, "pyipc-%d", (int) getpid());
	bind_to(receiver, one, (size_t) one_size);
	bind_to(sender, other, sizeof other);
	message = send_and_receive(sender, receiver, one, one_size);
	EQUAL(MOST, message.address_size);
	EQUAL(0, memcmp(other, message.address, MOST));
	an_answer_goes_back(&message, receiver, sender);
	EQUAL(-ECONNREFUSED, pyipc_now_send(sender, "x", 1, NULL, 0, NULL, one, one_size - 1));
	EQUAL(-EINVAL, pyipc_now_send(sender, "x", 1, NULL, 0, NULL, one, MOST + 1));
	EQUAL(-EINVAL, pyipc_now_send(sender, "x", 1, NULL, 0, NULL, one, -1));
	EQUAL(-EINVAL, pyipc_now_send(sender, "x", 1, NULL, 0, NULL, one, INT32_MAX));
	EQUAL(-EAGAIN, nothing_comes(receiver));
	EQUAL(0, close(sender));
	EQUAL(0, close(receiver));
}

static void a_name_that_the_kernel_chose_comes(void)
{
	int sender = datagram_socket();
	int receiver = datagram_socket();
	struct pyipc_message message;
	struct sockaddr_un name;
	socklen_t size = sizeof name;
	char one[MOST];
	int one_size = abstract_name(one, sizeof one, "one");

	bind_to(receiver, one, (size_t) one_size);
	bind_to(sender, "", 0);
	EQUAL(0, getsockname(sender, (struct sockaddr *) &name, &size));
	message = send_and_receive(sender, receiver, one, one_size);
	CHECK(message.address_size > 1);
	EQUAL(size - offsetof(struct sockaddr_un, sun_path), message.address_size);
	EQUAL(0, memcmp(name.sun_path, message.address, (size_t) message.address_size));
	an_answer_goes_back(&message, receiver, sender);
	EQUAL(0, close(sender));
	EQUAL(0, close(receiver));
}

static void who_has_no_address_sends_none(void)
{
	int sender = datagram_socket();
	int receiver = datagram_socket();
	struct pyipc_message message;
	char one[MOST];
	int one_size = abstract_name(one, sizeof one, "one");

	bind_to(receiver, one, (size_t) one_size);
	message = send_and_receive(sender, receiver, one, one_size);
	EQUAL(0, message.address_size);
	CHECK(untouched(message.address, sizeof message.address));
	EQUAL(0, close(sender));
	EQUAL(0, close(receiver));
}

/* ---- who is connected ---- */

static void the_peer_of_a_pair_is_who_made_it(void)
{
	FOR_EACH(kind) {
		struct pyipc_credentials peer;
		int32_t socks[2];
		pid_t child;

		pair_of(kind, socks);
		memset(&peer, UNTOUCHED, sizeof peer);
		EQUAL(0, pyipc_now_peer(socks[0], &peer));
		are_those_of(getpid(), &peer);
		child = fork_child();
		if (child == 0) {
			EQUAL(0, pyipc_now_peer(socks[1], &peer));
			are_those_of(getppid(), &peer);
			_exit(all_was_well());
		}
		EQUAL(0, end_of(child));
		close_both(socks);
	}
}

static void the_peer_of_a_connection_is_who_connected(void)
{
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct pyipc_credentials peer;
	struct pyipc_exit end;
	struct sockaddr_un name;
	socklen_t size = sizeof name;
	int32_t owner = -1;
	pid_t child;
	int sock, result;

	bind_to(listener, "", 0);
	EQUAL(0, listen(listener, 1));
	EQUAL(0, getsockname(listener, (struct sockaddr *) &name, &size));
	child = fork_child();
	if (child == 0) {
		if (connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *) &name, size) != 0)
			_exit(1);
		for (;;)
			(void) pause();
	}
	sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	EQUAL(0, pyipc_now_peer(sock, &peer));
	are_those_of(child, &peer);
	result = pyipc_now_peer_pidfd(sock, &owner);
	if (result == 0) {
		CHECK(is_close_on_exec(owner));
		EQUAL(0, pyipc_now_pidfd_send(&owner, SIGKILL));
		EQUAL(0, wait_on(owner, PYIPC_READABLE));
		EQUAL(0, pyipc_now_pidfd_status(&owner, 0, &end));
		EQUAL(child, end.pid);
		EQUAL(0, pyipc_fd_close(&owner));
	}
	EQUAL(1000 + SIGKILL, kill_and_reap(child));
	EQUAL(0, close(sock));
	EQUAL(0, close(listener));
	if (result == -ENOTSUP)
		NOT_RUN("the kernel has no pidfd of a peer");
	EQUAL(0, result);
}

static void the_pidfd_of_a_pairs_peer_is_who_made_it(void)
{
	int result = 0;

	FOR_EACH(kind) {
		int32_t socks[2];
		int32_t owner = -1;

		pair_of(kind, socks);
		result = pyipc_now_peer_pidfd(socks[0], &owner);
		if (result == 0) {
			struct pyipc_exit end;

			CHECK(is_close_on_exec(owner));
			EQUAL(0, pyipc_now_pidfd_send(&owner, 0));
			EQUAL(-ECHILD, pyipc_now_pidfd_status(&owner, 0, &end));	/* it is us */
			EQUAL(0, pyipc_fd_close(&owner));
		}
		close_both(socks);
	}
	if (result == -ENOTSUP)
		NOT_RUN("the kernel has no pidfd of a peer");
	EQUAL(0, result);
}

static void nobody_is_at_the_other_end(void)
{
	struct pyipc_credentials peer;
	int inet = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int32_t owner;
	int ends[2];

	memset(&peer, UNTOUCHED, sizeof peer);
	memset(&owner, UNTOUCHED, sizeof owner);
	FOR_EACH(kind) {
		int sock = socket(AF_UNIX, kind | SOCK_CLOEXEC, 0);

		EQUAL(-ENOTCONN, pyipc_now_peer(sock, &peer));
		CHECK(pyipc_now_peer_pidfd(sock, &owner) < 0);
		EQUAL(0, close(sock));
	}
	if (inet >= 0) {
		CHECK(pyipc_now_peer(inet, &peer) < 0);
		CHECK(pyipc_now_peer_pidfd(inet, &owner) < 0);
		EQUAL(0, close(inet));
	}
	pipe_ends(ends);
	EQUAL(-ENOTSOCK, pyipc_now_peer(ends[0], &peer));
	EQUAL(-ENOTSOCK, pyipc_now_peer_pidfd(ends[0], &owner));
	EQUAL(-ENOTSOCK, pyipc_now_pass_credentials(ends[0], 1, 0));
	EQUAL(-EBADF, pyipc_now_peer(-1, &peer));
	EQUAL(-EBADF, pyipc_now_peer_pidfd(-1, &owner));
	EQUAL(-EBADF, pyipc_now_pass_credentials(-1, 1, 1));
	CHECK(untouched(&peer, sizeof peer));
	CHECK(untouched(&owner, sizeof owner));
	close_both(ends);
}

int main(void)
{
	begin();
	RUN(credentials_are_those_of_the_process_that_sends);
	RUN(a_pidfd_comes_that_is_the_process_that_sends);
	RUN(a_pidfd_without_credentials_comes_alone);
	RUN(what_is_turned_off_comes_no_more);
	RUN(an_empty_packet_with_credentials_is_not_the_end);
	RUN(credentials_may_be_given_and_come_with_descriptors);
	RUN(root_may_give_those_of_another_user);
	RUN(who_is_not_root_may_not_lie);
	RUN(a_pidfd_for_which_there_is_no_room_is_none);
	RUN(a_pidfd_is_closed_with_the_descriptors_that_came_in_part);
	RUN(a_kernel_without_these_pidfds_is_told_apart);
	RUN(a_path_comes_as_it_was_bound);
	RUN(the_longest_path_does_not_write_past_its_end);
	RUN(an_abstract_address_has_no_end_but_its_size);
	RUN(a_name_that_the_kernel_chose_comes);
	RUN(who_has_no_address_sends_none);
	RUN(the_peer_of_a_pair_is_who_made_it);
	RUN(the_peer_of_a_connection_is_who_connected);
	RUN(the_pidfd_of_a_pairs_peer_is_who_made_it);
	RUN(nobody_is_at_the_other_end);
	return report();
}
