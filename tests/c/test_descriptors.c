/* SPDX-License-Identifier: MIT
 *
 * test_descriptors.c -- descriptors.c: ints that own descriptors, waiting for one, eventfds.
 */
#include "facts.h"

#include <sys/socket.h>

/* ---- owners ---- */

static void closing_leaves_none_behind(void)
{
	int ends[2];
	int32_t owner;

	pipe_ends(ends);
	owner = ends[1];
	EQUAL(0, pyipc_fd_close(&owner));
	EQUAL(-1, owner);
	CHECK(!is_open(ends[1]));
	CHECK(nobody_writes(ends[0]));
	EQUAL(0, close(ends[0]));
}

static void a_second_close_does_nothing_and_touches_nothing(void)
{
	int ends[2];
	int32_t owner;

	pipe_ends(ends);
	owner = ends[1];
	EQUAL(0, pyipc_fd_close(&owner));
	EQUAL(ends[1], fcntl(ends[0], F_DUPFD_CLOEXEC, ends[1]));	/* the number means another file now */
	EQUAL(0, pyipc_fd_close(&owner));
	EQUAL(-1, owner);
	CHECK(is_open(ends[1]));
	close_both(ends);
}

static void closing_what_is_not_open_says_so_and_leaves_none_behind(void)
{
	int32_t owner = closed_number();

	EQUAL(-EBADF, pyipc_fd_close(&owner));
	EQUAL(-1, owner);
	EQUAL(0, pyipc_fd_close(&owner));
}

static void what_is_taken_stays_open_and_has_no_owner(void)
{
	int ends[2];
	int32_t owner;

	pipe_ends(ends);
	owner = ends[1];
	EQUAL(ends[1], pyipc_now_fd_take(&owner));
	EQUAL(-1, owner);
	CHECK(!nobody_writes(ends[0]));
	EQUAL(-1, pyipc_now_fd_take(&owner));
	EQUAL(-1, owner);
	close_both(ends);
}

static void a_move_gives_it_another_owner(void)
{
	int ends[2];
	int32_t from;
	int32_t to = -1;

	pipe_ends(ends);
	from = ends[1];
	EQUAL(0, pyipc_now_fd_move(&from, &to));
	EQUAL(-1, from);
	EQUAL(ends[1], to);
	CHECK(!nobody_writes(ends[0]));
	EQUAL(0, pyipc_fd_close(&from));
	CHECK(!nobody_writes(ends[0]));
	EQUAL(0, pyipc_fd_close(&to));
	CHECK(nobody_writes(ends[0]));
	EQUAL(0, close(ends[0]));
}

static void a_move_from_who_has_none_is_ebadf(void)
{
	int32_t from = -1;
	int32_t to = nothing_yet();

	EQUAL(-EBADF, pyipc_now_fd_move(&from, &to));
	EQUAL(-1, from);
	CHECK(is_untouched(to));
}

static void what_is_adopted_is_closed_on_exec_from_then_on(void)
{
	int number = dup(STDOUT_FILENO);

	CHECK(is_open(number) && !is_close_on_exec(number));
	for (int i = 0; i < 2; i++) {	/* the second time it is so already */
		int32_t owner = nothing_yet();

		EQUAL(0, pyipc_now_fd_adopt(number, &owner));
		EQUAL(number, owner);
		CHECK(is_close_on_exec(number));
	}
	CHECK(same_file(number, STDOUT_FILENO));
	EQUAL(0, close(number));
}

static void what_is_not_open_cannot_be_adopted_or_duplicated(void)
{
	const int numbers[] = { closed_number(), -1, INT32_MIN, INT32_MAX };
	int32_t owner = nothing_yet();

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		EQUAL(-EBADF, pyipc_now_fd_adopt(numbers[i], &owner));
		EQUAL(-EBADF, pyipc_now_fd_duplicate(numbers[i], &owner));
	}
	CHECK(is_untouched(owner));
}

static void a_duplicate_is_the_same_file_under_a_number_of_its_own(void)
{
	int ends[2];
	int32_t owner = nothing_yet();

	pipe_ends(ends);
	EQUAL(0, fcntl(ends[1], F_SETFD, 0));
	EQUAL(0, pyipc_now_fd_duplicate(ends[1], &owner));
	CHECK(owner != ends[1]);
	CHECK(same_file(owner, ends[1]));
	CHECK(is_close_on_exec(owner));
	EQUAL(0, fcntl(ends[1], F_GETFD));
	EQUAL(0, close(ends[1]));
	CHECK(!nobody_writes(ends[0]));
	EQUAL(0, pyipc_fd_close(&owner));
	CHECK(nobody_writes(ends[0]));
	EQUAL(0, close(ends[0]));
}

static void a_path_is_opened_into_an_owner(void)
{
	char path[] = "/tmp/pyipc-test-XXXXXX";
	int number = mkostemp(path, O_CLOEXEC);
	int32_t owner = nothing_yet();

	EQUAL(0, pyipc_fd_open(path, O_RDWR, &owner));
	CHECK(is_close_on_exec(owner));
	CHECK(same_file(owner, number));
	EQUAL(O_RDWR, fcntl(owner, F_GETFL) & O_ACCMODE);
	EQUAL(0, pyipc_fd_close(&owner));
	EQUAL(0, pyipc_fd_open(path, O_RDONLY | O_NONBLOCK, &owner));
	EQUAL(O_RDONLY | O_NONBLOCK, fcntl(owner, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
	EQUAL(0, pyipc_fd_close(&owner));
	EQUAL(0, pyipc_fd_open("/", O_RDONLY | O_DIRECTORY, &owner));
	EQUAL(0, pyipc_fd_close(&owner));
	EQUAL(0, close(number));
	EQUAL(0, unlink(path));
}

static void a_path_where_nothing_is_stays_so(void)
{
	char directory[] = "/tmp/pyipc-test-XXXXXX";
	char path[64];
	int32_t owner = nothing_yet();

	CHECK(mkdtemp(directory));
	(void) snprintf(path, sizeof path, "%s/nothing", directory);
	EQUAL(-ENOENT, pyipc_fd_open(path, O_RDWR, &owner));
	EQUAL(-EINVAL, pyipc_fd_open(path, O_RDWR | O_CREAT, &owner));	/* with what mode? */
	EQUAL(-EINVAL, pyipc_fd_open(path, O_RDWR | O_CREAT | O_EXCL, &owner));
	EQUAL(-EINVAL, pyipc_fd_open(directory, O_RDWR | O_TMPFILE, &owner));
	EQUAL(-ENOENT, pyipc_fd_open("", O_RDONLY, &owner));
	CHECK(is_untouched(owner));
	EQUAL(0, rmdir(directory));
}

static int open_anew(int number, int32_t *ret_fd)
{
	char path[64];

	(void) snprintf(path, sizeof path, "/proc/self/fd/%d", number);
	return pyipc_fd_open(path, O_RDONLY, ret_fd);
}

/* Memory, since sockets and the like have no way in but the one. */
static void what_is_opened_anew_is_the_same_file_and_only_reads(void)
{
	int32_t memory = nothing_yet();
	int32_t owner = nothing_yet();
	char data[4] = "";

	EQUAL(0, pyipc_memory_create(4096, 0, &memory));
	EQUAL(3, write(memory, "abc", 3));
	EQUAL(0, open_anew(memory, &owner));
	CHECK(same_file(owner, memory));
	EQUAL(-1, write(owner, "x", 1));
	EQUAL(EBADF, errno);
	EQUAL(3, read(owner, data, 3));		/* from the start: it has a place of its own */
	EQUAL(0, strcmp(data, "abc"));
	EQUAL(3, lseek(memory, 0, SEEK_CUR));
	EQUAL(0, pyipc_fd_close(&memory));
	EQUAL(1, pread(owner, data, 1, 2));
	EQUAL('c', data[0]);
	EQUAL(0, pyipc_fd_close(&owner));
}

static void a_full_table_has_no_room_for_one_more(void)
{
	pid_t child = fork_child();

	if (child == 0) {
		int32_t owner = nothing_yet();

		leave_room_for(0);
		EQUAL(-EMFILE, pyipc_now_fd_duplicate(STDOUT_FILENO, &owner));
		EQUAL(-EMFILE, open_anew(STDOUT_FILENO, &owner));
		EQUAL(-EMFILE, pyipc_now_eventfd(0, 0, &owner));
		CHECK(pyipc_now_pidfd_open(getpid(), &owner) < 0);
		CHECK(is_untouched(owner));
		_exit(all_was_well());
	}
	EQUAL(0, end_of(child));
}

/* ---- waiting ---- */

static void what_is_ready_needs_no_wait(void)
{
	int ends[2];

	pipe_ends(ends);
	EQUAL(1, write(ends[1], "x", 1));
	EQUAL(0, pyipc_fd_wait(ends[0], PYIPC_READABLE, 0));
	EQUAL(0, pyipc_fd_wait(ends[1], PYIPC_WRITABLE, 0));
	EQUAL(0, pyipc_fd_wait(ends[0], PYIPC_READABLE, INT64_MAX));
	EQUAL(0, pyipc_fd_wait(ends[1], PYIPC_WRITABLE | PYIPC_READABLE, INT64_MAX));
	close_both(ends);
}

static void a_deadline_that_is_past_ends_the_wait_at_once(void)
{
	const int64_t past[] = { 0, -1, now_ns() - 1, now_ns() - 3 * (int64_t) PYIPC_SECOND, INT64_MIN };
	int ends[2];

	pipe_ends(ends);
	for (size_t i = 0; i < sizeof past / sizeof *past; i++) {
		int64_t began = now_ns();

		EQUAL(-ETIMEDOUT, pyipc_fd_wait(ends[0], PYIPC_READABLE, past[i]));
		CHECK(now_ns() - began < PYIPC_SECOND);
	}
	close_both(ends);
}

static void a_wait_does_not_end_before_its_deadline(void)
{
	int64_t deadline = now_ns() + 20000000;
	int ends[2];

	pipe_ends(ends);
	EQUAL(-ETIMEDOUT, pyipc_fd_wait(ends[0], PYIPC_READABLE, deadline));
	CHECK(now_ns() >= deadline);
	CHECK(now_ns() - deadline < 5 * (int64_t) PYIPC_SECOND);
	close_both(ends);
}

static void only_what_was_asked_for_ends_the_wait(void)
{
	int32_t ends[2] = { -1, -1 };

	EQUAL(0, pyipc_now_socketpair(PYIPC_STREAM, ends));
	EQUAL(0, pyipc_fd_wait(ends[0], PYIPC_WRITABLE, 0));
	EQUAL(-ETIMEDOUT, pyipc_fd_wait(ends[0], PYIPC_READABLE, 0));
	EQUAL(-ETIMEDOUT, pyipc_fd_wait(ends[0], 0, 0));
	while (send(ends[1], "much", 4, MSG_DONTWAIT) > 0)
		;
	EQUAL(0, pyipc_fd_wait(ends[0], PYIPC_READABLE, 0));
	EQUAL(-ETIMEDOUT, pyipc_fd_wait(ends[1], PYIPC_WRITABLE, 0));
	close_both(ends);
}

static void a_hang_up_ends_any_wait(void)
{
	int ends[2];

	pipe_ends(ends);
	EQUAL(0, close(ends[1]));
	EQUAL(0, pyipc_fd_wait(ends[0], PYIPC_READABLE, INT64_MAX));
	EQUAL(0, pyipc_fd_wait(ends[0], 0, INT64_MAX));
	EQUAL(0, close(ends[0]));
	pipe_ends(ends);
	EQUAL(0, close(ends[0]));
	EQUAL(0, pyipc_fd_wait(ends[1], PYIPC_READABLE, INT64_MAX));
	EQUAL(0, close(ends[1]));
}

static void a_sleeper_is_woken_by_data_and_by_a_hang_up(void)
{
	for (int data = 0; data < 2; data++) {
		int ends[2];
		pid_t child;

		pipe_ends(ends);
		child = fork_child();
		if (child == 0) {
			(void) close(ends[1]);
			_exit(-wait_on(ends[0], PYIPC_READABLE));
		}
		WAIT_FOR(is_in(child, child, SYS_ppoll));
		if (data)
			EQUAL(1, write(ends[1], "x", 1));
		EQUAL(0, close(ends[1]));
		EQUAL(0, end_of(child));
		EQUAL(0, close(ends[0]));
	}
}

static int waits_until_a_signal(int number)
{
	int64_t began;
	int result;

	handle(SIGUSR1, SA_RESTART);
	do {	/* the second may be over before the signal comes */
		began = now_ns();
		result = pyipc_fd_wait(number, PYIPC_READABLE, INT64_MAX);
	} while (result == -EINTR && !signals_seen);
	return !(result == -EINTR && now_ns() - began < PYIPC_SECOND);
}

static void a_signal_ends_the_wait(void)
{
	int ends[2];
	pid_t child;

	pipe_ends(ends);
	child = fork_child();
	if (child == 0)
		_exit(waits_until_a_signal(ends[0]));
	WAIT_FOR(is_in(child, child, SYS_ppoll));
	EQUAL(0, kill(child, SIGUSR1));
	EQUAL(0, end_of(child));
	close_both(ends);
}

static void a_number_that_is_not_open_is_no_wait_without_end(void)
{
	const int numbers[] = { closed_number(), -1, INT32_MIN, INT32_MAX };

	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		EQUAL(-EBADF, pyipc_fd_wait(numbers[i], PYIPC_READABLE, INT64_MAX));
		EQUAL(-EBADF, pyipc_fd_wait(numbers[i], 0, 0));
	}
}

static void after_a_second_a_long_wait_goes_up(void)
{
	int64_t began = now_ns();
	int ends[2];

	pipe_ends(ends);
	EQUAL(-EINTR, pyipc_fd_wait(ends[0], PYIPC_READABLE, began + 4 * (int64_t) PYIPC_SECOND));
	CHECK(now_ns() - began >= PYIPC_SECOND);
	CHECK(now_ns() - began < 10 * (int64_t) PYIPC_SECOND);
	began = now_ns();
	EQUAL(-EINTR, pyipc_fd_wait(ends[0], PYIPC_READABLE, INT64_MAX));
	CHECK(now_ns() - began >= PYIPC_SECOND);
	CHECK(now_ns() - began < 10 * (int64_t) PYIPC_SECOND);
	close_both(ends);
}

/* ---- eventfds ---- */

static int32_t eventfd_of(uint32_t initial, int semaphore)
{
	int32_t owner = nothing_yet();

	EQUAL(0, pyipc_now_eventfd(initial, semaphore, &owner));
	CHECK(is_close_on_exec(owner));
	CHECK(fcntl(owner, F_GETFL) & O_NONBLOCK);
	return owner;
}

/* What it gives, or an errno, which has left the value alone. */
static int64_t value_of(const int32_t *owner)
{
	uint64_t value;
	int result;

	memset(&value, UNTOUCHED, sizeof value);
	result = pyipc_now_eventfd_read(owner, &value);
	if (result < 0)
		CHECK(untouched(&value, sizeof value));
	return result < 0 ? result : (int64_t) value;
}

static void a_counter_gives_all_at_once(void)
{
	int32_t owner = eventfd_of(3, 0);

	EQUAL(3, value_of(&owner));
	EQUAL(-EAGAIN, value_of(&owner));
	EQUAL(0, pyipc_now_eventfd_write(&owner, 0));
	EQUAL(-EAGAIN, value_of(&owner));
	EQUAL(0, pyipc_now_eventfd_write(&owner, 2));
	EQUAL(0, pyipc_now_eventfd_write(&owner, 5));
	EQUAL(7, value_of(&owner));
	EQUAL(-EAGAIN, value_of(&owner));
	EQUAL(0, pyipc_fd_close(&owner));
}

static void a_semaphore_gives_one_at_a_time(void)
{
	int32_t owner = eventfd_of(2, 1);

	EQUAL(0, pyipc_now_eventfd_write(&owner, 1));
	for (int i = 0; i < 3; i++)
		EQUAL(1, value_of(&owner));
	EQUAL(-EAGAIN, value_of(&owner));
	EQUAL(0, pyipc_fd_close(&owner));
}

static void the_first_value_may_have_32_bits(void)
{
	int32_t owner = eventfd_of(UINT32_MAX, 0);

	EQUAL(UINT32_MAX, value_of(&owner));
	EQUAL(0, pyipc_fd_close(&owner));
}

static void a_counter_holds_the_maximum_and_no_more(void)
{
	int32_t owner = eventfd_of(0, 0);

	EQUAL(-EINVAL, pyipc_now_eventfd_write(&owner, UINT64_MAX));
	EQUAL(0, pyipc_now_eventfd_write(&owner, UINT64_MAX - 1));
	EQUAL(-EAGAIN, pyipc_now_eventfd_write(&owner, 1));
	EQUAL(0, pyipc_now_eventfd_write(&owner, 0));
	EQUAL(UINT64_MAX - 1, value_of(&owner));
	EQUAL(0, pyipc_fd_close(&owner));
}

/* As another process may, which has the same eventfd: the flag is the one that both share. */
static int32_t *with_its_flag_cleared(int32_t *owner)
{
	EQUAL(0, fcntl(*owner, F_SETFL, fcntl(*owner, F_GETFL) & ~O_NONBLOCK));
	return owner;
}

/* In a child, which is ended when it waits. */
static void no_call_waits_where_the_shared_flag_was_cleared(void)
{
	int32_t owner = eventfd_of(0, 0);
	pid_t child = fork_child();

	if (child == 0) {
		(void) signal(SIGALRM, SIG_DFL);
		(void) alarm(2);
		EQUAL(-EAGAIN, value_of(with_its_flag_cleared(&owner)));
		EQUAL(0, pyipc_now_eventfd_write(with_its_flag_cleared(&owner), 5));
		EQUAL(5, value_of(with_its_flag_cleared(&owner)));
		EQUAL(0, pyipc_now_eventfd_write(with_its_flag_cleared(&owner), UINT64_MAX - 1));
		EQUAL(-EAGAIN, pyipc_now_eventfd_write(with_its_flag_cleared(&owner), 1));
		EQUAL(-EAGAIN, pyipc_now_eventfd_write(with_its_flag_cleared(&owner), 7));
		EQUAL(UINT64_MAX - 1, value_of(with_its_flag_cleared(&owner)));
		_exit(all_was_well());
	}
	EQUAL(0, end_of(child));
	EQUAL(0, pyipc_fd_close(&owner));
}

/* poll(2) says that 1 would fit, which says nothing of 2. */
static void no_write_waits_where_the_shared_flag_was_cleared_and_a_part_would_fit(void)
{
	int32_t owner = eventfd_of(0, 0);
	pid_t child = fork_child();

	if (child == 0) {
		(void) signal(SIGALRM, SIG_DFL);
		(void) alarm(2);
		EQUAL(0, pyipc_now_eventfd_write(&owner, UINT64_MAX - 2));
		EQUAL(-EAGAIN, pyipc_now_eventfd_write(with_its_flag_cleared(&owner), 2));
		_exit(all_was_well());
	}
	EQUAL(0, end_of(child));
	EQUAL(0, pyipc_fd_close(&owner));
}

static void another_process_adds_to_it(void)
{
	int32_t owner = eventfd_of(0, 0);
	pid_t child = fork_child();

	if (child == 0)
		_exit(-pyipc_now_eventfd_write(&owner, 40));
	EQUAL(0, wait_on(owner, PYIPC_READABLE));
	EQUAL(40, value_of(&owner));
	EQUAL(0, end_of(child));
	EQUAL(0, pyipc_fd_close(&owner));
}

static void what_is_no_eventfd_is_an_error(void)
{
	int32_t none = -1;
	int32_t closed = closed_number();
	int32_t read_end;
	char data[4];
	int ends[2];

	EQUAL(-EBADF, value_of(&none));
	EQUAL(-EBADF, pyipc_now_eventfd_write(&none, 1));
	EQUAL(-EBADF, value_of(&closed));
	EQUAL(-EBADF, pyipc_now_eventfd_write(&closed, 1));
	pipe_ends(ends);
	read_end = ends[0];
	EQUAL(3, write(ends[1], "abc", 3));
	EQUAL(-EINVAL, value_of(&read_end));
	EQUAL(3, read(ends[0], data, sizeof data));	/* and nothing was taken */
	close_both(ends);
}

int main(void)
{
	begin();
	RUN(closing_leaves_none_behind);
	RUN(a_second_close_does_nothing_and_touches_nothing);
	RUN(closing_what_is_not_open_says_so_and_leaves_none_behind);
	RUN(what_is_taken_stays_open_and_has_no_owner);
	RUN(a_move_gives_it_another_owner);
	RUN(a_move_from_who_has_none_is_ebadf);
	RUN(what_is_adopted_is_closed_on_exec_from_then_on);
	RUN(what_is_not_open_cannot_be_adopted_or_duplicated);
	RUN(a_duplicate_is_the_same_file_under_a_number_of_its_own);
	RUN(a_path_is_opened_into_an_owner);
	RUN(a_path_where_nothing_is_stays_so);
	RUN(what_is_opened_anew_is_the_same_file_and_only_reads);
	RUN(a_full_table_has_no_room_for_one_more);
	RUN(what_is_ready_needs_no_wait);
	RUN(a_deadline_that_is_past_ends_the_wait_at_once);
	RUN(a_wait_does_not_end_before_its_deadline);
	RUN(only_what_was_asked_for_ends_the_wait);
	RUN(a_hang_up_ends_any_wait);
	RUN(a_sleeper_is_woken_by_data_and_by_a_hang_up);
	RUN(a_signal_ends_the_wait);
	RUN(a_number_that_is_not_open_is_no_wait_without_end);
	RUN(after_a_second_a_long_wait_goes_up);
	RUN(a_counter_gives_all_at_once);
	RUN(a_semaphore_gives_one_at_a_time);
	RUN(the_first_value_may_have_32_bits);
	RUN(a_counter_holds_the_maximum_and_no_more);
	RUN(no_call_waits_where_the_shared_flag_was_cleared);
	RUN(no_write_waits_where_the_shared_flag_was_cleared_and_a_part_would_fit);
	RUN(another_process_adds_to_it);
	RUN(what_is_no_eventfd_is_an_error);
	return report();
}
