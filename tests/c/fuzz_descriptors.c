/* SPDX-License-Identifier: MIT
 *
 * fuzz_descriptors.c -- random arguments for what has to do with descriptors; the sanitizers watch.
 *
 *     fuzz_descriptors [SEED [CALLS]]
 *
 * What must hold of any call is what fuzz.c says, and: what arrives is close-on-exec, nothing is left
 * open at the end, and of two owners none has the same number (a close would say that it is not open).
 *
 * Only what this program has made is touched.  So a number is one that it owns or one that names
 * nothing, a signal that does anything goes to its child, and what is opened of a process is its own.
 */
#include "random.h"
#include "sockets.h"

#include <sys/un.h>

enum { OWNERS = 100, TABLE = 300, MAPPED = 16, ROOM = 1 << 16, MOST_SIZE = 1 << 20, NAMES = 4 };

static int32_t owners[OWNERS];
static struct { char *address; uint64_t size; } mapped[MAPPED];
static int mapped_count;
static pid_t child = -1;

/* ---- what there is ---- */

enum kind { ANYTHING, SOCKET, MEMORY, NEITHER };

static enum kind kind_of(int number)
{
	struct stat stat;

	if (fstat(number, &stat) != 0)
		return ANYTHING;
	return S_ISSOCK(stat.st_mode) ? SOCKET : S_ISREG(stat.st_mode) ? MEMORY : NEITHER;
}

/* Of that kind, if a few looks find one. */
static int32_t *owner_of(enum kind kind)
{
	int32_t *owner = &owners[below(OWNERS)];

	for (int looks = 0; looks < 30 && (*owner < 0 || (kind && kind_of(*owner) != kind)); looks++)
		owner = &owners[below(OWNERS)];
	return owner;
}

static int32_t *any_owner(enum kind kind)
{
	return owner_of(below(10) ? kind : ANYTHING);
}

/* Nobody's, and nobody's in a table of that size. */
static int no_number(void)
{
	static const int none[] = { -1, INT32_MIN, INT32_MAX, TABLE, 1 << 20, -100 };

	return none[below(sizeof none / sizeof *none)];
}

static int any_fd(enum kind kind)
{
	return below(10) ? *any_owner(kind) : no_number();
}

static int close_one(int32_t *owner)
{
	int result = pyipc_fd_close(owner);

	EQUAL(0, result);
	EQUAL(-1, *owner);
	return result;
}

static void keep(int32_t number)
{
	int32_t *owner = &owners[below(OWNERS)];

	CHECK(number > STDERR_FILENO && is_close_on_exec(number));
	(void) close_one(owner);
	*owner = number;
}

static union {
	int32_t fd, fds[2];
	uint64_t value;
	struct pyipc_exit end;
	struct pyipc_credentials peer;
	struct pyipc_memory_stat memory;
	char bytes[64];
} ret;

/* Both pass on a result, having looked at the memory that a failure must leave alone. */
static int64_t ret_untouched(int64_t result)
{
	CHECK(result >= 0 || untouched(&ret, sizeof ret));
	memset(&ret, UNTOUCHED, sizeof ret);
	return result;
}

static int64_t keep_one(int64_t result)
{
	if (result >= 0)
		keep(ret.fd);
	return ret_untouched(result);
}

/* What a kernel that lacks a call says is as good as anything that it could do. */
static int64_t or_lacking(int64_t result)
{
	return result == -ENOSYS || result == -ENOTSUP || result == -EPERM ? 0 : result;
}

/* ---- owners, waiting, eventfds ---- */

static int64_t fd_close(void)
{
	return close_one(any_owner(ANYTHING));
}

static int64_t fd_take(void)
{
	int32_t *owner = any_owner(ANYTHING);
	int32_t number = *owner;

	EQUAL(number, pyipc_now_fd_take(owner));
	EQUAL(-1, *owner);
	if (number >= 0)
		keep(number);
	return number;
}

static int64_t fd_move(void)
{
	int32_t *from = any_owner(ANYTHING);
	int32_t *to = any_owner(ANYTHING);
	int result;

	(void) close_one(to);
	result = pyipc_now_fd_move(from, to);
	CHECK(result == 0 ? *to >= 0 : *to == -1);
	CHECK(from == to || *from == -1);
	return result;
}

static int64_t fd_adopt(void)
{
	int own = any_fd(ANYTHING);
	int number = own < 0 || !is_open(own) ? no_number() : dup(own);
	int64_t result = pyipc_now_fd_adopt(number, &ret.fd);

	CHECK(result == (number >= 0 && is_open(number) ? 0 : -EBADF));
	return keep_one(result);
}

static int64_t fd_duplicate(void)
{
	return keep_one(pyipc_now_fd_duplicate(any_fd(ANYTHING), &ret.fd));
}

static int64_t fd_open(void)
{
	char path[64];

	(void) snprintf(path, sizeof path, "/proc/self/fd/%d", any_fd(MEMORY));
	return keep_one(pyipc_fd_open(path, O_RDONLY | O_NONBLOCK | (below(4) ? 0 : O_TMPFILE), &ret.fd));
}

static int64_t fd_wait(void)
{
	return pyipc_fd_wait(any_fd(ANYTHING), any_int(), past());
}

static int64_t eventfd_create(void)
{
	return keep_one(pyipc_now_eventfd((uint32_t) any_number(), (int) below(3), &ret.fd));
}

/* Of what is no eventfd, too, but of no socket: there a byte is somebody's, and SIGPIPE is near. */
static const int32_t *eventfd_or_none(void)
{
	static const int32_t none = -1;
	const int32_t *owner = any_owner(NEITHER);

	return *owner < 0 || kind_of(*owner) == SOCKET ? &none : owner;
}

static int64_t eventfd_read(void)
{
	return ret_untouched(pyipc_now_eventfd_read(eventfd_or_none(), &ret.value));
}

static int64_t eventfd_write(void)
{
	return pyipc_now_eventfd_write(eventfd_or_none(), below(2) ? below(10) : any_size());
}

/* As another process that has it may do. */
static int64_t change_the_shared_flag(void)
{
	const int32_t *owner = any_owner(NEITHER);
	int flags = fcntl(*owner, F_GETFL);

	return flags < 0 ? 0 : fcntl(*owner, F_SETFL, below(2) ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

/* ---- processes ---- */

/* Any signal does to it what it does by default, from its first moment on. */
static pid_t the_child(void)
{
	sigset_t all, before;

	if (child >= 0)
		return child;
	(void) sigfillset(&all);
	(void) sigprocmask(SIG_SETMASK, &all, &before);
	child = fork_child();
	if (child == 0)
		for (int i = 1; i < NSIG; i++)
			(void) signal(i, SIG_DFL);
	(void) sigprocmask(SIG_SETMASK, &before, NULL);
	while (child == 0)
		(void) pause();
	return child;
}

static int64_t pidfd_open(void)
{
	const int pids[] = { the_child(), getpid(), 0, -1, INT32_MIN, INT32_MAX };

	return or_lacking(keep_one(pyipc_now_pidfd_open(pids[below(3) ? below(2) : below(6)], &ret.fd)));
}

static int no_signal(void)
{
	static const int none[] = { -1, 65, 1000, INT32_MIN, INT32_MAX };

	return none[below(sizeof none / sizeof *none)];
}

static int64_t pidfd_send(void)
{
	return or_lacking(pyipc_now_pidfd_send(any_owner(NEITHER), below(2) ? 0 : no_signal()));
}

static int64_t pidfd_send_to_the_child(void)
{
	int32_t owner = -1;
	int64_t result = pyipc_now_pidfd_open(the_child(), &owner);

	if (result == 0)
		result = pyipc_now_pidfd_send(&owner, below(8) ? 0 : (int) below(80));
	(void) close_one(&owner);
	return or_lacking(result);
}

static int64_t pidfd_status(void)
{
	int reap = (int) below(3);
	int64_t result = pyipc_now_pidfd_status(any_owner(NEITHER), reap, &ret.end);

	if (result == 0) {
		EQUAL(child, ret.end.pid);
		CHECK(ret.end.code == -1 && ret.end.signal > 0);
		if (reap)
			child = -1;
	}
	return or_lacking(ret_untouched(result));
}

static int64_t pidfd_getfd(void)
{
	return or_lacking(keep_one(pyipc_now_pidfd_getfd(any_owner(NEITHER), any_fd(ANYTHING), &ret.fd)));
}

/* ---- sockets ---- */

static int64_t socketpair_(void)
{
	int64_t result = pyipc_now_socketpair(below(8) ? kinds[below(3)] : any_int() & ~SOCK_NONBLOCK, ret.fds);

	if (result == 0) {
		keep(ret.fds[0]);
		keep(ret.fds[1]);
	}
	return ret_untouched(result);
}

static int64_t other_socket(void)
{
	int number = socket(below(4) ? AF_UNIX : AF_INET, kinds[below(2)] | SOCK_CLOEXEC, 0);

	if (number >= 0)
		keep(number);
	return number < 0 ? -errno : 0;
}

static socklen_t any_name(char *room)
{
	room[0] = '\0';
	return 1 + (socklen_t) snprintf(room + 1, PYIPC_MOST_ADDRESS - 1, "pyipc-fuzz-%d-%d", (int) getpid(),
					(int) below(NAMES));
}

/* As long as a path can be.  The socket keeps the name; what bears it is gone again. */
static void bind_to_a_path(int number)
{
	char directory[] = "/tmp/pyipc-test-XXXXXX";
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	char path[PYIPC_MOST_ADDRESS + 1] = "";

	CHECK(mkdtemp(directory));
	memset(path, 'a', PYIPC_MOST_ADDRESS);
	memcpy(path, directory, strlen(directory));
	path[strlen(directory)] = '/';
	memcpy(name.sun_path, path, PYIPC_MOST_ADDRESS);
	if (bind(number, (struct sockaddr *) &name, sizeof name) == 0)
		EQUAL(0, unlink(path));
	EQUAL(0, rmdir(directory));
}

static int64_t bind_one(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	socklen_t size = offsetof(struct sockaddr_un, sun_path);
	int number = *any_owner(SOCKET);

	if (number < 0 || kind_of(number) != SOCKET)
		return 0;
	if (below(3) == 0) {
		bind_to_a_path(number);
	} else {
		size += below(4) ? any_name(name.sun_path) : 0;
		(void) bind(number, (struct sockaddr *) &name, size);
	}
	return 0;
}

static char data[ROOM + 64];

static uint64_t any_room(void)
{
	return below(4) ? below(100) : below(ROOM);
}

/* Seldom sockets: when 2024 descriptors are under way, of all processes of this user, who sends a
 * socket waits for the kernel's garbage collector, MSG_DONTWAIT or not. */
static int64_t send_message(void)
{
	struct pyipc_credentials credentials = { .pid = getpid(), .uid = getuid(), .gid = getgid() };
	char name[PYIPC_MOST_ADDRESS];
	int name_size = (int) any_name(name);
	int32_t fds[PYIPC_MOST_FDS];
	int count = below(12) ? (int) below(4) : (int) below(PYIPC_MOST_FDS + 1);
	enum kind kind = below(50) ? MEMORY : ANYTHING;

	for (int i = 0; i < count; i++)
		fds[i] = i >= 4 ? fds[below(4)] : below(50) ? *owner_of(kind) : no_number();
	if (below(16) == 0)
		count = (int) below(1 << 30) + (below(2) ? PYIPC_MOST_FDS + 1 : INT32_MIN);
	if (below(8) == 0)
		credentials = (struct pyipc_credentials){
			.pid = any_int(), .uid = (uint32_t) any_int(), .gid = (uint32_t) any_int(),
		};
	if (below(8) == 0)
		name_size = below(2) ? any_int() | INT32_MIN : (int) below(1 << 30) + PYIPC_MOST_ADDRESS + 1;
	return pyipc_now_send(any_fd(SOCKET), data, any_room(), fds, count, below(4) ? NULL : &credentials, name,
			      below(4) ? 0 : name_size);
}

static int64_t receive_message(void)
{
	struct pyipc_message message = nothing_in_it();
	uint64_t size = any_room();
	int64_t result;

	memset(data, UNTOUCHED, 256);
	memset(data + size, UNTOUCHED, 64);
	result = pyipc_now_receive(any_fd(SOCKET), data, size, &message);
	CHECK(result <= (int64_t) size + 1);
	CHECK(untouched(data + size, 64));
	CHECK(result >= 0 || size < 256 || untouched(data, 256));
	CHECK(message.count >= 0 && message.count <= PYIPC_MOST_FDS);
	CHECK(message.address_size >= 0 && message.address_size <= PYIPC_MOST_ADDRESS);
	CHECK(result >= 0 || (message.count == 0 && message.pidfd == -1));
	for (int i = 0; i < message.count; i++)
		CHECK(is_close_on_exec(message.fds[i]));
	CHECK(message.pidfd < 0 || is_close_on_exec(message.pidfd));
	for (int i = 0; i < message.count && below(4); i++) {
		int32_t number = -1;

		if (pyipc_now_fd_move(&message.fds[i], &number) == 0)
			keep(number);
	}
	if (message.pidfd >= 0 && below(2))
		keep(pyipc_now_fd_take(&message.pidfd));
	EQUAL(0, pyipc_message_close(&message));
	return result;
}

static int64_t message_size(void)
{
	return pyipc_now_message_size(any_fd(SOCKET));
}

static int64_t socket_kind(void)
{
	return pyipc_now_socket_kind(any_fd(SOCKET));
}

static int64_t socket_is_unix(void)
{
	return pyipc_now_socket_is_unix(any_fd(SOCKET));
}

static int64_t pass_credentials(void)
{
	return pyipc_now_pass_credentials(any_fd(SOCKET), (int) below(2), (int) below(2));
}

static int64_t peer(void)
{
	return ret_untouched(pyipc_now_peer(any_fd(SOCKET), &ret.peer));
}

static int64_t peer_pidfd(void)
{
	return or_lacking(keep_one(pyipc_now_peer_pidfd(any_fd(SOCKET), &ret.fd)));
}

/* ---- memory ---- */

/* No more than MOST_SIZE of it becomes present, by a limit on files. */
static int64_t memory_create(void)
{
	return keep_one(pyipc_memory_create(fair_size(), below(4) ? 0 : (int) below(4), &ret.fd));
}

static int64_t memory_reserve(void)
{
	return pyipc_memory_reserve(any_fd(MEMORY), fair_size(), fair_size());
}

static int64_t memory_grow(void)
{
	return pyipc_memory_grow(any_fd(MEMORY), fair_size());
}

static int64_t memory_stat(void)
{
	return ret_untouched(pyipc_now_memory_stat(any_fd(MEMORY), &ret.memory));
}

static int64_t memory_seal(void)
{
	return pyipc_memory_seal(any_fd(MEMORY), below(2) ? 1 << below(5) : any_int());
}

static int64_t unmap_one(void)
{
	int64_t result;
	uint64_t which;

	if (!mapped_count)
		return 0;
	which = below((uint64_t) mapped_count);
	result = pyipc_unmap(mapped[which].address, mapped[which].size);
	EQUAL(0, result);
	mapped[which] = mapped[--mapped_count];
	return result;
}

static int64_t unmap_nothing(void)
{
	int result = pyipc_unmap((char *) (uintptr_t) (random_bits() | 1), any_size());

	EQUAL(-EINVAL, result);
	return result;
}

/* Huge pages are unmapped as a whole. */
static uint64_t whole_pages(int number, uint64_t size)
{
	struct pyipc_memory_stat stat;
	uint64_t page = pyipc_now_memory_stat(number, &stat) == 0 && stat.huge ? (uint64_t) stat.huge : 1;

	return (size + page - 1) / page * page;
}

static int64_t map(void)
{
	static const uint64_t wrong[] = { 0, INT64_MAX, UINT64_MAX, UINT64_C(1) << 62 };
	uint64_t size = below(8) ? 1 + below(MOST_SIZE) : wrong[below(4)];
	int number = any_fd(MEMORY);
	int64_t address = pyipc_map(number, size, below(8) ? (int) below(4) : any_int());

	if (address >= 0) {
		if (mapped_count == MAPPED)
			(void) unmap_one();
		mapped[mapped_count].address = (char *) address;
		mapped[mapped_count++].size = whole_pages(number, size);
	}
	return address;
}

static const struct call calls[] = {
	CALL(fd_close), CALL(fd_take), CALL(fd_move), CALL(fd_adopt), CALL(fd_duplicate), CALL(fd_open),
	CALL(fd_wait),
	CALL(eventfd_create), CALL(eventfd_read), CALL(eventfd_write), CALL(change_the_shared_flag),
	CALL(pidfd_open), CALL(pidfd_send), CALL(pidfd_send_to_the_child), CALL(pidfd_status),
	CALL(pidfd_getfd), CALL(socketpair_), CALL(other_socket), CALL(bind_one), CALL(send_message),
	CALL(send_message), CALL(receive_message), CALL(receive_message), CALL(message_size),
	CALL(socket_kind), CALL(socket_is_unix), CALL(pass_credentials), CALL(peer), CALL(peer_pidfd),
	CALL(memory_create), CALL(memory_reserve), CALL(memory_grow), CALL(memory_stat),
	CALL(memory_seal), CALL(unmap_one), NEVER_GOOD(unmap_nothing), CALL(map),
};

enum { CALLS = sizeof calls / sizeof *calls };

static void set_limit(int which, rlim_t value)
{
	struct rlimit limit;

	EQUAL(0, getrlimit((__rlimit_resource_t) which, &limit));
	limit.rlim_cur = value;
	EQUAL(0, setrlimit((__rlimit_resource_t) which, &limit));
}

static void random_arguments_do_no_harm(void)
{
	uint64_t good[CALLS] = { 0 };

	call_at_random(calls, CALLS, good);
	while (mapped_count)
		(void) unmap_one();
	for (int i = 0; i < OWNERS; i++)
		(void) close_one(&owners[i]);
	if (child > 0)
		(void) kill_and_reap(child);
	every_call_has_succeeded(calls, CALLS, good);
}

int main(int count, char **arguments)
{
	begin_at_random(count, arguments);
	(void) signal(SIGXFSZ, SIG_IGN);
	set_limit(RLIMIT_FSIZE, MOST_SIZE);
	set_limit(RLIMIT_NOFILE, TABLE);
	memset(owners, 0xFF, sizeof owners);
	memset(&ret, UNTOUCHED, sizeof ret);
	RUN(random_arguments_do_no_harm);
	return report();
}
