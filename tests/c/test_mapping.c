/* SPDX-License-Identifier: MIT
 *
 * test_mapping.c -- mapping.c: copying, and making pages present.
 */
#include "facts.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23	/* Linux 5.14 */
#endif

enum { PAGES = 64 };

static uint64_t page_size(void)
{
	return (uint64_t) sysconf(_SC_PAGESIZE);
}

static char *segment(uint64_t size)
{
	int64_t address = 0;

	CHECK(pyipc_shm_create_private(size, 0, 0600, &address) >= 0);
	return (char *) address;
}

static int present(char *memory)
{
	unsigned char pages[PAGES];
	int count = 0;

	if (mincore(memory, PAGES * page_size(), pages) != 0)
		return -1;
	for (int i = 0; i < PAGES; i++)
		count += pages[i] & 1;
	return count;
}

static void copy_copies_exactly_that_many_bytes(void)
{
	char from[] = "0123456789";
	char to[] = "..........";

	EQUAL(0, pyipc_copy(to + 1, from, 5));
	EQUAL(0, strcmp(to, ".01234...."));
	EQUAL(0, pyipc_copy(to, from, 0));
	EQUAL('.', to[0]);
}

static void a_copy_within_one_memory_may_overlap(void)
{
	char memory[100];

	for (int i = 0; i < 100; i++)
		memory[i] = (char) i;
	EQUAL(0, pyipc_copy(memory + 10, memory, 80));
	for (int i = 0; i < 80; i++)
		EQUAL(i, memory[10 + i]);
}

static void populate_makes_every_page_present_and_changes_no_byte(void)
{
	char *memory = segment(PAGES * page_size());

	memory[0] = 'a';
	memory[7 * page_size()] = 'b';
	EQUAL(2, present(memory));
	EQUAL(0, pyipc_populate(memory, PAGES * page_size()));
	EQUAL(PAGES, present(memory));
	EQUAL('a', memory[0]);
	EQUAL('b', memory[7 * page_size()]);
	EQUAL(0, memory[page_size()]);
	EQUAL(0, pyipc_shm_detach(memory));
}

static void populate_makes_the_last_page_present_that_is_not_whole(void)
{
	char *memory = segment((PAGES - 1) * page_size() + 1);

	EQUAL(0, pyipc_populate(memory, (PAGES - 1) * page_size() + 1));
	EQUAL(PAGES, present(memory));
	EQUAL(0, pyipc_shm_detach(memory));
}

static void a_range_that_is_not_mapped_is_enomem(void)
{
	char *memory = segment(PAGES * page_size());

	EQUAL(0, pyipc_shm_detach(memory));
	EQUAL(-ENOMEM, pyipc_populate(memory, PAGES * page_size()));
}

static void populating_memory_that_cannot_be_written_is_an_error(void)
{
	char *memory = segment(PAGES * page_size());
	pid_t child = fork_child();

	if (child == 0) {
		(void) mprotect(memory, PAGES * page_size(), PROT_READ);
		_exit(-pyipc_populate(memory, PAGES * page_size()));
	}
	EQUAL(EINVAL, end_of(child));
	EQUAL(0, pyipc_shm_detach(memory));
}

/* ---- a kernel before 5.14 ---- */

static int old_kernel(void)
{
	return answer(SYS_madvise, EINVAL, 2, MADV_POPULATE_WRITE);
}

static void an_old_kernel_has_every_page_touched(void)
{
	char *memory = segment(PAGES * page_size());
	pid_t child = fork_child();
	int status;

	memory[0] = 'a';
	if (child == 0)
		_exit(old_kernel() ? -pyipc_populate(memory, PAGES * page_size()) : CANNOT);
	status = end_of(child);
	if (status != CANNOT) {
		EQUAL(0, status);
		EQUAL(PAGES, present(memory));
		EQUAL('a', memory[0]);
		EQUAL(0, memory[page_size()]);
	}
	EQUAL(0, pyipc_shm_detach(memory));
	if (status == CANNOT)
		NOT_RUN("no seccomp filter can be set");
}

static void a_touch_undoes_no_store_of_another_process(void)
{
	char *memory = segment(page_size());
	uint64_t *counter = (uint64_t *) (void *) memory;
	uint64_t count = 0;
	siginfo_t info = { 0 };
	pid_t child = fork_child();

	if (child == 0) {
		if (!old_kernel())
			_exit(CANNOT);
		for (int i = 0; i < 20000; i++)
			(void) pyipc_populate(memory, page_size());
		_exit(0);
	}
	while (!info.si_pid) {
		for (int i = 0; i < 1000; i++, count++)
			(void) __atomic_fetch_add(counter, 1, __ATOMIC_SEQ_CST);
		EQUAL(0, waitid(P_PID, (id_t) child, &info, WEXITED | WNOHANG | WNOWAIT));
	}
	EQUAL(count, *counter);
	EQUAL(0, pyipc_shm_detach(memory));
	if (end_of(child) == CANNOT)
		NOT_RUN("no seccomp filter can be set");
}

int main(void)
{
	begin();
	RUN(copy_copies_exactly_that_many_bytes);
	RUN(a_copy_within_one_memory_may_overlap);
	RUN(populate_makes_every_page_present_and_changes_no_byte);
	RUN(populate_makes_the_last_page_present_that_is_not_whole);
	RUN(a_range_that_is_not_mapped_is_enomem);
	RUN(populating_memory_that_cannot_be_written_is_an_error);
	RUN(an_old_kernel_has_every_page_touched);
	RUN(a_touch_undoes_no_store_of_another_process);
	return report();
}
