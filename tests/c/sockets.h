/* SPDX-License-Identifier: MIT
 *
 * sockets.h -- what the tests of passing.c share: pairs, and messages through them.
 */
#ifndef SOCKETS_H
#define SOCKETS_H

#include "facts.h"

#include <sys/socket.h>

static const int kinds[] = { PYIPC_STREAM, PYIPC_DATAGRAM, PYIPC_SEQPACKET };

#define FOR_EACH(kind) for (int i_ = 0, kind; i_ < 3 && (kind = kinds[i_], 1); i_++)

/* A message as pyipc_now_receive() wants it: it owns nothing, and what it does not say is garbage. */
static inline struct pyipc_message nothing_in_it(void)
{
	struct pyipc_message message;

	memset(&message, UNTOUCHED, sizeof message);
	message.count = message.lost = message.has_credentials = message.address_size = 0;
	message.pidfd = -1;
	return message;
}

static inline void pair_of(int kind, int32_t *ends)
{
	ends[0] = ends[1] = -1;
	EQUAL(0, pyipc_now_socketpair(kind, ends));
}

static inline int64_t send_fds(int sock, const char *text, const int32_t *fds, int count)
{
	return pyipc_now_send(sock, text, strlen(text), fds, count, NULL, NULL, 0);
}

static inline int64_t send_text(int sock, const char *text)
{
	return send_fds(sock, text, NULL, 0);
}

/* Its text is expected; gives the message. */
static inline struct pyipc_message receive(int sock, const char *text)
{
	struct pyipc_message message = nothing_in_it();
	char data[64] = "";

	EQUAL(strlen(text), pyipc_now_receive(sock, data, sizeof data - 1, &message));
	EQUAL(0, strcmp(text, data));
	EQUAL(PYIPC_NONE_LOST, message.lost);
	return message;
}

static inline void receive_nothing_but(int sock, const char *text)
{
	struct pyipc_message message = receive(sock, text);

	EQUAL(0, message.count);
	EQUAL(0, message.has_credentials);
	EQUAL(-1, message.pidfd);
	CHECK(untouched(message.fds, sizeof message.fds));
}

static inline int64_t nothing_comes(int sock)
{
	struct pyipc_message message = nothing_in_it();
	char data[64];
	int64_t result;

	memset(data, UNTOUCHED, sizeof data);
	result = pyipc_now_receive(sock, data, sizeof data, &message);
	CHECK(untouched(data, sizeof data));
	EQUAL(0, message.count);
	EQUAL(-1, message.pidfd);
	return result;
}

#endif
