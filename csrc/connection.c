/* SPDX-License-Identifier: MIT
 *
 * connection.c -- the end of a connection, so that what was written arrives.
 *
 * close(2) of a TCP socket answers with a reset while there is something that nobody has read, and a reset
 * destroys at the peer what that one has not read yet: our last words.  So they are followed by our end, and
 * what came is read before the descriptor is closed.
 */
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "internal.h"

enum {
	PIECE = 16384,
	MOST_PIECES = 256,		/* of who never ceases to write, 4 MiB are read, and then it is reset */
};

static void discard(int number)
{
	char piece[PIECE];
	int unread;

	for (int pieces = 0; pieces < MOST_PIECES; pieces++)
		if (ioctl(number, FIONREAD, &unread) == -1 || unread == 0
		    || recv(number, piece, sizeof piece, MSG_DONTWAIT) <= 0)
			return;
}

int pyipc_connection_finish(int number)
{
	int in_line = 1, unread;

	/* Else urgent data is neither counted nor read with the rest. */
	if (shutdown(number, SHUT_WR) == -1
	    || setsockopt(number, SOL_SOCKET, SO_OOBINLINE, &in_line, sizeof in_line) == -1
	    || ioctl(number, FIONREAD, &unread) == -1)
		return -errno;
	if (unread)
		discard(number);
	return 0;
}
