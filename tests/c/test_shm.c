/* SPDX-License-Identifier: MIT
 *
 * test_shm.c -- sysv_shm.c: segments.
 */
#include "facts.h"

#include <sys/shm.h>
#include <sys/sysinfo.h>

static struct pyipc_shm_stat stat_of(int id)
{
	struct pyipc_shm_stat stat = { 0 };

	EQUAL(0, pyipc_now_shm_stat(id, &stat));
	return stat;
}

static int is_gone(int id)
{
	struct pyipc_shm_stat stat;

	return pyipc_now_shm_stat(id, &stat) == -EIDRM;
}

static char *attach(int id, int flags)
{
	int64_t address = pyipc_shm_attach(id, 0, flags);

	CHECK(address > 0);
	return address > 0 ? (char *) address : NULL;
}

static void a_segment_is_found_by_its_key_until_it_is_removed(void)
{
	int id = pyipc_shm_create(KEY, 5000, 0, 0600);

	CHECK(id >= 0);
	EQUAL(-EEXIST, pyipc_shm_create(KEY, 5000, 0, 0600));
	EQUAL(-EEXIST, pyipc_shm_get(KEY, 5000, IPC_CREAT | IPC_EXCL | 0600));
	EQUAL(id, pyipc_now_shm_find(KEY, 0));
	EQUAL(id, pyipc_now_shm_find(KEY, 5000));
	EQUAL(id, pyipc_shm_get(KEY, 5000, IPC_CREAT | 0600));
	EQUAL(-EINVAL, pyipc_now_shm_find(KEY, 5001));
	EQUAL(0, pyipc_shm_remove(id));
	EQUAL(-ENOENT, pyipc_now_shm_find(KEY, 0));
}

static void sizes_the_kernel_cannot_give_are_refused(void)
{
	int64_t address;

	memset(&address, UNTOUCHED, sizeof address);
	EQUAL(-EINVAL, pyipc_shm_create(IPC_PRIVATE, 0, 0, 0600));
	EQUAL(-EINVAL, pyipc_shm_create(IPC_PRIVATE, UINT64_MAX, 0, 0600));
	CHECK(pyipc_shm_create(IPC_PRIVATE, UINT64_MAX / 2, 0, 0600) < 0);
	EQUAL(-EINVAL, pyipc_shm_create_private(0, 0, 0600, &address));
	EQUAL(-EINVAL, pyipc_shm_create_private(UINT64_MAX, 0, 0600, &address));
	CHECK(untouched(&address, sizeof address));
}

static void what_one_attachment_writes_the_other_reads(void)
{
	int id = pyipc_shm_create(IPC_PRIVATE, 5000, 0, 0600);
	char *one = attach(id, 0);
	char *other = attach(id, 0);

	CHECK(one != other);
	EQUAL(2, stat_of(id).attach_count);
	one[4999] = 'x';
	EQUAL('x', other[4999]);
	EQUAL(0, pyipc_shm_detach(one));
	EQUAL(-EINVAL, pyipc_shm_detach(one));
	EQUAL(0, pyipc_shm_detach(other));
	EQUAL(0, stat_of(id).attach_count);
	EQUAL(0, pyipc_shm_remove(id));
}

static void a_read_only_attachment_cannot_be_written(void)
{
	int id = pyipc_shm_create(IPC_PRIVATE, 5000, 0, 0600);
	char *memory = attach(id, PYIPC_SHM_READ_ONLY);
	int ends[2];

	EQUAL(0, pipe(ends));
	EQUAL(1, write(ends[1], "x", 1));
	EQUAL(-1, read(ends[0], memory, 1));	/* the kernel tries to write there, and may not */
	EQUAL(EFAULT, errno);
	EQUAL(0, memory[0]);
	(void) close(ends[0]);
	(void) close(ends[1]);
	EQUAL(0, pyipc_shm_detach(memory));
	EQUAL(0, pyipc_shm_remove(id));
}

static void an_address_is_taken_as_asked_or_refused(void)
{
	int id = pyipc_shm_create(IPC_PRIVATE, 4096, 0, 0600);
	char *free_place = attach(id, 0);
	char *taken = attach(id, 0);

	EQUAL(0, pyipc_shm_detach(free_place));
	EQUAL((intptr_t) free_place, pyipc_shm_attach(id, (uint64_t) (uintptr_t) free_place, 0));
	EQUAL(-EINVAL, pyipc_shm_attach(id, (uint64_t) (uintptr_t) taken, 0));
	EQUAL(-EINVAL, pyipc_shm_attach(id, (uint64_t) (uintptr_t) taken + 1, 0));
	CHECK(pyipc_shm_attach(id, UINT64_MAX - 4095, 0) < 0);
	EQUAL(0, pyipc_shm_detach(free_place));
	EQUAL(0, pyipc_shm_detach(taken));
	EQUAL(0, pyipc_shm_remove(id));
	EQUAL(-EIDRM, pyipc_shm_attach(id, (uint64_t) (uintptr_t) taken + 1, 0));
}

static void stat_says_what_the_kernel_knows(void)
{
	time_t before = time(NULL);
	int id = pyipc_shm_create(KEY, 5000, 0, 0640);
	struct pyipc_shm_stat stat = stat_of(id);
	char *memory;

	EQUAL(KEY, stat.owner.key);
	EQUAL(0640, stat.owner.mode);
	EQUAL(geteuid(), stat.owner.uid);
	EQUAL(getegid(), stat.owner.gid);
	EQUAL(geteuid(), stat.owner.creator_uid);
	EQUAL(getegid(), stat.owner.creator_gid);
	EQUAL(5000, stat.size);
	EQUAL(5000, pyipc_now_shm_size(id));
	EQUAL(0, stat.attach_count);
	EQUAL(0, stat.attach_time);
	EQUAL(0, stat.detach_time);
	CHECK(stat.change_time >= before - 1 && stat.change_time <= time(NULL));
	EQUAL(getpid(), stat.creator_pid);
	EQUAL(0, stat.last_pid);
	memory = attach(id, 0);
	stat = stat_of(id);
	CHECK(stat.attach_time >= before - 1);
	EQUAL(getpid(), stat.last_pid);
	EQUAL(0, pyipc_shm_remove(id));
	stat = stat_of(id);	/* it lives on while attached, and the flag for that is no mode */
	EQUAL(IPC_PRIVATE, stat.owner.key);
	EQUAL(0640, stat.owner.mode);
	EQUAL(0, pyipc_shm_detach(memory));
	CHECK(is_gone(id));
}

static void set_changes_what_was_asked_and_nothing_else(void)
{
	int id = pyipc_shm_create(IPC_PRIVATE, 1, 0, 0600);

	EQUAL(0, pyipc_now_shm_set(id, -1, -1, 07640));
	EQUAL(0640, stat_of(id).owner.mode);
	EQUAL(geteuid(), stat_of(id).owner.uid);
	EQUAL(getegid(), stat_of(id).owner.gid);
	if (pyipc_now_shm_set(id, NOBODY, -1, -1) == 0) {	/* not where only root is mapped */
		EQUAL(NOBODY, stat_of(id).owner.uid);
		EQUAL(getegid(), stat_of(id).owner.gid);
		EQUAL(0640, stat_of(id).owner.mode);
		EQUAL(geteuid(), stat_of(id).owner.creator_uid);
	}
	EQUAL(0, pyipc_shm_remove(id));
}

static void an_owner_out_of_range_is_refused_and_not_cut_to_32_bits(void)
{
	int id = pyipc_shm_create(IPC_PRIVATE, 1, 0, 0600);

	EQUAL(-EINVAL, pyipc_now_shm_set(id, INT64_C(1) << 32, -1, -1));
	EQUAL(-EINVAL, pyipc_now_shm_set(id, -1, INT64_C(1) << 32, -1));
	EQUAL(-EINVAL, pyipc_now_shm_set(id, UINT32_MAX, -1, -1));
	EQUAL(geteuid(), stat_of(id).owner.uid);
	EQUAL(getegid(), stat_of(id).owner.gid);
	EQUAL(0, pyipc_shm_remove(id));
}

static void a_segment_is_locked_and_unlocked(void)
{
	int id = pyipc_shm_create(IPC_PRIVATE, 4096, 0, 0600);
	struct shmid_ds raw;

	EQUAL(0, pyipc_shm_lock(id, 1));
	EQUAL(0, shmctl(id, IPC_STAT, &raw));
	CHECK(raw.shm_perm.mode & SHM_LOCKED);
	EQUAL(0600, stat_of(id).owner.mode);
	EQUAL(0, pyipc_shm_lock(id, 0));
	EQUAL(0, shmctl(id, IPC_STAT, &raw));
	CHECK(!(raw.shm_perm.mode & SHM_LOCKED));
	EQUAL(0, pyipc_shm_remove(id));
}

static void every_call_on_a_removed_segment_says_so(void)
{
	int ids[] = { pyipc_shm_create(IPC_PRIVATE, 1, 0, 0600), -1, INT32_MIN, INT32_MAX };
	struct pyipc_shm_stat stat;

	EQUAL(0, pyipc_shm_remove(ids[0]));
	memset(&stat, UNTOUCHED, sizeof stat);
	for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
		EQUAL(-EIDRM, pyipc_shm_attach(ids[i], 0, 0));
		EQUAL(-EIDRM, pyipc_now_shm_stat(ids[i], &stat));
		EQUAL(-EIDRM, pyipc_now_shm_size(ids[i]));
		EQUAL(-EIDRM, pyipc_now_shm_set(ids[i], -1, -1, 0600));
		EQUAL(-EIDRM, pyipc_shm_lock(ids[i], 1));
		EQUAL(-EIDRM, pyipc_shm_remove(ids[i]));
	}
	CHECK(untouched(&stat, sizeof stat));
}

static int as_nobody(int id)
{
	struct pyipc_shm_stat stat;

	if (!become_nobody())
		return CANNOT;
	memset(&stat, UNTOUCHED, sizeof stat);
	return !(pyipc_now_shm_stat(id, &stat) == -EACCES && untouched(&stat, sizeof stat) &&
		 pyipc_now_shm_size(id) == -EACCES && pyipc_shm_attach(id, 0, 0) == -EACCES &&
		 pyipc_now_shm_find(KEY, 1) == id &&
		 pyipc_now_shm_set(id, -1, -1, 0666) == -EACCES && pyipc_shm_remove(id) == -EPERM);
}

static void who_has_no_permission_is_told(void)
{
	int id = pyipc_shm_create(KEY, 1, 0, 0600);
	pid_t child = fork_child();
	int status;

	if (child == 0)
		_exit(as_nobody(id));
	status = end_of(child);
	EQUAL(0, pyipc_shm_remove(id));
	if (status == CANNOT)
		NOT_RUN("cannot become another user");
	EQUAL(0, status);
}

static void one_segment_too_many_is_enospc(void)
{
	char limit[32];
	int64_t address;
	int id;

	if (!own_namespace || !read_setting("/proc/sys/kernel/shmmni", limit, sizeof limit) ||
	    !write_setting("/proc/sys/kernel/shmmni", "1"))
		NOT_RUN("cannot set SHMMNI");
	memset(&address, UNTOUCHED, sizeof address);
	id = pyipc_shm_create(IPC_PRIVATE, 1, 0, 0600);
	CHECK(id >= 0);
	EQUAL(-ENOSPC, pyipc_shm_create(IPC_PRIVATE, 1, 0, 0600));
	EQUAL(-ENOSPC, pyipc_shm_create_private(1, 0, 0600, &address));
	CHECK(untouched(&address, sizeof address));
	EQUAL(0, pyipc_shm_remove(id));
	CHECK(write_setting("/proc/sys/kernel/shmmni", limit));
}

static void more_than_there_is_needs_no_reserve(void)
{
	char overcommit[8];
	struct sysinfo machine;
	uint64_t size;
	int id;

	if (!read_setting("/proc/sys/vm/overcommit_memory", overcommit, sizeof overcommit) ||
	    *overcommit != '0')
		NOT_RUN("vm.overcommit_memory is not 0");
	EQUAL(0, sysinfo(&machine));
	size = 2 * ((uint64_t) machine.totalram + machine.totalswap) * machine.mem_unit;
	EQUAL(-ENOMEM, pyipc_shm_create(IPC_PRIVATE, size, 0, 0600));
	id = pyipc_shm_create(IPC_PRIVATE, size, PYIPC_SHM_NO_RESERVE, 0600);
	CHECK(id >= 0);
	EQUAL(size, stat_of(id).size);
	EQUAL(0, pyipc_shm_remove(id));
}

/* Of huge pages there may be one; nobody can attach it, but anybody can make it. */
static void a_size_beyond_63_bits_is_an_error_and_not_a_negative_size(void)
{
	int flags = PYIPC_SHM_NO_RESERVE | PYIPC_SHM_HUGE_2M;
	int id = pyipc_shm_create(IPC_PRIVATE, UINT64_C(1) << 63, flags, 0600);

	if (id < 0)
		NOT_RUN("the kernel makes no segment that large");
	EQUAL(UINT64_C(1) << 63, stat_of(id).size);
	EQUAL(-EOVERFLOW, pyipc_now_shm_size(id));
	EQUAL(0, pyipc_shm_remove(id));
}

/* Are there none, it is ENOMEM; no such size on this machine, EINVAL; and whatever it says
 * after making the segment, none is left (run() looks). */
static void huge_pages_are_given_or_refused(void)
{
	static const int flags[] = {
		PYIPC_SHM_HUGE_2M, PYIPC_SHM_HUGE_1G, PYIPC_SHM_HUGE_2M | PYIPC_SHM_HUGE_1G,
	};

	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		int64_t address;
		int id;

		memset(&address, UNTOUCHED, sizeof address);
		id = pyipc_shm_create_private(1 << 21, flags[i], 0600, &address);
		if (id >= 0) {
			*(char *) address = 1;
			EQUAL(0, pyipc_shm_detach((char *) address));
		} else {
			CHECK(id == -ENOMEM || id == -EINVAL || id == -EPERM || id == -ENOSYS);
			CHECK(untouched(&address, sizeof address));
		}
	}
}

static void a_private_segment_goes_with_its_last_attachment(void)
{
	int64_t address = 0;
	int id = pyipc_shm_create_private(5000, 0, 0600, &address);
	char *other;

	CHECK(id >= 0 && address > 0);
	EQUAL(1, stat_of(id).attach_count);
	other = attach(id, 0);		/* marked for removal, and yet others may attach it by its id */
	*(char *) address = 'x';
	EQUAL('x', *other);
	EQUAL(0, pyipc_shm_detach((char *) address));
	EQUAL('x', *other);
	EQUAL(0, pyipc_shm_detach(other));
	CHECK(is_gone(id));
}

static void a_private_segment_is_freed_when_all_its_processes_are_killed(void)
{
	int *numbers = shared_numbers();
	pid_t maker, other;
	int id;

	maker = fork_child();
	if (maker == 0) {
		int64_t address;

		tell(numbers, pyipc_shm_create_private(5000, 0, 0600, &address) + 1);
		for (;;)
			(void) pause();
	}
	WAIT_FOR(told(numbers));
	id = told(numbers) - 1;
	other = fork_child();
	if (other == 0) {
		if (pyipc_shm_attach(id, 0, 0) < 0)
			_exit(1);
		for (;;)
			(void) pause();
	}
	WAIT_FOR(stat_of(id).attach_count == 2);
	EQUAL(1000 + SIGKILL, kill_and_reap(maker));
	WAIT_FOR(stat_of(id).attach_count == 1);
	EQUAL(1000 + SIGKILL, kill_and_reap(other));
	WAIT_FOR(is_gone(id));
	(void) munmap(numbers, 4096);
}

int main(void)
{
	begin();
	RUN(a_segment_is_found_by_its_key_until_it_is_removed);
	RUN(sizes_the_kernel_cannot_give_are_refused);
	RUN(what_one_attachment_writes_the_other_reads);
	RUN(a_read_only_attachment_cannot_be_written);
	RUN(an_address_is_taken_as_asked_or_refused);
	RUN(stat_says_what_the_kernel_knows);
	RUN(set_changes_what_was_asked_and_nothing_else);
	RUN(an_owner_out_of_range_is_refused_and_not_cut_to_32_bits);
	RUN(a_segment_is_locked_and_unlocked);
	RUN(every_call_on_a_removed_segment_says_so);
	RUN(who_has_no_permission_is_told);
	RUN(one_segment_too_many_is_enospc);
	RUN(more_than_there_is_needs_no_reserve);
	RUN(a_size_beyond_63_bits_is_an_error_and_not_a_negative_size);
	RUN(huge_pages_are_given_or_refused);
	RUN(a_private_segment_goes_with_its_last_attachment);
	RUN(a_private_segment_is_freed_when_all_its_processes_are_killed);
	return report();
}
