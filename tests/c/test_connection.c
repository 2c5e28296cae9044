/* SPDX-License-Identifier: MIT
 *
 * test_connection.c -- connection.c: what was written arrives, whatever was not read.
 */
#include "facts.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>

static int ours, theirs;

/* A connection over TCP, in which alone a reset can destroy anything. */
static void connect_them(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	EQUAL(0, bind(listener, (struct sockaddr *) &address, size));
	EQUAL(0, listen(listener, 1));
	EQUAL(0, getsockname(listener, (struct sockaddr *) &address, &size));
	theirs = socket(AF_INET, SOCK_STREAM, 0);
	EQUAL(0, connect(theirs, (struct sockaddr *) &address, size));
	ours = accept(listener, NULL, NULL);
	CHECK(ours >= 0);
	EQUAL(0, close(listener));
}

static void close_them(void)
{
	EQUAL(0, close(ours));
	EQUAL(0, close(theirs));
}

/* What they read to our end, -1 of a reset. */
static int64_t they_read(void)
{
	char room[4096];
	int64_t got, all = 0;

	while ((got = recv(theirs, room, sizeof room, 0)) > 0)
		all += got;
	return got < 0 ? -1 : all;
}

/* How it is without; it shows that the rest of these tests can fail. */
static void a_close_with_something_unread_destroys_our_last_words(void)
{
	connect_them();
	EQUAL(6, send(theirs, "unread", 6, 0));
	EQUAL(5, send(ours, "words", 5, 0));
	EQUAL(0, close(ours));
	EQUAL(-1, they_read());
	EQUAL(0, close(theirs));
}

static void our_last_words_arrive(void)
{
	EQUAL(5, send(ours, "words", 5, 0));
	EQUAL(0, pyipc_connection_finish(ours));
	EQUAL(0, close(ours));
	EQUAL(5, they_read());
	EQUAL(0, close(theirs));
}

static void what_was_written_arrives_though_something_is_unread(void)
{
	static char much[100000];

	connect_them();
	for (int64_t sent = 0; sent < (int64_t) sizeof much;)
		sent += send(theirs, much, sizeof much - (size_t) sent, 0);
	our_last_words_arrive();
}

static void also_if_that_is_urgent(void)
{
	connect_them();
	EQUAL(1, send(theirs, "!", 1, MSG_OOB));
	our_last_words_arrive();
}

static void nothing_unread_is_an_end_at_once(void)
{
	connect_them();
	EQUAL(0, pyipc_connection_finish(ours));
	EQUAL(0, they_read());
	close_them();
}

/* Who writes on and on is read four MiB of, and is not waited for. */
static void no_more_is_read_than_that(void)
{
	int pair[2], size = 16 << 20;
	static char much[6 << 20];

	EQUAL(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
	(void) setsockopt(pair[1], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
	if (send(pair[1], much, sizeof much, 0) < (5 << 20)) {
		EQUAL(0, close(pair[0]));
		EQUAL(0, close(pair[1]));
		NOT_RUN("only root may have so large a buffer");
	}
	EQUAL(0, pyipc_connection_finish(pair[0]));
	CHECK(recv(pair[0], much, 1, 0) == 1);
	EQUAL(0, close(pair[0]));
	EQUAL(0, close(pair[1]));
}

static void what_is_no_connection_is_named(void)
{
	int null = open("/dev/null", O_RDONLY);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	EQUAL(-EBADF, pyipc_connection_finish(-1));
	EQUAL(-ENOTSOCK, pyipc_connection_finish(null));
	EQUAL(-ENOTCONN, pyipc_connection_finish(listener));
	EQUAL(0, close(null));
	EQUAL(0, close(listener));
}

int main(void)
{
	begin();
	RUN(a_close_with_something_unread_destroys_our_last_words);
	RUN(what_was_written_arrives_though_something_is_unread);
	RUN(also_if_that_is_urgent);
	RUN(nothing_unread_is_an_end_at_once);
	RUN(no_more_is_read_than_that);
	RUN(what_is_no_connection_is_named);
	return report();
}
