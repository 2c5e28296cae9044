/* SPDX-License-Identifier: MIT
 *
 * passing.c -- descriptors, credentials and pidfds over Unix sockets (unix(7), cmsg(3)).
 *
 * What recvmsg(2) brings is written into the caller's struct pyipc_message before anything can
 * fail, and the caller has made sure beforehand that somebody will close it.
 *
 * MSG_CTRUNC says that something did not arrive, not what.  The room here is for all that a
 * message can hold, so a lost descriptor has two causes: our table is full, or a security module
 * said no.  The first is found out while the table still is: before those that came are closed.
 */
#define _GNU_SOURCE		/* struct ucred, POLLRDHUP, MSG_CMSG_CLOEXEC */
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "internal.h"

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76		/* Linux 6.5 */
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77		/* Linux 6.5 */
#endif
enum { PIDFD = 4 };		/* SCM_PIDFD, Linux 6.5 */
enum { UNREAD = 0x541B };	/* SIOCINQ, FIONREAD: the same on all the machines we run on */

/* Security labels and time stamps, if somebody has asked the socket for them. */
enum { ROOM_FOR_OTHERS = 1024 };

_Static_assert(sizeof(struct ucred) == sizeof(struct pyipc_credentials), "they are copied whole");
_Static_assert(sizeof((struct sockaddr_un){ 0 }.sun_path) == PYIPC_MOST_ADDRESS, "of any address");
_Static_assert((int) PYIPC_STREAM == SOCK_STREAM && (int) PYIPC_DATAGRAM == SOCK_DGRAM
	       && (int) PYIPC_SEQPACKET == SOCK_SEQPACKET, "x86_64 and aarch64 agree");

/* The kernel writes the numbers before it knows whether there will be sockets. */
int pyipc_now_socketpair(int kind, int32_t *ret_fds)
{
	int pair[2];
	int64_t result = neg_errno(socketpair(AF_UNIX, kind | SOCK_CLOEXEC, 0, pair));

	if (result < 0)
		return (int) result;
	ret_fds[0] = pair[0];
	ret_fds[1] = pair[1];
	return 0;
}

static int64_t option(int sock, int name)
{
	int value = 0;
	socklen_t size = sizeof value;

	return getsockopt(sock, SOL_SOCKET, name, &value, &size) == -1 ? -errno : value;
}

int pyipc_now_socket_kind(int sock)
{
	return (int) option(sock, SO_TYPE);
}

int pyipc_now_socket_is_unix(int sock)
{
	int64_t domain = option(sock, SO_DOMAIN);

	return domain < 0 ? (int) domain : domain == AF_UNIX;
}

/* ---- sending ---- */

static void *append(struct msghdr *head, int type, size_t size)
{
	struct cmsghdr *part = (struct cmsghdr *) ((char *) head->msg_control + head->msg_controllen);

	*part = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = type, .cmsg_len = CMSG_LEN(size) };
	head->msg_controllen += CMSG_SPACE(size);
	return CMSG_DATA(part);
}

/* One sendmsg(2), which never waits for room; but where a message carries sockets, and some thousand
 * descriptors of this user are on their way, the kernel may let it wait for its garbage collector
 * (net/unix/garbage.c), which is bounded.  The caller has seen to it that it is a Unix socket (others
 * drop descriptors in silence), and that a stream gets at least one byte (without, they vanish). */
int64_t pyipc_now_send(int sock, const char *data, uint64_t size, const int32_t *fds, int count,
		       const struct pyipc_credentials *credentials, const char *address, int address_size)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int32_t) * PYIPC_MOST_FDS) + CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct iovec part = { .iov_base = (char *) data, .iov_len = size };
	struct msghdr head = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control };

	if (count < 0 || count > PYIPC_MOST_FDS || address_size < 0 || address_size > PYIPC_MOST_ADDRESS)
		return -EINVAL;
	if (address_size > 0) {
		memcpy(to.sun_path, address, (size_t) address_size);
		head.msg_name = &to;
		head.msg_namelen = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + (size_t) address_size);
	}
	if (count > 0) {
		size_t bytes = sizeof *fds * (size_t) count;

		memcpy(append(&head, SCM_RIGHTS, bytes), fds, bytes);
	}
	if (credentials)
		memcpy(append(&head, SCM_CREDENTIALS, sizeof(struct ucred)), credentials, sizeof(struct ucred));
	if (head.msg_controllen == 0)
		head.msg_control = NULL;
	/* Not sendmsg(3): musl's copies what is sent along into 1024 bytes, too few for 253 descriptors, to put
	 * zeros where its structures have room beside the kernel's.  Here there are zeros. */
	return neg_errno(syscall(SYS_sendmsg, sock, &head, MSG_DONTWAIT | MSG_NOSIGNAL));
}

/* ---- receiving ---- */

static void take_fds(struct pyipc_message *message, const struct cmsghdr *part)
{
	size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int32_t);
	size_t room = (size_t) (PYIPC_MOST_FDS - message->count);

	if (count > room)	/* the control buffer has no room for more, nor does the kernel send more */
		count = room;
	memcpy(message->fds + message->count, CMSG_DATA(part), count * sizeof(int32_t));
	message->count += (int32_t) count;
}

static void take_parts(struct pyipc_message *message, struct msghdr *head)
{
	for (struct cmsghdr *part = CMSG_FIRSTHDR(head); part; part = CMSG_NXTHDR(head, part)) {
		if (part->cmsg_level != SOL_SOCKET)
			continue;
		if (part->cmsg_type == SCM_RIGHTS) {
			take_fds(message, part);
		} else if (part->cmsg_type == SCM_CREDENTIALS && part->cmsg_len >= CMSG_LEN(sizeof(struct ucred))) {
			memcpy(&message->credentials, CMSG_DATA(part), sizeof(struct ucred));
			message->has_credentials = 1;
		} else if (part->cmsg_type == PIDFD && part->cmsg_len >= CMSG_LEN(sizeof(int32_t))) {
			memcpy(&message->pidfd, CMSG_DATA(part), sizeof(int32_t));	/* or why there is none */
		}
	}
}

/* No bytes came: the end, or an empty message?  A stream has no empty ones and datagrams have no
 * end.  A packet may come with descriptors or credentials, which the end does not; else the end is
 * when the other side has shut down and nothing more is there.  (An empty last packet with nothing
 * at all is taken for it; pyipc does not send such.) */
static int is_end(int sock, const struct pyipc_message *message)
{
	int kind = pyipc_now_socket_kind(sock);
	struct pollfd state = { .fd = sock, .events = POLLRDHUP };
	int unread = 0;

	if (kind != SOCK_SEQPACKET)
		return kind == SOCK_STREAM;
	if (message->count > 0 || message->has_credentials || message->pidfd >= 0)
		return 0;
	(void) poll(&state, 1, 0);
	(void) ioctl(sock, UNREAD, &unread);
	return (state.revents & (POLLRDHUP | POLLHUP)) && unread == 0;
}

static int why_lost(int sock)
{
	int spare = fcntl(sock, F_DUPFD_CLOEXEC, 0);

	if (spare == -1)
		return errno == EMFILE ? PYIPC_LOST_TABLE_FULL : PYIPC_LOST;
	(void) close(spare);
	return PYIPC_LOST;
}

/* Who leaves with messages unread makes the other side's next call fail, once; but over a Unix socket
 * what it had sent is still there, and then the end.  (No MSG_TRUNC here, to learn how long a message was that was
 * cut: on a TCP socket it means to throw the bytes away.) */
static int64_t receive(int sock, struct msghdr *head)
{
	int flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
	int64_t got = neg_errno(recvmsg(sock, head, flags));

	if (got == -ECONNRESET && pyipc_now_socket_is_unix(sock) == 1)
		got = neg_errno(recvmsg(sock, head, flags));
	return got;
}

static int32_t address_size(const struct sockaddr_un *from, socklen_t size)
{
	size_t length = size > offsetof(struct sockaddr_un, sun_path) && from->sun_family == AF_UNIX
			? size - offsetof(struct sockaddr_un, sun_path) : 0;

	if (length > sizeof from->sun_path)	/* a path of 108 bytes has its NUL behind them: unix(7), BUGS */
		length = sizeof from->sun_path;
	/* A path ends where its NUL is, which may be counted; an abstract name begins with one. */
	return (int32_t) (length > 0 && from->sun_path[0] ? strnlen(from->sun_path, length) : length);
}

/* One recvmsg(2), which never waits.  Gives how many bytes came, size + 1 if there were more, which
 * are gone; -EPIPE at the end of a connection.  ret_message holds none yet, and belongs to somebody,
 * who closes also what came along with lost ones: close(2) may wait (SO_LINGER), so not here. */
int64_t pyipc_now_receive(int sock, char *ret_data, uint64_t size, struct pyipc_message *ret_message)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int32_t) * PYIPC_MOST_FDS) + CMSG_SPACE(sizeof(struct ucred))
			  + CMSG_SPACE(sizeof(int32_t)) + ROOM_FOR_OTHERS];
	} control;
	struct {
		struct sockaddr_un un;
		char end;		/* the kernel counts the NUL of the longest path, which is outside of it */
	} from = { .un.sun_family = AF_UNSPEC };
	struct iovec part = { .iov_base = ret_data, .iov_len = size };
	struct msghdr head = {
		.msg_name = &from, .msg_namelen = sizeof from,
		.msg_iov = &part, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof control,
	};
	int64_t got = receive(sock, &head);

	if (got < 0)
		return got;
	take_parts(ret_message, &head);
	if (head.msg_flags & MSG_CTRUNC)
		ret_message->lost = why_lost(sock);
	else if (ret_message->pidfd == -EMFILE)	/* of which no flag tells */
		ret_message->lost = PYIPC_LOST_TABLE_FULL;
	ret_message->address_size = address_size(&from.un, head.msg_namelen);
	memcpy(ret_message->address, from.un.sun_path, (size_t) ret_message->address_size);
	if (got == 0 && size > 0 && !ret_message->lost && is_end(sock, ret_message))
		return -EPIPE;
	return head.msg_flags & MSG_TRUNC ? (int64_t) size + 1 : got;
}

/* Of the next message, without taking it.  A stream has none. */
int64_t pyipc_now_message_size(int sock)
{
	int64_t size = neg_errno(recv(sock, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT));

	if (size == -ECONNRESET && pyipc_now_socket_is_unix(sock) == 1)	/* as for receive() */
		size = neg_errno(recv(sock, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT));
	return size;
}

static void close_own(int32_t *fd)
{
	if (*fd >= 0)
		(void) close(*fd);
	*fd = -1;
}

/* All that it still owns.  A message is one thread's, so nothing needs to be exchanged. */
int pyipc_message_close(struct pyipc_message *message)
{
	for (int i = 0; i < message->count && i < PYIPC_MOST_FDS; i++)
		close_own(&message->fds[i]);
	close_own(&message->pidfd);
	no_message(message);
	return 0;
}

/* ---- who is there ---- */

int pyipc_now_pass_credentials(int sock, int credentials, int pidfd)
{
	int64_t result = neg_errno(setsockopt(sock, SOL_SOCKET, SO_PASSPIDFD, &pidfd, sizeof pidfd));

	if (result == -ENOPROTOOPT)	/* an older kernel, which is right about a socket that passes none */
		result = pidfd ? -ENOTSUP : 0;
	if (result == 0)
		result = neg_errno(setsockopt(sock, SOL_SOCKET, SO_PASSCRED, &credentials, sizeof credentials));
	return (int) result;
}

int pyipc_now_peer(int sock, struct pyipc_credentials *ret_peer)
{
	struct ucred peer;
	socklen_t size = sizeof peer;

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &size) == -1)
		return -errno;
	if (peer.uid == UINT32_MAX)	/* nobody is connected, or it is no Unix socket */
		return -ENOTCONN;
	*ret_peer = (struct pyipc_credentials){ .pid = peer.pid, .uid = peer.uid, .gid = peer.gid };
	return 0;
}

int pyipc_now_peer_pidfd(int sock, int32_t *ret_fd)
{
	int64_t number = option(sock, SO_PEERPIDFD);

	return number == -ENOPROTOOPT ? -ENOTSUP : number == -ENODATA ? -ENOTCONN : own(number, ret_fd);
}
