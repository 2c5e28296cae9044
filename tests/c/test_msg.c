/* SPDX-License-Identifier: MIT
 *
 * test_msg.c -- sysv_msg.c: message queues.
 */
#include "facts.h"

#include <sys/msg.h>

enum { ROOM = 1 << 16 };
enum { NET_NS = PYIPC_SECOND / 4 };	/* so often a wait with a deadline goes up to Python */

static union {
	struct pyipc_msg msg;
	char bytes[sizeof(struct pyipc_msg) + ROOM];
} in, out;

static int queue(void)
{
	int id = pyipc_msg_create(IPC_PRIVATE, 0600);

	CHECK(id >= 0);
	return id;
}

static int send_text(int id, int64_t type, const char *text)
{
	return pyipc_now_msg_send(id, type, text, strlen(text));
}

static int64_t receive(int id, int64_t type, int flags)
{
	return pyipc_now_msg_receive(id, &in.msg, ROOM, type, flags);
}

static int received(const char *text, int64_t type, int64_t result)
{
	size_t size = strlen(text);

	return result == (int64_t) size && in.msg.type == type && !memcmp(in.msg.data, text, size);
}

static struct pyipc_msg_stat stat_of(int id)
{
	struct pyipc_msg_stat stat = { 0 };

	EQUAL(0, pyipc_now_msg_stat(id, &stat));
	return stat;
}

static void fill(int id)
{
	int result;

	do
		result = pyipc_now_msg_send(id, 1, out.msg.data, 4000);
	while (result == 0);
	EQUAL(-EAGAIN, result);
}

static int waits_in(pid_t child, long system_call)
{
	return is_in(child, child, system_call);
}

static void a_queue_is_found_by_its_key_until_it_is_removed(void)
{
	int id = pyipc_msg_create(KEY, 0600);

	CHECK(id >= 0);
	EQUAL(-EEXIST, pyipc_msg_create(KEY, 0600));
	EQUAL(-EEXIST, pyipc_msg_get(KEY, IPC_CREAT | IPC_EXCL | 0600));
	EQUAL(id, pyipc_now_msg_find(KEY));
	EQUAL(id, pyipc_msg_get(KEY, IPC_CREAT | 0600));
	EQUAL(0, pyipc_msg_remove(id));
	EQUAL(-ENOENT, pyipc_now_msg_find(KEY));
}

static void messages_come_in_order_and_by_type(void)
{
	int id = queue();

	EQUAL(0, send_text(id, 3, "three"));
	EQUAL(0, send_text(id, 1, "one"));
	EQUAL(0, send_text(id, 2, ""));
	EQUAL(0, send_text(id, INT64_MAX, "last"));
	EQUAL(0, send_text(id, 3, "three again"));
	CHECK(received("one", 1, receive(id, -2, 0)));
	CHECK(received("", 2, receive(id, 3, PYIPC_MSG_EXCEPT)));
	CHECK(received("three", 3, receive(id, 0, 0)));
	EQUAL(-EAGAIN, receive(id, 5, 0));
	EQUAL(-EAGAIN, receive(id, -2, 0));
	CHECK(received("three again", 3, receive(id, INT64_MIN + 1, 0)));
	CHECK(received("last", INT64_MAX, receive(id, INT64_MAX, 0)));
	EQUAL(-EAGAIN, receive(id, 0, 0));
	EQUAL(0, pyipc_msg_remove(id));
}

static void a_copy_leaves_the_message_where_it_is(void)
{
	int id = queue();
	int64_t result;

	EQUAL(0, send_text(id, 3, "three"));
	EQUAL(0, send_text(id, 1, "one"));
	result = receive(id, 1, PYIPC_MSG_COPY);
	if (result != -ENOSYS) {
		CHECK(received("one", 1, result));
		EQUAL(-EAGAIN, receive(id, 2, PYIPC_MSG_COPY));
		EQUAL(-EINVAL, receive(id, 0, PYIPC_MSG_COPY | PYIPC_MSG_EXCEPT));
		EQUAL(2, stat_of(id).messages);
	}
	EQUAL(0, pyipc_msg_remove(id));
	if (result == -ENOSYS)
		NOT_RUN("the kernel cannot copy messages");
}

static void a_copy_may_be_waited_for_as_any_message(void)
{
	int id = queue();
	int64_t result;

	EQUAL(0, send_text(id, 3, "three"));
	result = pyipc_msg_receive(id, &in.msg, ROOM, 0, PYIPC_MSG_COPY, now_ns() + PYIPC_SECOND);
	if (result != -ENOSYS) {
		CHECK(received("three", 3, result));
		result = pyipc_msg_receive(id, &in.msg, ROOM, 0, PYIPC_MSG_COPY, INT64_MAX);
		EQUAL(5, result);
	}
	EQUAL(0, pyipc_msg_remove(id));
	if (result == -ENOSYS)
		NOT_RUN("the kernel cannot copy messages");
}

static void a_message_too_long_stays_or_is_cut_as_asked(void)
{
	int id = queue();

	EQUAL(0, send_text(id, 3, "three"));
	memset(&in, UNTOUCHED, sizeof in);
	EQUAL(-E2BIG, pyipc_now_msg_receive(id, &in.msg, 4, 0, 0));
	EQUAL(-E2BIG, pyipc_msg_receive(id, &in.msg, 0, 0, 0, 0));
	EQUAL(-E2BIG, pyipc_msg_receive(id, &in.msg, 4, 0, 0, INT64_MAX));
	CHECK(untouched(&in, sizeof in));
	EQUAL(1, stat_of(id).messages);
	EQUAL(2, pyipc_now_msg_receive(id, &in.msg, 2, 0, PYIPC_MSG_TRUNCATE));
	EQUAL('h', in.msg.data[1]);
	CHECK(untouched(in.msg.data + 2, ROOM - 2));
	EQUAL(0, stat_of(id).messages);
	EQUAL(0, pyipc_msg_remove(id));
}

static void the_short_way_to_send_takes_small_messages_only(void)
{
	int id = queue();

	memset(out.msg.data, 'x', ROOM);
	out.msg.data[PYIPC_MSG_SMALL - 1] = 'y';
	EQUAL(-EMSGSIZE, pyipc_now_msg_send(id, 1, out.msg.data, PYIPC_MSG_SMALL + 1));
	EQUAL(-EMSGSIZE, pyipc_now_msg_send(id, 1, out.msg.data, UINT64_MAX));
	EQUAL(0, pyipc_now_msg_send(id, 1, out.msg.data, PYIPC_MSG_SMALL));
	EQUAL(PYIPC_MSG_SMALL, receive(id, 0, 0));
	EQUAL(0, memcmp(in.msg.data, out.msg.data, PYIPC_MSG_SMALL));
	EQUAL(0, pyipc_msg_remove(id));
}

static void what_cannot_be_sent_or_received_names_the_argument(void)
{
	int id = queue();
	char msgmax[32] = "";
	int64_t type = 1;

	EQUAL(-EINVAL, send_text(id, 0, "x"));
	EQUAL(-EINVAL, send_text(id, -1, "x"));
	EQUAL(-EINVAL, send_text(id, INT64_MIN, "x"));
	memcpy(out.bytes, &type, sizeof type);
	CHECK(read_setting("/proc/sys/kernel/msgmax", msgmax, sizeof msgmax));
	if (atoi(msgmax) < ROOM) {
		EQUAL(-EINVAL, pyipc_msg_send(id, out.bytes, (uint64_t) atoi(msgmax) + 1, INT64_MAX));
		EQUAL(-EINVAL, pyipc_msg_send(id, out.bytes, (uint64_t) atoi(msgmax) + 1, 0));
	}
	EQUAL(-EINVAL, pyipc_now_msg_receive(id, &in.msg, UINT64_MAX, 0, 0));
	EQUAL(0, stat_of(id).messages);
	EQUAL(0, pyipc_msg_remove(id));
}

/* ---- deadlines ---- */

static void a_deadline_that_is_past_is_one_try(void)
{
	int64_t past[] = { 0, 1, -1, INT64_MIN, now_ns() };
	int64_t type = 9;
	int id = queue();

	memcpy(out.bytes, &type, sizeof type);
	for (size_t i = 0; i < sizeof past / sizeof *past; i++) {
		memset(&in, UNTOUCHED, sizeof in);
		EQUAL(-ETIMEDOUT, pyipc_msg_receive(id, &in.msg, ROOM, 0, 0, past[i]));
		CHECK(untouched(&in, sizeof in));
		EQUAL(0, pyipc_msg_send(id, out.bytes, 3, past[i]));
		EQUAL(3, pyipc_msg_receive(id, &in.msg, ROOM, 0, 0, past[i]));
		EQUAL(9, in.msg.type);
	}
	fill(id);
	for (size_t i = 0; i < sizeof past / sizeof *past; i++)
		EQUAL(-ETIMEDOUT, pyipc_msg_send(id, out.bytes, 4000, past[i]));
	EQUAL(0, pyipc_msg_remove(id));
}

static void a_wait_ends_at_its_deadline_and_not_before(void)
{
	int64_t type = 1;
	int id = queue();
	int full = queue();

	memcpy(out.bytes, &type, sizeof type);
	fill(full);
	for (int64_t span = 1000; span <= 100000000; span *= 10) {
		int64_t deadline = now_ns() + span;

		EQUAL(-ETIMEDOUT, pyipc_msg_receive(id, &in.msg, ROOM, 0, 0, deadline));
		CHECK(now_ns() >= deadline);
		deadline = now_ns() + span;
		EQUAL(-ETIMEDOUT, pyipc_msg_send(full, out.bytes, 4000, deadline));
		CHECK(now_ns() >= deadline);
	}
	EQUAL(0, pyipc_msg_remove(id));
	EQUAL(0, pyipc_msg_remove(full));
}

static void a_long_wait_with_a_deadline_goes_up_now_and_then(void)
{
	int64_t type = 1;
	int id = queue();
	int64_t began = now_ns();
	int64_t end = began + NET_NS + PYIPC_SECOND / 20;

	EQUAL(-EINTR, pyipc_msg_receive(id, &in.msg, ROOM, 0, 0, end));
	CHECK(now_ns() >= began + NET_NS);
	EQUAL(-ETIMEDOUT, pyipc_msg_receive(id, &in.msg, ROOM, 0, 0, end));
	CHECK(now_ns() >= end);
	memcpy(out.bytes, &type, sizeof type);
	fill(id);
	began = now_ns();
	EQUAL(-EINTR, pyipc_msg_send(id, out.bytes, 4000, INT64_MAX - 1));
	CHECK(now_ns() >= began + NET_NS);
	EQUAL(0, pyipc_msg_remove(id));
}

/* ---- waits, ended by another process ---- */

static const int64_t FAR = INT64_MAX - 1;	/* by naps; INT64_MAX sleeps in the kernel */

/* Before NET_NS are over, what ends a call with EINTR is a signal; then, it is taken up again. */
static int64_t wait_to_receive(int id, int64_t type, int64_t deadline_ns)
{
	int64_t began, result;

	do {
		began = now_ns();
		result = pyipc_msg_receive(id, &in.msg, ROOM, type, 0, deadline_ns);
	} while (result == -EINTR && deadline_ns != INT64_MAX && now_ns() - began >= NET_NS);
	return result;
}

static int wait_to_send(int id, uint64_t size, int64_t deadline_ns)
{
	int64_t began;
	int result;

	do {
		began = now_ns();
		result = pyipc_msg_send(id, out.bytes, size, deadline_ns);
	} while (result == -EINTR && deadline_ns != INT64_MAX && now_ns() - began >= NET_NS);
	return result;
}

static pid_t child_that_receives(int id, int64_t deadline_ns)
{
	pid_t child = fork_child();
	int64_t result;

	if (child == 0) {
		result = wait_to_receive(id, 7, deadline_ns);
		_exit(result < 0 ? (int) -result : received("seven", 7, result) ? 0 : 255);
	}
	WAIT_FOR(waits_in(child, deadline_ns == INT64_MAX ? SYS_msgrcv : SYS_clock_nanosleep));
	return child;
}

static pid_t child_that_sends(int id, int64_t deadline_ns)
{
	pid_t child = fork_child();
	int64_t type = 7;

	if (child == 0) {
		memcpy(out.bytes, &type, sizeof type);
		_exit(-wait_to_send(id, 4000, deadline_ns));
	}
	WAIT_FOR(waits_in(child, deadline_ns == INT64_MAX ? SYS_msgsnd : SYS_clock_nanosleep));
	return child;
}

static void a_message_ends_a_wait_to_receive(void)
{
	int id = queue();

	for (int i = 0; i < 2; i++) {
		pid_t child = child_that_receives(id, i ? INT64_MAX : FAR);

		EQUAL(0, send_text(id, 6, "six"));
		EQUAL(0, send_text(id, 7, "seven"));
		EQUAL(0, end_of(child));
		EQUAL(1, stat_of(id).messages);
		EQUAL(3, receive(id, 6, 0));
	}
	EQUAL(0, pyipc_msg_remove(id));
}

static void room_ends_a_wait_to_send(void)
{
	int id = queue();

	for (int i = 0; i < 2; i++) {
		pid_t child;

		fill(id);
		child = child_that_sends(id, i ? INT64_MAX : FAR);
		EQUAL(4000, receive(id, 1, 0));
		EQUAL(0, end_of(child));
		EQUAL(4000, receive(id, 7, 0));
	}
	EQUAL(0, pyipc_msg_remove(id));
}

static void removing_the_queue_ends_every_wait(void)
{
	for (int i = 0; i < 2; i++) {
		int id = queue();
		pid_t receiver = child_that_receives(id, i ? INT64_MAX : FAR);
		pid_t sender;

		fill(id);
		sender = child_that_sends(id, i ? INT64_MAX : FAR);
		EQUAL(0, pyipc_msg_remove(id));
		EQUAL(EIDRM, end_of(receiver));
		EQUAL(EIDRM, end_of(sender));
	}
}

static void a_signal_ends_every_wait_and_nothing_is_lost(void)
{
	static const int flags[] = { 0, SA_RESTART };

	for (int i = 0; i < 4; i++) {
		int id = queue();
		uint64_t before;
		pid_t receiver, sender;

		handle(SIGUSR1, flags[i / 2]);
		receiver = child_that_receives(id, i % 2 ? INT64_MAX : FAR);
		fill(id);
		sender = child_that_sends(id, i % 2 ? INT64_MAX : FAR);
		before = stat_of(id).messages;
		EQUAL(EINTR, signal_until_end_of(receiver, SIGUSR1));
		EQUAL(EINTR, signal_until_end_of(sender, SIGUSR1));
		EQUAL(before, stat_of(id).messages);
		EQUAL(0, pyipc_msg_remove(id));
		(void) signal(SIGUSR1, SIG_DFL);
	}
}

static void a_killed_receiver_takes_no_message_with_it(void)
{
	int id = queue();

	for (int i = 0; i < 2; i++) {
		EQUAL(1000 + SIGKILL, kill_and_reap(child_that_receives(id, i ? INT64_MAX : FAR)));
		EQUAL(0, send_text(id, 7, "seven"));
		CHECK(received("seven", 7, receive(id, 0, 0)));
	}
	EQUAL(0, pyipc_msg_remove(id));
}

static int receives_in_order(int id, int count, int64_t deadline_ns)
{
	for (int i = 0; i < count; i++) {
		int number;

		if (wait_to_receive(id, 0, deadline_ns) != sizeof number)
			return 1;
		memcpy(&number, in.msg.data, sizeof number);
		if (number != i)
			return 2;
	}
	return 0;
}

static void waiting_neither_loses_nor_reorders(void)
{
	enum { COUNT = 10000 };
	int64_t type = 1;

	memcpy(out.bytes, &type, sizeof type);
	for (int i = 0; i < 2; i++) {
		int64_t deadline = i ? INT64_MAX : FAR;
		int id = queue();
		pid_t child;

		EQUAL(0, pyipc_now_msg_set(id, -1, -1, -1, 200));	/* so both of them have to wait */
		child = fork_child();
		if (child == 0)
			_exit(receives_in_order(id, COUNT, deadline));
		for (int n = 0; n < COUNT; n++) {
			memcpy(out.msg.data, &n, sizeof n);
			EQUAL(0, wait_to_send(id, sizeof n, deadline));
		}
		EQUAL(0, end_of(child));
		EQUAL(0, stat_of(id).messages);
		EQUAL(0, pyipc_msg_remove(id));
	}
}

/* ---- stat, set ---- */

static void stat_says_what_the_kernel_knows(void)
{
	time_t before = time(NULL);
	int id = pyipc_msg_create(KEY, 0640);
	struct pyipc_msg_stat stat = stat_of(id);

	EQUAL(KEY, stat.owner.key);
	EQUAL(0640, stat.owner.mode);
	EQUAL(geteuid(), stat.owner.uid);
	EQUAL(getegid(), stat.owner.gid);
	EQUAL(geteuid(), stat.owner.creator_uid);
	EQUAL(getegid(), stat.owner.creator_gid);
	EQUAL(0, stat.bytes);
	EQUAL(0, stat.messages);
	CHECK(stat.max_bytes > 0);
	EQUAL(0, stat.send_time);
	EQUAL(0, stat.receive_time);
	CHECK(stat.change_time >= before - 1 && stat.change_time <= time(NULL));
	EQUAL(0, stat.last_send_pid);
	EQUAL(0, send_text(id, 1, "12345"));
	EQUAL(0, send_text(id, 1, "678"));
	stat = stat_of(id);
	EQUAL(8, stat.bytes);
	EQUAL(2, stat.messages);
	EQUAL(getpid(), stat.last_send_pid);
	EQUAL(0, stat.last_receive_pid);
	CHECK(stat.send_time >= before - 1);
	EQUAL(5, receive(id, 0, 0));
	stat = stat_of(id);
	EQUAL(3, stat.bytes);
	EQUAL(getpid(), stat.last_receive_pid);
	CHECK(stat.receive_time >= before - 1);
	EQUAL(0, pyipc_msg_remove(id));
}

static void set_changes_what_was_asked_and_nothing_else(void)
{
	int id = queue();
	uint64_t max_bytes = stat_of(id).max_bytes;

	EQUAL(0, pyipc_now_msg_set(id, -1, -1, 07640, -1));
	EQUAL(0640, stat_of(id).owner.mode);
	EQUAL(max_bytes, stat_of(id).max_bytes);
	EQUAL(0, pyipc_now_msg_set(id, -1, -1, -1, 100));
	EQUAL(100, stat_of(id).max_bytes);
	EQUAL(0640, stat_of(id).owner.mode);
	EQUAL(-EAGAIN, pyipc_now_msg_send(id, 1, out.msg.data, 101));
	if (pyipc_now_msg_set(id, NOBODY, NOBODY, -1, -1) == 0) {	/* not where only root is mapped */
		EQUAL(NOBODY, stat_of(id).owner.uid);
		EQUAL(NOBODY, stat_of(id).owner.gid);
		EQUAL(geteuid(), stat_of(id).owner.creator_uid);
		EQUAL(100, stat_of(id).max_bytes);
	}
	EQUAL(-EINVAL, pyipc_now_msg_set(id, INT64_C(1) << 32, -1, -1, -1));
	EQUAL(-EINVAL, pyipc_now_msg_set(id, -1, INT64_C(1) << 32, -1, -1));
	EQUAL(0, pyipc_msg_remove(id));
}

static void every_call_on_a_removed_queue_says_so(void)
{
	int ids[] = { queue(), -1, INT32_MIN, INT32_MAX };
	struct pyipc_msg_stat stat;
	int64_t type = 1;

	EQUAL(0, pyipc_msg_remove(ids[0]));
	memcpy(out.bytes, &type, sizeof type);
	memset(&stat, UNTOUCHED, sizeof stat);
	memset(&in, UNTOUCHED, sizeof in);
	for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
		EQUAL(-EIDRM, send_text(ids[i], 1, "x"));
		EQUAL(-EIDRM, pyipc_msg_send(ids[i], out.bytes, 1, 0));
		EQUAL(-EIDRM, pyipc_msg_send(ids[i], out.bytes, 1, INT64_MAX));
		EQUAL(-EIDRM, receive(ids[i], 0, 0));
		EQUAL(-EIDRM, pyipc_msg_receive(ids[i], &in.msg, ROOM, 0, 0, 0));
		EQUAL(-EIDRM, pyipc_msg_receive(ids[i], &in.msg, ROOM, 0, 0, INT64_MAX));
		EQUAL(-EIDRM, pyipc_now_msg_stat(ids[i], &stat));
		EQUAL(-EIDRM, pyipc_now_msg_set(ids[i], -1, -1, 0600, -1));
		EQUAL(-EIDRM, pyipc_msg_remove(ids[i]));
	}
	CHECK(untouched(&stat, sizeof stat));
	CHECK(untouched(&in, sizeof in));
}

static int as_nobody(int id)
{
	struct pyipc_msg_stat stat;

	if (!become_nobody())
		return CANNOT;
	memset(&stat, UNTOUCHED, sizeof stat);
	memset(&in, UNTOUCHED, sizeof in);
	return !(pyipc_now_msg_stat(id, &stat) == -EACCES && untouched(&stat, sizeof stat) &&
		 send_text(id, 1, "x") == -EACCES && receive(id, 0, 0) == -EACCES &&
		 pyipc_msg_receive(id, &in.msg, ROOM, 0, 0, INT64_MAX) == -EACCES &&
		 untouched(&in, sizeof in) && pyipc_now_msg_find(KEY) == id &&
		 pyipc_now_msg_set(id, -1, -1, 0666, -1) == -EACCES && pyipc_msg_remove(id) == -EPERM);
}

static void who_has_no_permission_is_told(void)
{
	int id = pyipc_msg_create(KEY, 0600);
	pid_t child = fork_child();
	int status;

	if (child == 0)
		_exit(as_nobody(id));
	status = end_of(child);
	EQUAL(0, pyipc_msg_remove(id));
	if (status == CANNOT)
		NOT_RUN("cannot become another user");
	EQUAL(0, status);
}

static void one_queue_too_many_is_enospc(void)
{
	char limit[32];
	int id;

	if (!own_namespace || !read_setting("/proc/sys/kernel/msgmni", limit, sizeof limit) ||
	    !write_setting("/proc/sys/kernel/msgmni", "1"))
		NOT_RUN("cannot set MSGMNI");
	id = queue();
	EQUAL(-ENOSPC, pyipc_msg_create(IPC_PRIVATE, 0600));
	EQUAL(0, pyipc_msg_remove(id));
	CHECK(write_setting("/proc/sys/kernel/msgmni", limit));
}

int main(void)
{
	begin();
	RUN(a_queue_is_found_by_its_key_until_it_is_removed);
	RUN(messages_come_in_order_and_by_type);
	RUN(a_copy_leaves_the_message_where_it_is);
	RUN(a_copy_may_be_waited_for_as_any_message);
	RUN(a_message_too_long_stays_or_is_cut_as_asked);
	RUN(the_short_way_to_send_takes_small_messages_only);
	RUN(what_cannot_be_sent_or_received_names_the_argument);
	RUN(a_deadline_that_is_past_is_one_try);
	RUN(a_wait_ends_at_its_deadline_and_not_before);
	RUN(a_long_wait_with_a_deadline_goes_up_now_and_then);
	RUN(a_message_ends_a_wait_to_receive);
	RUN(room_ends_a_wait_to_send);
	RUN(removing_the_queue_ends_every_wait);
	RUN(a_signal_ends_every_wait_and_nothing_is_lost);
	RUN(a_killed_receiver_takes_no_message_with_it);
	RUN(waiting_neither_loses_nor_reorders);
	RUN(stat_says_what_the_kernel_knows);
	RUN(set_changes_what_was_asked_and_nothing_else);
	RUN(every_call_on_a_removed_queue_says_so);
	RUN(who_has_no_permission_is_told);
	RUN(one_queue_too_many_is_enospc);
	return report();
}
