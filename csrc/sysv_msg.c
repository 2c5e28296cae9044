/* SPDX-License-Identifier: MIT
 *
 * sysv_msg.c -- System V message queues: create, find, send, receive, stat, set, remove.
 *
 * msgsnd(2) and msgrcv(2) know no timeout.  The ways to give them one, and why not:
 * - a timer whose signal ends the call: signals belong to the program, and an early one is lost;
 * - a helper thread that receives for us: killed or late, it has taken a message that nobody gets;
 * - a semaphore beside the queue: strangers would not post it.
 * What is left is to try and to sleep.  A nap is as long as the wait has lasted, from 20 us
 * to 10 ms, so no wait takes more than twice its time, and an idle one costs 1 % of a core.
 * No message is lost or reordered: each try is one whole msgrcv(2).
 *
 * A wait without an end needs none of this: it is one blocking call.
 *
 * "Nothing there" is ENOMSG for the kernel; here it is EAGAIN, as for everything that would wait.
 */
#define _GNU_SOURCE		/* MSG_EXCEPT, MSG_COPY */
#include <stddef.h>
#include <string.h>
#include <sys/msg.h>

#include "internal.h"

#ifndef MSG_COPY
#define MSG_COPY 040000
#endif

_Static_assert(sizeof(long) == sizeof(int64_t), "the type that precedes each message");
_Static_assert(offsetof(struct pyipc_msg, data) == sizeof(long), "struct msgbuf of msgop(2)");

enum { FIRST_NAP_NS = 20000, LONGEST_NAP_NS = 10000000 };

/* The longest wait in one call.  A signal that lands while no nap is under way ends none, and its
 * Python handler waits for us to return; so go up and look, as if a signal had come. */
enum { NET_NS = PYIPC_SECOND / 4 };

static int64_t settle(int id, int64_t result)
{
	struct msqid_ds stat;

	if (result == -ENOMSG)
		return -EAGAIN;
	return result == -EINVAL ? gone_or_invalid(msgctl(id, IPC_STAT, &stat)) : result;
}

/* Sleep between two tries, for as long as this call has lasted: -EAGAIN means try again. */
static int nap(int64_t began_ns, int64_t deadline_ns)
{
	int64_t now = monotonic_ns();
	int64_t length = now - began_ns;
	struct timespec ts;

	if (now >= deadline_ns)
		return -ETIMEDOUT;
	if (length >= NET_NS)
		return -EINTR;
	if (length < FIRST_NAP_NS)
		length = FIRST_NAP_NS;
	if (length > LONGEST_NAP_NS)
		length = LONGEST_NAP_NS;
	if (length > deadline_ns - now)
		length = deadline_ns - now;
	ts = ns_to_timespec(length);
	return clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL) == EINTR ? -EINTR : -EAGAIN;
}

int pyipc_msg_create(int32_t key, int mode)
{
	return (int) neg_errno(msgget(key, IPC_CREAT | IPC_EXCL | (mode & 0777)));
}

int pyipc_now_msg_find(int32_t key)
{
	return (int) neg_errno(msgget(key, 0));
}

int pyipc_msg_get(int32_t key, int flags)
{
	return (int) neg_errno(msgget(key, flags));
}

/* For hot loops: the kernel wants type and bytes in one piece, so small messages are put
 * together here, on the stack. */
int pyipc_now_msg_send(int id, int64_t type, const char *data, uint64_t size)
{
	struct { long type; char data[PYIPC_MSG_SMALL]; } msg;

	if (size > sizeof msg.data)
		return -EMSGSIZE;
	msg.type = type;
	memcpy(msg.data, data, size);
	return (int) settle(id, neg_errno(msgsnd(id, &msg, size, IPC_NOWAIT)));
}

int pyipc_msg_send(int id, const char *msg, uint64_t size, int64_t deadline_ns)
{
	int64_t began_ns = monotonic_ns();
	int64_t result;

	if (deadline_ns == INT64_MAX)
		return (int) settle(id, neg_errno(msgsnd(id, msg, size, 0)));
	do
		result = neg_errno(msgsnd(id, msg, size, IPC_NOWAIT));
	while (result == -EAGAIN && (result = nap(began_ns, deadline_ns)) == -EAGAIN);
	return (int) settle(id, result);
}

static int kernel_flags(int flags)
{
	int kernel = 0;

	if (flags & PYIPC_MSG_TRUNCATE)
		kernel |= MSG_NOERROR;
	if (flags & PYIPC_MSG_EXCEPT)
		kernel |= MSG_EXCEPT;
	if (flags & PYIPC_MSG_COPY)
		kernel |= MSG_COPY;
	return kernel;
}

int64_t pyipc_now_msg_receive(int id, struct pyipc_msg *ret_msg, uint64_t size, int64_t type, int flags)
{
	return settle(id, neg_errno(msgrcv(id, ret_msg, size, type, kernel_flags(flags) | IPC_NOWAIT)));
}

int64_t pyipc_msg_receive(int id, struct pyipc_msg *ret_msg, uint64_t size, int64_t type, int flags,
			  int64_t deadline_ns)
{
	int64_t began_ns = monotonic_ns();
	int64_t result;

	/* The kernel takes MSG_COPY only with IPC_NOWAIT. */
	if (deadline_ns == INT64_MAX && !(flags & PYIPC_MSG_COPY))
		return settle(id, neg_errno(msgrcv(id, ret_msg, size, type, kernel_flags(flags))));
	do
		result = pyipc_now_msg_receive(id, ret_msg, size, type, flags);
	while (result == -EAGAIN && (result = nap(began_ns, deadline_ns)) == -EAGAIN);
	return result;
}

int pyipc_now_msg_stat(int id, struct pyipc_msg_stat *ret_stat)
{
	struct msqid_ds stat;
	int64_t result = neg_errno(msgctl(id, IPC_STAT, &stat));

	if (result < 0)
		return result == -EINVAL ? -EIDRM : (int) result;
	*ret_stat = (struct pyipc_msg_stat){
		.owner = owner_of(&stat.msg_perm),
		.bytes = stat.__msg_cbytes,
		.messages = stat.msg_qnum,
		.max_bytes = stat.msg_qbytes,
		.send_time = stat.msg_stime,
		.receive_time = stat.msg_rtime,
		.change_time = stat.msg_ctime,
		.last_send_pid = stat.msg_lspid,
		.last_receive_pid = stat.msg_lrpid,
	};
	return 0;
}

int pyipc_now_msg_set(int id, int64_t uid, int64_t gid, int64_t mode, int64_t max_bytes)
{
	struct msqid_ds stat;
	int64_t result = neg_errno(msgctl(id, IPC_STAT, &stat));

	if (result == 0)
		result = change_owner(&stat.msg_perm, uid, gid, mode);
	if (result == 0) {
		if (max_bytes >= 0)
			stat.msg_qbytes = (msglen_t) max_bytes;
		result = neg_errno(msgctl(id, IPC_SET, &stat));
	}
	return (int) settle(id, result);
}

int pyipc_msg_remove(int id)
{
	return (int) settle(id, neg_errno(msgctl(id, IPC_RMID, NULL)));
}
