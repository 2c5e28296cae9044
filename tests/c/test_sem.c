/* SPDX-License-Identifier: MIT
 *
 * test_sem.c -- sysv_sem.c: semaphore sets.
 */
#include "facts.h"

#include <sys/sem.h>

enum { SEMVMX = 32767, EVERY_INDEX = 65536 };

static const struct pyipc_sem_op take = { .delta = -1 };
static const struct pyipc_sem_op give = { .delta = 1 };
static const struct pyipc_sem_op wait_zero = { .delta = 0 };

static int set_of(int count, uint16_t each)
{
	uint16_t values[8];
	int id;

	for (int i = 0; i < 8; i++)
		values[i] = each;
	id = pyipc_sem_create(IPC_PRIVATE, values, count, 0600);
	CHECK(id >= 0);
	return id;
}

static int value(int id, int index)
{
	return pyipc_now_sem_get(id, index, PYIPC_SEM_GET_VALUE);
}

static int waiters(int id)
{
	return pyipc_now_sem_get(id, 0, PYIPC_SEM_GET_WAITERS);
}

static struct pyipc_sem_stat stat_of(int id)
{
	struct pyipc_sem_stat stat = { 0 };

	EQUAL(0, pyipc_now_sem_stat(id, &stat));
	return stat;
}

/* As Python does: a wait that went up for its signals is taken up again. */
static pid_t child_that_does_until_it_is_over(int id, const struct pyipc_sem_op *op)
{
	pid_t child = fork_child();
	int result;

	if (child)
		return child;
	do
		result = pyipc_sem_op(id, op, 1, INT64_MAX);
	while (result == -EINTR);
	_exit(-result);
}

/* ---- making and finding ---- */

static void a_set_is_born_with_its_values_and_a_time_of_operation(void)
{
	static const uint16_t firsts[] = { 0, 1, SEMVMX };

	for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
		uint16_t values[3] = { firsts[i], 7, 0 };
		int id = pyipc_sem_create(IPC_PRIVATE, values, 3, 0600);

		EQUAL(firsts[i], value(id, 0));
		EQUAL(7, value(id, 1));
		EQUAL(0, value(id, 2));
		EQUAL(3, stat_of(id).count);
		CHECK(stat_of(id).op_time > 0);
		EQUAL(0, pyipc_sem_remove(id));
	}
}

static void a_set_is_found_by_its_key_until_it_is_removed(void)
{
	uint16_t values[2] = { 1, 2 };
	int id = pyipc_sem_create(KEY, values, 2, 0600);

	EQUAL(-EEXIST, pyipc_sem_create(KEY, values, 2, 0600));
	EQUAL(id, pyipc_now_sem_find(KEY, 0));
	EQUAL(id, pyipc_now_sem_find(KEY, 2));
	EQUAL(-EINVAL, pyipc_now_sem_find(KEY, 3));
	EQUAL(2, value(id, 1));
	EQUAL(id, pyipc_sem_get(KEY, 0600, 9));
	EQUAL(-EEXIST, pyipc_sem_get(KEY, IPC_CREAT | IPC_EXCL | 0600, 9));
	EQUAL(1, value(id, 0));
	EQUAL(0, pyipc_sem_remove(id));
	EQUAL(-ENOENT, pyipc_now_sem_find(KEY, 0));
}

static void a_set_made_by_flags_has_its_value_and_no_operation(void)
{
	struct pyipc_sem_stat stat;
	int id = pyipc_sem_get(KEY, IPC_CREAT | IPC_EXCL | 0600, 9);

	EQUAL(9, value(id, 0));
	EQUAL(0, pyipc_now_sem_stat(id, &stat));
	EQUAL(0, stat.op_time);
	EQUAL(0, pyipc_sem_remove(id));
	EQUAL(-ERANGE, pyipc_sem_get(KEY, IPC_CREAT | IPC_EXCL | 0600, SEMVMX + 1));
	EQUAL(-ENOENT, pyipc_now_sem_find(KEY, 0));
}

static void a_set_that_cannot_be_made_leaves_nothing(void)
{
	uint16_t too_much[2] = { 0, SEMVMX + 1 };

	EQUAL(-ERANGE, pyipc_sem_create(KEY, too_much, 2, 0600));
	EQUAL(-ENOENT, pyipc_now_sem_find(KEY, 0));
	EQUAL(-EINVAL, pyipc_sem_create(KEY, too_much, 0, 0600));
	EQUAL(-EINVAL, pyipc_sem_create(KEY, too_much, -1, 0600));
	EQUAL(-EINVAL, pyipc_sem_create(KEY, too_much, INT32_MAX, 0600));
}

static int made_without_permission(void)
{
	uint16_t values[2] = { 3, 4 };
	struct pyipc_sem_stat stat;
	int id;

	if (geteuid() == 0 && !become_nobody())
		return CANNOT;
	id = pyipc_sem_create(IPC_PRIVATE, values, 2, 0);
	if (id < 0)
		return 1;
	return !(pyipc_now_sem_stat(id, &stat) == -EACCES && pyipc_now_sem_take(id) == -EACCES &&
		 pyipc_sem_remove(id) == 0);
}

static void a_set_may_keep_out_its_own_maker(void)
{
	uint16_t values[2] = { 3, 4 };
	int id = pyipc_sem_create(IPC_PRIVATE, values, 2, 0040);
	struct semid_ds raw;
	pid_t child;
	int status;

	if (geteuid() == 0) {	/* who may always look */
		EQUAL(0, semctl(id, 0, IPC_STAT, &raw));
		EQUAL(0040, raw.sem_perm.mode & 0777);
	}
	EQUAL(0, pyipc_sem_remove(id));
	child = fork_child();
	if (child == 0)
		_exit(made_without_permission());
	status = end_of(child);
	if (status == CANNOT)
		NOT_RUN("cannot become another user");
	EQUAL(0, status);
}

/* Stevens' race: whoever sees a time of operation must see the values. */
static int finder(const int *stop)
{
	while (!told(stop)) {
		struct pyipc_sem_stat stat;
		int id = pyipc_now_sem_find(KEY, 0);
		uint16_t values[4];

		if (id < 0 || pyipc_now_sem_stat(id, &stat) < 0 || stat.op_time == 0)
			continue;
		if (pyipc_now_sem_get_all(id, values) < 0)
			continue;
		for (uint16_t i = 0; i < 4; i++)
			if (values[i] != i)
				return 1;
	}
	return 0;
}

static void finders_never_see_a_half_made_set_as_ready(void)
{
	static const uint16_t values[4] = { 0, 1, 2, 3 };
	int *stop = shared_numbers();
	pid_t children[2];

	for (int i = 0; i < 2; i++) {
		children[i] = fork_child();
		if (children[i] == 0)
			_exit(finder(stop));
	}
	for (int i = 0; i < 2000; i++) {
		int id = pyipc_sem_create(KEY, values, 4, 0600);

		CHECK(id >= 0);
		EQUAL(0, pyipc_sem_remove(id));
	}
	tell(stop, 1);
	EQUAL(0, end_of(children[0]));
	EQUAL(0, end_of(children[1]));
	(void) munmap(stop, 4096);
}

/* A stranger who does not keep to the rule may take the first unit before we have operated. */
static int stranger(const int *stop)
{
	while (!told(stop)) {
		int id = pyipc_now_sem_find(KEY, 0);

		if (id >= 0)
			(void) pyipc_now_sem_take(id);
	}
	return 0;
}

static int maker(int *made)
{
	static const uint16_t values[1] = { 1 };

	for (int i = 1; i <= 5000; i++) {
		int id = pyipc_sem_create(KEY, values, 1, 0600);

		if (id < 0 || pyipc_sem_remove(id) < 0)
			return 1;
		tell(made, i);
	}
	return 0;
}

static void making_a_set_does_not_wait_for_a_stranger_who_takes_early(void)
{
	int *numbers = shared_numbers();	/* stop, made */
	pid_t takes = fork_child();
	pid_t makes;
	int id;

	if (takes == 0)
		_exit(stranger(numbers));
	makes = fork_child();
	if (makes == 0)
		_exit(maker(numbers + 1));
	WAIT_FOR(told(numbers + 1) == 5000);
	tell(numbers, 1);
	EQUAL(0, end_of(takes));
	if (told(numbers + 1) == 5000)
		EQUAL(0, end_of(makes));
	else
		(void) kill_and_reap(makes);
	id = pyipc_now_sem_find(KEY, 0);
	if (id >= 0)
		EQUAL(0, pyipc_sem_remove(id));
	(void) munmap(numbers, 4096);
}

/* ---- operations that do not wait ---- */

static void take_and_give_move_the_value_or_say_why_not(void)
{
	int id = set_of(1, 1);

	EQUAL(0, pyipc_now_sem_take(id));
	EQUAL(-EAGAIN, pyipc_now_sem_take(id));
	EQUAL(0, pyipc_now_sem_give(id));
	EQUAL(1, value(id, 0));
	EQUAL(0, pyipc_now_sem_set_value(id, 0, SEMVMX));
	EQUAL(-ERANGE, pyipc_now_sem_give(id));
	EQUAL(SEMVMX, value(id, 0));
	EQUAL(getpid(), pyipc_now_sem_get(id, 0, PYIPC_SEM_GET_PID));
	EQUAL(0, pyipc_sem_remove(id));
}

static void operations_are_done_all_or_none(void)
{
	static const struct pyipc_sem_op lock[2] = { { 0, 0, 0 }, { 0, 1, 0 } };
	static const struct pyipc_sem_op move[2] = { { 0, -1, 0 }, { 1, -1, 0 } };
	int id = set_of(2, 0);

	EQUAL(0, pyipc_now_sem_op(id, lock, 2));
	EQUAL(1, value(id, 0));
	EQUAL(-EAGAIN, pyipc_now_sem_op(id, lock, 2));
	EQUAL(-EAGAIN, pyipc_now_sem_op(id, move, 2));
	EQUAL(1, value(id, 0));
	EQUAL(0, pyipc_now_sem_set_value(id, 1, 1));
	EQUAL(0, pyipc_now_sem_op(id, move, 2));
	EQUAL(0, value(id, 0));
	EQUAL(0, value(id, 1));
	EQUAL(0, pyipc_sem_remove(id));
}

static void operations_that_make_no_sense_name_the_argument(void)
{
	static const struct pyipc_sem_op beyond = { .index = 1, .delta = 1 };
	struct pyipc_sem_op many[501];
	int id = set_of(1, 1);

	memset(many, 0, sizeof many);
	EQUAL(-EFBIG, pyipc_now_sem_op(id, &beyond, 1));
	EQUAL(-EFBIG, pyipc_sem_op(id, &beyond, 1, INT64_MAX));
	EQUAL(-EINVAL, pyipc_now_sem_op(id, many, 0));
	EQUAL(-EINVAL, pyipc_sem_op(id, many, 0, INT64_MAX));
	if (own_namespace) {	/* else SEMOPM may not be what it is by default */
		EQUAL(-E2BIG, pyipc_now_sem_op(id, many, 501));
		EQUAL(-E2BIG, pyipc_sem_op(id, many, 501, INT64_MAX));
	}
	EQUAL(-E2BIG, pyipc_now_sem_op(id, many, UINT32_MAX));
	EQUAL(0, pyipc_sem_remove(id));
}

static void a_raised_semopm_is_made_use_of_without_waiting(void)
{
	struct pyipc_sem_op many[600];
	char limits[64];
	int id = set_of(1, 0);
	int can = own_namespace && read_setting("/proc/sys/kernel/sem", limits, sizeof limits) &&
		write_setting("/proc/sys/kernel/sem", "32000 1024000000 600 32000");

	for (int i = 0; i < 600; i++)
		many[i] = give;
	if (can) {
		EQUAL(0, pyipc_now_sem_op(id, many, 600));
		EQUAL(600, value(id, 0));
		many[0].delta = -1000;
		EQUAL(-EAGAIN, pyipc_now_sem_op(id, many, 600));
		EQUAL(600, value(id, 0));
		CHECK(write_setting("/proc/sys/kernel/sem", limits));
	}
	EQUAL(0, pyipc_sem_remove(id));
	if (!can)
		NOT_RUN("cannot set SEMOPM");
}

/* ---- deadlines ---- */

static void a_deadline_that_is_past_is_one_try(void)
{
	int64_t past[] = { 0, 1, -1, INT64_MIN, now_ns() };
	int id = set_of(1, 1);

	for (size_t i = 0; i < sizeof past / sizeof *past; i++) {
		EQUAL(0, pyipc_sem_op(id, &take, 1, past[i]));
		EQUAL(-ETIMEDOUT, pyipc_sem_op(id, &take, 1, past[i]));
		EQUAL(0, pyipc_sem_op(id, &give, 1, past[i]));
		EQUAL(-ETIMEDOUT, pyipc_sem_op(id, &wait_zero, 1, past[i]));
	}
	EQUAL(1, value(id, 0));
	EQUAL(0, pyipc_sem_remove(id));
}

static void a_wait_ends_at_its_deadline_and_not_before(void)
{
	int id = set_of(1, 0);

	for (int64_t span = 1000; span <= 100000000; span *= 10) {
		int64_t deadline = now_ns() + span;

		EQUAL(-ETIMEDOUT, pyipc_sem_op(id, &take, 1, deadline));
		CHECK(now_ns() >= deadline);
	}
	EQUAL(0, waiters(id));
	EQUAL(0, pyipc_sem_remove(id));
}

static void a_long_wait_goes_up_every_second(void)
{
	int id = set_of(1, 0);
	int64_t began = now_ns();
	int64_t end = began + 1100000000;

	EQUAL(-EINTR, pyipc_sem_op(id, &take, 1, end));
	CHECK(now_ns() >= began + PYIPC_SECOND);
	EQUAL(-ETIMEDOUT, pyipc_sem_op(id, &take, 1, end));
	CHECK(now_ns() >= end);
	began = now_ns();
	EQUAL(-EINTR, pyipc_sem_op(id, &take, 1, INT64_MAX));
	CHECK(now_ns() >= began + PYIPC_SECOND);
	EQUAL(0, value(id, 0));
	EQUAL(0, pyipc_sem_remove(id));
}

static void an_operation_with_nowait_says_no_at_once(void)
{
	static const struct pyipc_sem_op ops[2] = { { 0, 1, 0 }, { 1, -1, PYIPC_SEM_NOWAIT } };
	int id = set_of(2, 0);
	int64_t began = now_ns();

	EQUAL(-EAGAIN, pyipc_sem_op(id, ops, 2, INT64_MAX));
	EQUAL(-EAGAIN, pyipc_sem_op(id, ops, 2, began + 30 * (int64_t) PYIPC_SECOND));
	CHECK(now_ns() < began + PYIPC_SECOND);
	EQUAL(0, value(id, 0));
	EQUAL(0, pyipc_sem_remove(id));
}

/* Before 5.19 the kernel counts a timeout in ticks and wakes up to one of them too early.  Here
 * it answers at once: the most that too early can be. */
static void waking_before_the_time_is_no_refusal(void)
{
	int id = set_of(1, 0);
	pid_t child = fork_child();
	int status;

	if (child == 0)
		_exit(answer(SYS_semtimedop, EAGAIN, -1, 0) ? -pyipc_sem_op(id, &take, 1, INT64_MAX)
			: CANNOT);
	status = end_of(child);
	EQUAL(0, pyipc_sem_remove(id));
	if (status == CANNOT)
		NOT_RUN("no seccomp filter can be set");
	EQUAL(EINTR, status);
}

/* ---- waits, ended by another process ---- */

static void a_give_ends_a_wait(void)
{
	int id = set_of(1, 0);
	pid_t child = child_that_does_until_it_is_over(id, &take);

	WAIT_FOR(waiters(id) == 1);
	EQUAL(0, pyipc_now_sem_give(id));
	EQUAL(0, end_of(child));
	EQUAL(0, value(id, 0));
	EQUAL(0, waiters(id));
	EQUAL(0, pyipc_sem_remove(id));
}

static void reaching_zero_ends_a_wait_for_zero(void)
{
	int id = set_of(1, 2);
	pid_t child = child_that_does_until_it_is_over(id, &wait_zero);

	WAIT_FOR(pyipc_now_sem_get(id, 0, PYIPC_SEM_GET_ZERO_WAITERS) == 1);
	EQUAL(0, pyipc_now_sem_take(id));
	WAIT_FOR(pyipc_now_sem_get(id, 0, PYIPC_SEM_GET_ZERO_WAITERS) == 1);
	EQUAL(0, pyipc_now_sem_take(id));
	EQUAL(0, end_of(child));
	EQUAL(0, pyipc_sem_remove(id));
}

static void removing_the_set_ends_every_wait(void)
{
	int id = set_of(1, 0);
	pid_t children[] = {
		child_that_does_until_it_is_over(id, &take),
		child_that_does_until_it_is_over(id, &take),
	};

	WAIT_FOR(waiters(id) == 2);
	EQUAL(0, pyipc_sem_remove(id));
	EQUAL(EIDRM, end_of(children[0]));
	EQUAL(EIDRM, end_of(children[1]));
}

static int signal_when_it_waits(pid_t process, int id)
{
	int64_t end_ns = now_ns() + (int64_t) PATIENCE_S * PYIPC_SECOND;

	while (waiters(id) != 1)
		if (!look_again_until(end_ns))
			return 1;
	return kill(process, SIGUSR1) != 0;
}

static void a_signal_ends_a_wait_and_takes_nothing(int flags)
{
	int id = set_of(1, 0);
	pid_t parent = getpid();
	pid_t child;
	int result;

	handle(SIGUSR1, flags);
	child = fork_child();
	if (child == 0)
		_exit(signal_when_it_waits(parent, id));
	do	/* rounds of less than a second: what ends one with EINTR is a signal */
		result = pyipc_sem_op(id, &take, 1, now_ns() + PYIPC_SECOND / 2);
	while (result == -ETIMEDOUT && !signals_seen);
	EQUAL(-EINTR, result);
	EQUAL(1, signals_seen);
	EQUAL(0, end_of(child));
	EQUAL(0, waiters(id));
	EQUAL(0, pyipc_now_sem_give(id));
	EQUAL(1, value(id, 0));
	EQUAL(0, pyipc_sem_remove(id));
	(void) signal(SIGUSR1, SIG_DFL);
}

static void a_handled_signal_ends_a_wait_and_takes_nothing(void)
{
	a_signal_ends_a_wait_and_takes_nothing(0);
}

static void even_a_handler_with_restart_ends_a_wait(void)
{
	a_signal_ends_a_wait_and_takes_nothing(SA_RESTART);
}

static void a_killed_waiter_leaves_the_line(void)
{
	int id = set_of(1, 0);
	pid_t child = child_that_does_until_it_is_over(id, &take);

	WAIT_FOR(waiters(id) == 1);
	EQUAL(1000 + SIGKILL, kill_and_reap(child));
	WAIT_FOR(waiters(id) == 0);
	EQUAL(0, pyipc_now_sem_give(id));
	EQUAL(1, value(id, 0));
	EQUAL(0, pyipc_sem_remove(id));
}

static int value_after_a_killed_holder(int16_t flags)
{
	struct pyipc_sem_op hold = { .delta = -1, .flags = flags };
	int id = set_of(1, 1);
	pid_t child = fork_child();
	int left;

	if (child == 0) {
		if (pyipc_sem_op(id, &hold, 1, INT64_MAX) < 0)
			_exit(1);
		for (;;)
			(void) pause();
	}
	WAIT_FOR(value(id, 0) == 0);
	EQUAL(child, pyipc_now_sem_get(id, 0, PYIPC_SEM_GET_PID));
	EQUAL(1000 + SIGKILL, kill_and_reap(child));
	if (flags)
		WAIT_FOR(value(id, 0) == 1);
	left = value(id, 0);
	EQUAL(0, pyipc_sem_remove(id));
	return left;
}

static void what_a_killed_holder_took_comes_back_only_with_undo(void)
{
	EQUAL(1, value_after_a_killed_holder(PYIPC_SEM_UNDO));
	EQUAL(0, value_after_a_killed_holder(0));
}

static void a_killed_holder_with_undo_lets_the_next_one_in(void)
{
	static const struct pyipc_sem_op hold = { .delta = -1, .flags = PYIPC_SEM_UNDO };
	int id = set_of(1, 1);
	pid_t holder = fork_child();
	pid_t next;

	if (holder == 0) {
		(void) pyipc_now_sem_op(id, &hold, 1);
		for (;;)
			(void) pause();
	}
	WAIT_FOR(value(id, 0) == 0);
	next = child_that_does_until_it_is_over(id, &take);
	WAIT_FOR(waiters(id) == 1);
	EQUAL(1000 + SIGKILL, kill_and_reap(holder));
	EQUAL(0, end_of(next));
	EQUAL(0, pyipc_sem_remove(id));
}

/* ---- values, stat, set ---- */

static void values_are_read_and_written_one_by_one_and_together(void)
{
	static const uint16_t three[3] = { 0, SEMVMX, 5 };
	static const uint16_t too_much[3] = { 1, 1, SEMVMX + 1 };
	uint16_t values[3];
	int id = set_of(3, 9);

	EQUAL(0, pyipc_now_sem_set_all(id, three));
	EQUAL(0, pyipc_now_sem_get_all(id, values));
	EQUAL(0, memcmp(values, three, sizeof values));
	EQUAL(-ERANGE, pyipc_now_sem_set_all(id, too_much));
	EQUAL(0, pyipc_now_sem_set_value(id, 0, 7));
	EQUAL(7, value(id, 0));
	EQUAL(-ERANGE, pyipc_now_sem_set_value(id, 0, -1));
	EQUAL(-ERANGE, pyipc_now_sem_set_value(id, 0, SEMVMX + 1));
	EQUAL(-EINVAL, pyipc_now_sem_set_value(id, 3, 1));
	EQUAL(-EINVAL, pyipc_now_sem_set_value(id, -1, 1));
	EQUAL(-EINVAL, value(id, 3));
	EQUAL(-EINVAL, value(id, -1));
	EQUAL(7, value(id, 0));
	EQUAL(SEMVMX, value(id, 1));
	EQUAL(0, pyipc_sem_remove(id));
}

static void asking_for_what_there_is_not_is_einval(void)
{
	int id = set_of(1, 1);

	EQUAL(-EINVAL, pyipc_now_sem_get(id, 0, -1));
	EQUAL(-EINVAL, pyipc_now_sem_get(id, 0, 4));
	EQUAL(-EINVAL, pyipc_now_sem_get(id, 0, INT32_MAX));
	EQUAL(0, pyipc_sem_remove(id));
}

/* SEMMSL can be raised until a set has more values than an array of 65536 has room for. */
static void a_set_with_more_values_than_indices_is_not_read_past_the_array(void)
{
	uint16_t *values = malloc(2 * EVERY_INDEX * sizeof *values);
	char limits[64];
	int id = -1;

	memset(values, UNTOUCHED, 2 * EVERY_INDEX * sizeof *values);
	if (own_namespace && read_setting("/proc/sys/kernel/sem", limits, sizeof limits) &&
	    write_setting("/proc/sys/kernel/sem", "70000 1024000000 500 32000")) {
		id = (int) syscall(SYS_semget, IPC_PRIVATE, 70000, IPC_CREAT | 0600);
		CHECK(write_setting("/proc/sys/kernel/sem", limits));
	}
	if (id >= 0) {
		CHECK(pyipc_now_sem_get_all(id, values) < 0);
		CHECK(untouched(values + EVERY_INDEX, EVERY_INDEX * sizeof *values));
		CHECK(pyipc_now_sem_set_all(id, values) < 0);
		EQUAL(0, pyipc_sem_remove(id));
	}
	free(values);
	if (id < 0)
		NOT_RUN("cannot set SEMMSL");
}

static void stat_says_what_the_kernel_knows(void)
{
	static const uint16_t values[2] = { 1, 2 };
	time_t before = time(NULL);
	int id = pyipc_sem_create(KEY, values, 2, 0640);
	struct pyipc_sem_stat stat = stat_of(id);

	EQUAL(KEY, stat.owner.key);
	EQUAL(0640, stat.owner.mode);
	EQUAL(geteuid(), stat.owner.uid);
	EQUAL(getegid(), stat.owner.gid);
	EQUAL(geteuid(), stat.owner.creator_uid);
	EQUAL(getegid(), stat.owner.creator_gid);
	EQUAL(2, stat.count);
	CHECK(stat.op_time >= before - 1 && stat.op_time <= time(NULL));
	CHECK(stat.change_time >= before - 1 && stat.change_time <= time(NULL));
	EQUAL(0, pyipc_sem_remove(id));
}

static void set_changes_what_was_asked_and_nothing_else(void)
{
	int id = set_of(1, 1);

	EQUAL(0, pyipc_now_sem_set(id, -1, -1, 07640));
	EQUAL(0640, stat_of(id).owner.mode);
	EQUAL(geteuid(), stat_of(id).owner.uid);
	EQUAL(getegid(), stat_of(id).owner.gid);
	if (pyipc_now_sem_set(id, -1, NOBODY, -1) == 0) {	/* not where only root is mapped */
		EQUAL(NOBODY, stat_of(id).owner.gid);
		EQUAL(geteuid(), stat_of(id).owner.uid);
		EQUAL(0640, stat_of(id).owner.mode);
	}
	EQUAL(-EINVAL, pyipc_now_sem_set(id, INT64_C(1) << 32, -1, -1));
	EQUAL(-EINVAL, pyipc_now_sem_set(id, -1, INT64_C(1) << 32, -1));
	EQUAL(geteuid(), stat_of(id).owner.uid);
	EQUAL(0, pyipc_sem_remove(id));
}

static void every_call_on_a_removed_set_says_so(void)
{
	int ids[] = { set_of(1, 1), -1, INT32_MIN, INT32_MAX };
	struct pyipc_sem_stat stat;
	uint16_t values[4];

	EQUAL(0, pyipc_sem_remove(ids[0]));
	memset(&stat, UNTOUCHED, sizeof stat);
	memset(values, UNTOUCHED, sizeof values);
	for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
		EQUAL(-EIDRM, pyipc_now_sem_take(ids[i]));
		EQUAL(-EIDRM, pyipc_now_sem_give(ids[i]));
		EQUAL(-EIDRM, pyipc_now_sem_op(ids[i], &take, 1));
		EQUAL(-EIDRM, pyipc_sem_op(ids[i], &take, 1, 0));
		EQUAL(-EIDRM, pyipc_sem_op(ids[i], &take, 1, INT64_MAX));
		EQUAL(-EIDRM, value(ids[i], 0));
		EQUAL(-EIDRM, pyipc_now_sem_set_value(ids[i], 0, 1));
		EQUAL(-EIDRM, pyipc_now_sem_get_all(ids[i], values));
		EQUAL(-EIDRM, pyipc_now_sem_set_all(ids[i], values));
		EQUAL(-EIDRM, pyipc_now_sem_stat(ids[i], &stat));
		EQUAL(-EIDRM, pyipc_now_sem_set(ids[i], -1, -1, 0600));
		EQUAL(-EIDRM, pyipc_sem_remove(ids[i]));
	}
	CHECK(untouched(&stat, sizeof stat));
	CHECK(untouched(values, sizeof values));
}

static int as_nobody(int id)
{
	struct pyipc_sem_stat stat;
	uint16_t values[1];

	if (!become_nobody())
		return CANNOT;
	memset(&stat, UNTOUCHED, sizeof stat);
	memset(values, UNTOUCHED, sizeof values);
	return !(pyipc_now_sem_stat(id, &stat) == -EACCES && untouched(&stat, sizeof stat) &&
		 pyipc_now_sem_get_all(id, values) == -EACCES && untouched(values, sizeof values) &&
		 pyipc_now_sem_take(id) == -EACCES && pyipc_sem_op(id, &take, 1, INT64_MAX) == -EACCES &&
		 value(id, 0) == -EACCES && pyipc_now_sem_set_value(id, 0, 1) == -EACCES &&
		 pyipc_now_sem_find(KEY, 1) == id && pyipc_now_sem_set(id, -1, -1, 0666) == -EACCES &&
		 pyipc_sem_remove(id) == -EPERM);
}

static void who_has_no_permission_is_told(void)
{
	static const uint16_t values[1] = { 1 };
	int id = pyipc_sem_create(KEY, values, 1, 0600);
	pid_t child = fork_child();
	int status;

	if (child == 0)
		_exit(as_nobody(id));
	status = end_of(child);
	EQUAL(0, pyipc_sem_remove(id));
	if (status == CANNOT)
		NOT_RUN("cannot become another user");
	EQUAL(0, status);
}

static void one_set_too_many_is_enospc(void)
{
	static const uint16_t values[1] = { 1 };
	char limits[64];
	int id;

	if (!own_namespace || !read_setting("/proc/sys/kernel/sem", limits, sizeof limits) ||
	    !write_setting("/proc/sys/kernel/sem", "32000 1024000000 500 1"))
		NOT_RUN("cannot set SEMMNI");
	id = set_of(1, 0);
	EQUAL(-ENOSPC, pyipc_sem_create(IPC_PRIVATE, values, 1, 0600));
	EQUAL(0, pyipc_sem_remove(id));
	CHECK(write_setting("/proc/sys/kernel/sem", limits));
}

int main(void)
{
	begin();
	RUN(a_set_is_born_with_its_values_and_a_time_of_operation);
	RUN(a_set_is_found_by_its_key_until_it_is_removed);
	RUN(a_set_made_by_flags_has_its_value_and_no_operation);
	RUN(a_set_that_cannot_be_made_leaves_nothing);
	RUN(a_set_may_keep_out_its_own_maker);
	RUN(finders_never_see_a_half_made_set_as_ready);
	RUN(making_a_set_does_not_wait_for_a_stranger_who_takes_early);
	RUN(take_and_give_move_the_value_or_say_why_not);
	RUN(operations_are_done_all_or_none);
	RUN(operations_that_make_no_sense_name_the_argument);
	RUN(a_raised_semopm_is_made_use_of_without_waiting);
	RUN(a_deadline_that_is_past_is_one_try);
	RUN(a_wait_ends_at_its_deadline_and_not_before);
	RUN(a_long_wait_goes_up_every_second);
	RUN(an_operation_with_nowait_says_no_at_once);
	RUN(waking_before_the_time_is_no_refusal);
	RUN(a_give_ends_a_wait);
	RUN(reaching_zero_ends_a_wait_for_zero);
	RUN(removing_the_set_ends_every_wait);
	RUN(a_handled_signal_ends_a_wait_and_takes_nothing);
	RUN(even_a_handler_with_restart_ends_a_wait);
	RUN(a_killed_waiter_leaves_the_line);
	RUN(what_a_killed_holder_took_comes_back_only_with_undo);
	RUN(a_killed_holder_with_undo_lets_the_next_one_in);
	RUN(values_are_read_and_written_one_by_one_and_together);
	RUN(asking_for_what_there_is_not_is_einval);
	RUN(a_set_with_more_values_than_indices_is_not_read_past_the_array);
	RUN(stat_says_what_the_kernel_knows);
	RUN(set_changes_what_was_asked_and_nothing_else);
	RUN(every_call_on_a_removed_set_says_so);
	RUN(who_has_no_permission_is_told);
	RUN(one_set_too_many_is_enospc);
	return report();
}
