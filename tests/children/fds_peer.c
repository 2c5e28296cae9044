/* SPDX-License-Identifier: MIT
 *
 * fds_peer.c -- a program in C that passes descriptors with the tests, over a socket that it
 * inherits, by nothing but sendmsg(2) and recvmsg(2).  It does one step for each line of its
 * standard input; answers go to standard output, one a line.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 253, MOST_BYTES = 100 };

union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(sizeof(int) * MOST)];
};

static int failed(const char *what)
{
	perror(what);
	return 1;
}

static int next_line(void)
{
	char line[100];

	return fgets(line, sizeof line, stdin) != NULL;
}

static int said(void)
{
	return fflush(stdout) != 0;
}

/* SOCKET COUNT: send the writing ends of so many pipes, and close them here.  At each line, tell
 * how many pipes have given the byte that is theirs, and how many are at their end. */
static int send_pipes(int sock, int count)
{
	char data[MOST_BYTES];
	int reading[MOST], writing[MOST], right = 0, ended = 0;
	union control control = { .align = {
		.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int) * (size_t) count),
	} };
	struct iovec part = { .iov_base = data, .iov_len = (size_t) sprintf(data, "%d pipes from C", count) };
	struct msghdr head = {
		.msg_iov = &part, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = CMSG_SPACE(sizeof(int) * (size_t) count),
	};

	for (int i = 0; i < count; i++) {
		int ends[2];

		if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0)
			return failed("pipe2");
		reading[i] = ends[0];
		writing[i] = ends[1];
	}
	memcpy(CMSG_DATA(&control.align), writing, sizeof(int) * (size_t) count);
	if (sendmsg(sock, &head, 0) != (ssize_t) part.iov_len)
		return failed("sendmsg");
	for (int i = 0; i < count; i++)
		close(writing[i]);
	puts("sent");
	while (!said() && next_line()) {
		for (int i = 0; i < count; i++) {
			unsigned char byte;
			ssize_t got;

			while ((got = read(reading[i], &byte, 1)) == 1)
				right += byte == i;
			if (got == 0) {
				ended++;
				close(reading[i]);
				reading[i] = -1;
			}
		}
		printf("%d %d\n", right, ended);
	}
	return 0;
}

/* SOCKET: receive a message, and tell how many descriptors came, and its bytes.  At the first line,
 * write into each its place in the message; at the second, close them. */
static int receive_pipes(int sock)
{
	char data[MOST_BYTES + 1] = "";
	int fds[MOST], count = 0;
	union control control;
	struct iovec part = { .iov_base = data, .iov_len = MOST_BYTES };
	struct msghdr head = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control,
	};

	if (recvmsg(sock, &head, MSG_CMSG_CLOEXEC) < 0)
		return failed("recvmsg");
	if (head.msg_flags & (MSG_CTRUNC | MSG_TRUNC))
		return 3;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&head); c; c = CMSG_NXTHDR(&head, c)) {
		size_t bytes = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			return 4;
		memcpy(fds + count, CMSG_DATA(c), bytes);
		count += (int) (bytes / sizeof(int));
	}
	printf("%d %s\n", count, data);
	if (said() || !next_line())
		return 5;
	for (int i = 0; i < count; i++) {
		unsigned char byte = (unsigned char) i;

		if (write(fds[i], &byte, 1) != 1)
			return failed("write");
	}
	puts("written");
	if (said() || !next_line())
		return 5;
	for (int i = 0; i < count; i++)
		close(fds[i]);
	puts("closed");
	return said();
}

int main(int count, char **word)
{
	if (count == 4 && strcmp(word[1], "send") == 0 && atoi(word[3]) > 0 && atoi(word[3]) <= MOST)
		return send_pipes(atoi(word[2]), atoi(word[3]));
	if (count == 3 && strcmp(word[1], "receive") == 0)
		return receive_pipes(atoi(word[2]));
	return 2;
}
