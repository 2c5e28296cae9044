/* SPDX-License-Identifier: MIT
 *
 * test_spawn.c -- spawn.c: a program in a process of its own; pidfd.c: how it ended.
 *
 * The program is this one, as a rule: given arguments, it looks at what it is, and tells by its status.
 */
#include "facts.h"

#include <grp.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/time.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif

/* ---- in the child ---- */

/* That it has the descriptors NUMBER=INODE, and no others. */
static int has_descriptors(int count, char **words)
{
	DIR *list = opendir("/proc/self/fd");
	int wrong = 0, found = -1;	/* the list */

	for (struct dirent *entry; list && (entry = readdir(list));)
		found += entry->d_name[0] != '.';
	if (list)
		(void) closedir(list);
	for (int i = 0; i < count; i++) {
		struct stat what;
		char *inode;
		long number = strtol(words[i], &inode, 10);

		wrong += fstat((int) number, &what) != 0 || what.st_ino != strtoul(inode + 1, NULL, 10);
	}
	return wrong ? wrong : found == count ? 0 : 100 + found;
}

static int line_of_status(const char *name, char *ret_value, size_t room)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[4096];
	size_t size = strlen(name);

	while (file && fgets(line, sizeof line, file))
		if (strncmp(line, name, size) == 0) {
			(void) snprintf(ret_value, room, "%s", line + size);
			ret_value[strcspn(ret_value, "\n")] = '\0';
			(void) fclose(file);
			return 1;
		}
	if (file)
		(void) fclose(file);
	return 0;
}

/* "Uid:" "\t5\t5\t5\t5", and so on. */
static int has_status(int count, char **words)
{
	int wrong = 0;

	for (int i = 0; i + 1 < count; i += 2) {
		char value[4096];

		if (!line_of_status(words[i], value, sizeof value) || strcmp(value, words[i + 1]) != 0) {
			printf("%s %s, not %s\n", words[i], value, words[i + 1]);
			wrong++;
		}
	}
	return wrong;
}

static int look(int count, char **words)
{
	const char *what = words[0];
	char place[4096] = "";
	int tty;

	if (strcmp(what, "exits") == 0)
		return atoi(words[1]);
	if (strcmp(what, "descriptors") == 0)
		return has_descriptors(count - 1, words + 1);
	if (strcmp(what, "status") == 0)
		return has_status(count - 1, words + 1);
	if (strcmp(what, "session") == 0)
		return getsid(0) != getpid();
	if (strcmp(what, "group") == 0)
		return getpgrp() != (words[1] ? atoi(words[1]) : getpid());
	if (strcmp(what, "umask") == 0)
		return (int) umask(0);
	if (strcmp(what, "directory") == 0)
		return !getcwd(place, sizeof place) || strcmp(place, words[1]) != 0;
	if (strcmp(what, "terminal") == 0) {
		tty = open("/dev/tty", O_RDWR | O_CLOEXEC);
		return tty < 0 || getsid(0) != getpid() || tcgetpgrp(tty) != getpgrp();
	}
	if (strcmp(what, "variable") == 0)
		return !getenv(words[1]) || strcmp(getenv(words[1]), words[2]) != 0;
	if (strcmp(what, "sleeps") == 0)
		for (;;)
			(void) pause();
	return 99;
}

/* ---- plans ---- */

static char self[4096];		/* this program's path */
static char words[4096], paths[4096];
static char *room[100];
static int32_t sources[16], targets[16];

static uint32_t listed(char *list, va_list more)
{
	uint32_t count = 0;

	for (const char *word; (word = va_arg(more, const char *)); count++)
		list += sprintf(list, "%s", word) + 1;
	return count;
}

static struct pyipc_spawn plan_of(const char *what, ...)
{
	struct pyipc_spawn plan = {
		.paths = self, .path_count = 1, .words = words, .room = room, .variables = "A=b\0C=",
		.variable_count = 2, .sources = sources, .targets = targets, .process_group = -1, .umask = -1,
		.uid = -1, .gid = -1, .group_count = -1, .step = -1,
	};
	va_list more;

	va_start(more, what);
	(void) sprintf(words, "test%c%s", 0, what);
	plan.word_count = 2 + listed(words + 6 + strlen(what), more);
	va_end(more);
	return plan;
}

/* NULL at the end. */
static void look_in(struct pyipc_spawn *plan, const char *first, ...)
{
	va_list more;

	va_start(more, first);
	plan->paths = paths;
	(void) sprintf(paths, "%s", first);
	plan->path_count = 1 + listed(paths + strlen(first) + 1, more);
	va_end(more);
}

static void move(struct pyipc_spawn *plan, int from, int to)
{
	sources[plan->moves] = from;
	targets[plan->moves++] = to;
}

/* Its pid; what went wrong, of which nothing is left. */
static int64_t start(struct pyipc_spawn *plan, int32_t *ret_pidfd)
{
	int64_t pid;

	*ret_pidfd = nothing_yet();
	pid = pyipc_spawn(plan, ret_pidfd);
	if (pid < 0) {
		CHECK(is_untouched(*ret_pidfd));
		return pid;
	}
	CHECK(pid > 1);
	CHECK(is_close_on_exec(*ret_pidfd));
	return pid;
}

/* Its status, as end_of() has it; or what went wrong. */
static int64_t result_of(struct pyipc_spawn *plan)
{
	int32_t pidfd;
	int64_t pid = start(plan, &pidfd);

	if (pid < 0)
		return pid;
	EQUAL(0, pyipc_fd_close(&pidfd));
	return end_of((pid_t) pid);
}

static int64_t soon(void)
{
	return now_ns() + (int64_t) PATIENCE_S * PYIPC_SECOND;
}

static const char *why_not(void)
{
	struct pyipc_spawn plan = plan_of("exits", "0", NULL);
	int32_t pidfd = -1;
	int64_t pid;

	if (getenv("PYIPC_EMULATED"))
		return "an emulator shares no memory with a child";
	pid = pyipc_spawn(&plan, &pidfd);
	if (pid > 0)
		(void) end_of((pid_t) pid);
	(void) pyipc_fd_close(&pidfd);
	return pid == -ENOSYS ? "the kernel gives no pidfd" : NULL;
}

/* ---- it runs ---- */

static void a_program_runs(void)
{
	struct pyipc_spawn plan = plan_of("exits", "42", NULL);
	int32_t pidfd;
	int64_t pid;
	siginfo_t info;

	plan = plan_of("exits", "42", NULL);
	pid = start(&plan, &pidfd);
	EQUAL(0, wait_on(pidfd, PYIPC_READABLE));
	EQUAL(0, waitid((idtype_t) 3, (id_t) pidfd, &info, WEXITED | WNOWAIT));
	EQUAL(pid, info.si_pid);
	EQUAL(42, end_of((pid_t) pid));
	EQUAL(0, pyipc_fd_close(&pidfd));
}

static void it_has_its_words_and_variables(void)
{
	struct pyipc_spawn plan;

	plan = plan_of("variable", "A", "b", NULL);
	EQUAL(0, result_of(&plan));
	plan = plan_of("variable", "C", "", NULL);
	EQUAL(0, result_of(&plan));
	plan = plan_of("variable", "HOME", "", NULL);
	EQUAL(1, result_of(&plan));
	plan.variable_count = 0;
	plan.variables = "";
	EQUAL(1, result_of(&plan));
	plan = plan_of("exits", "3", "an argument with spaces", "", "", NULL);
	EQUAL(3, result_of(&plan));
}

/* ---- where it is looked for ---- */

static void the_first_that_is_there_is_run(void)
{
	struct pyipc_spawn plan;

	plan = plan_of("exits", "5", NULL);
	look_in(&plan, "/no/such/place", "/etc/passwd/below-a-file", self, "/bin/false", NULL);
	EQUAL(5, result_of(&plan));
	look_in(&plan, "/no/such/place", "/etc/passwd/below-a-file", NULL);
	EQUAL(-ENOTDIR, result_of(&plan));
	EQUAL(PYIPC_SPAWN_EXEC, plan.step);
	look_in(&plan, "/etc/passwd/below-a-file", "/no/such/place", NULL);
	EQUAL(-ENOENT, result_of(&plan));
	plan.path_count = 0;
	EQUAL(-ENOENT, result_of(&plan));
	EQUAL(PYIPC_SPAWN_EXEC, plan.step);
}

static void what_may_not_be_run_is_told_if_no_other_can_be(void)
{
	struct pyipc_spawn plan;

	plan = plan_of("exits", "5", NULL);
	look_in(&plan, "/etc/passwd", "/tmp", self, NULL);
	EQUAL(5, result_of(&plan));
	look_in(&plan, "/etc/passwd", "/no/such/place", NULL);
	EQUAL(-EACCES, result_of(&plan));
	EQUAL(PYIPC_SPAWN_EXEC, plan.step);
	look_in(&plan, "/no/such/place", "/tmp", NULL);
	EQUAL(-EACCES, result_of(&plan));
}

/* What is there and is no program ends the search. */
static void a_file_that_is_no_program_is_enoexec(void)
{
	char file[] = "/tmp/pyipc-test-XXXXXX";
	struct pyipc_spawn plan;
	int number;

	number = mkostemp(file, O_CLOEXEC);
	EQUAL(3, write(number, "abc", 3));
	EQUAL(0, fchmod(number, 0755));
	EQUAL(0, close(number));
	plan = plan_of("exits", "5", NULL);
	look_in(&plan, file, self, NULL);
	EQUAL(-ENOEXEC, result_of(&plan));
	EQUAL(0, unlink(file));
}

/* ---- descriptors ---- */

static int file_of_memory(void)
{
	return memfd_create("test", MFD_CLOEXEC);
}

static const char *inode_of(int number)
{
	static char texts[16][40];
	static int next;
	struct stat what = { 0 };
	char *text = texts[next++ % 16];

	(void) fstat(number, &what);
	(void) sprintf(text, "%lu", (unsigned long) what.st_ino);
	return text;
}

static const char *seen(int as, int number)
{
	static char texts[16][60];
	static int next;
	char *text = texts[next++ % 16];

	(void) sprintf(text, "%d=%s", as, inode_of(number));
	return text;
}

/* Many that a program would inherit, if nobody took care. */
static void open_many(int *many, int count)
{
	for (int i = 0; i < count; i++)
		many[i] = fcntl(STDOUT_FILENO, F_DUPFD, 20);
}

static void close_many(const int *many, int count)
{
	for (int i = 0; i < count; i++)
		EQUAL(0, close(many[i]));
}

static void it_has_the_standard_ones_and_no_others(void)
{
	int many[300];
	struct pyipc_spawn plan;

	open_many(many, 300);
	plan = plan_of("descriptors", seen(0, 0), seen(1, 1), seen(2, 2), NULL);
	EQUAL(0, result_of(&plan));
	close_many(many, 300);
}

static int closes_by_the_list(int error_number)
{
	int many[300], one = file_of_memory();
	struct pyipc_spawn plan;

	open_many(many, 300);
	if (!answer(SYS_close_range, error_number, -1, 0))
		return CANNOT;
	plan = plan_of("descriptors", seen(0, 0), seen(1, 1), seen(2, 2), seen(9, one), NULL);
	move(&plan, one, 9);
	EQUAL(0, result_of(&plan));
	for (int i = 0; i < 300; i++)	/* ours are as they were */
		EQUAL(0, fcntl(many[i], F_GETFD));
	return all_was_well();
}

static void so_it_is_on_kernels_without_close_range(void)
{
	static const int errors[] = { ENOSYS, EINVAL, EPERM };

	for (int i = 0; i < 3; i++) {
		pid_t child = fork_child();
		int status;

		if (child == 0)
			_exit(closes_by_the_list(errors[i]));
		status = end_of(child);
		if (status == CANNOT)
			NOT_RUN("no system call can be answered for the kernel");
		EQUAL(0, status);
	}
}

static void descriptors_become_others(void)
{
	struct pyipc_spawn plan;
	int one, two;

	one = file_of_memory();
	two = file_of_memory();
	plan = plan_of("descriptors", seen(0, one), seen(1, two), seen(2, two), seen(77, one), NULL);
	move(&plan, one, 0);
	move(&plan, two, 1);
	move(&plan, two, 2);
	move(&plan, one, 77);
	EQUAL(0, result_of(&plan));
	plan = plan_of("descriptors", seen(0, 0), seen(1, 1), seen(2, 2), seen(one, one), NULL);
	move(&plan, one, one);		/* which clears close-on-exec, in the child alone */
	EQUAL(0, result_of(&plan));
	CHECK(is_close_on_exec(one));
	EQUAL(0, close(one));
	EQUAL(0, close(two));
}

static void they_may_take_each_others_places(void)
{
	struct pyipc_spawn plan;
	int a, b, c;

	a = file_of_memory();
	b = file_of_memory();
	c = file_of_memory();
	plan = plan_of("descriptors", seen(0, 0), seen(1, 1), seen(2, 2), seen(a, b), seen(b, c), seen(c, a), NULL);
	move(&plan, b, a);
	move(&plan, c, b);
	move(&plan, a, c);
	EQUAL(0, result_of(&plan));
	plan = plan_of("descriptors", seen(0, 0), seen(1, 1), seen(2, 2), seen(a, a), seen(b, a), seen(c, b), NULL);
	move(&plan, b, c);
	move(&plan, a, b);
	move(&plan, a, a);
	EQUAL(0, result_of(&plan));
	EQUAL(0, close(a));
	EQUAL(0, close(b));
	EQUAL(0, close(c));
}

static int swaps_standard_ones(void)
{
	struct pyipc_spawn plan;
	const char *in, *out;

	EQUAL(0, dup2(file_of_memory(), 0));
	EQUAL(2, dup2(1, 2));
	in = seen(0, 1);
	out = seen(1, 0);
	plan = plan_of("descriptors", in, out, seen(2, 0), NULL);
	move(&plan, 0, 2);
	move(&plan, 1, 0);
	move(&plan, 0, 1);
	EQUAL(0, result_of(&plan));
	return all_was_well();
}

static void input_and_output_may_be_swapped(void)
{
	pid_t child;

	child = fork_child();
	if (child == 0)
		_exit(swaps_standard_ones());
	EQUAL(0, end_of(child));
}

/* Those who say nothing can be heard are told by their status alone. */
static int has_none_of_the_three(void)
{
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct pyipc_spawn plan =
		plan_of("descriptors", seen(0, nothing), seen(1, nothing), seen(2, nothing), NULL);
	int32_t pidfd = -1;
	int64_t pid;

	(void) close(nothing);
	for (int i = 0; i < 3; i++)
		(void) close(i);
	pid = pyipc_spawn(&plan, &pidfd);
	return pid < 0 ? 50 : !is_close_on_exec(pidfd) ? 51 : end_of((pid_t) pid);
}

static int hides_one_of_the_three(void)
{
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct pyipc_spawn plan;

	(void) fcntl(0, F_SETFD, FD_CLOEXEC);
	plan = plan_of("descriptors", seen(0, nothing), seen(1, 1), seen(2, 2), NULL);
	EQUAL(0, result_of(&plan));
	return all_was_well();
}

static void where_we_have_none_it_has_dev_null(void)
{
	pid_t child;

	child = fork_child();
	if (child == 0)
		_exit(has_none_of_the_three());
	EQUAL(0, end_of(child));
	child = fork_child();
	if (child == 0)
		_exit(hides_one_of_the_three());
	EQUAL(0, end_of(child));
}

static void what_is_not_open_cannot_be_given(void)
{
	struct pyipc_spawn plan;

	plan = plan_of("exits", "0", NULL);
	move(&plan, closed_number(), 5);
	EQUAL(-EBADF, result_of(&plan));
	EQUAL(PYIPC_SPAWN_DESCRIPTORS, plan.step);
	plan = plan_of("exits", "0", NULL);
	move(&plan, closed_number(), closed_number());
	EQUAL(-EBADF, result_of(&plan));
	plan = plan_of("exits", "0", NULL);
	move(&plan, -1, 5);
	EQUAL(-EBADF, result_of(&plan));
}

static int is_at_the_limit(void)
{
	struct rlimit limit = { .rlim_cur = 100, .rlim_max = 100 };
	struct pyipc_spawn plan = plan_of("exits", "0", NULL);

	EQUAL(0, setrlimit(RLIMIT_NOFILE, &limit));
	move(&plan, 1, 100);
	EQUAL(-EMFILE, result_of(&plan));
	EQUAL(PYIPC_SPAWN_DESCRIPTORS, plan.step);
	plan = plan_of("exits", "0", NULL);
	move(&plan, 0, 99);
	EQUAL(0, result_of(&plan));
	plan = plan_of("exits", "0", NULL);
	move(&plan, 0, 99);	/* what stood in for 0 would be 100 */
	move(&plan, 1, 0);
	EQUAL(-EMFILE, result_of(&plan));
	return all_was_well();
}

static int has_no_room(void)
{
	struct pyipc_spawn plan = plan_of("exits", "0", NULL);

	leave_room_for(0);
	EQUAL(-EMFILE, result_of(&plan));
	EQUAL(PYIPC_SPAWN_CLONE, plan.step);
	return all_was_well();
}

static void no_room_for_descriptors_is_emfile(void)
{
	pid_t child;

	child = fork_child();
	if (child == 0)
		_exit(is_at_the_limit());
	EQUAL(0, end_of(child));
	child = fork_child();
	if (child == 0)
		_exit(has_no_room());
	EQUAL(0, end_of(child));
}

/* ---- sessions, groups, terminals, and the rest ---- */

static void it_may_lead_a_session_or_a_group(void)
{
	struct pyipc_spawn plan;

	plan = plan_of("session", NULL);
	EQUAL(1, result_of(&plan));
	plan.flags = PYIPC_SPAWN_NEW_SESSION;
	EQUAL(0, result_of(&plan));
	plan = plan_of("group", NULL);
	EQUAL(1, result_of(&plan));
	plan.process_group = 0;
	EQUAL(0, result_of(&plan));
}

/* Of one that has ended and was not reaped, too. */
static void it_may_join_a_group(void)
{
	struct pyipc_spawn first, second;
	int32_t pidfd;
	int64_t pid;
	char group[20];

	first = plan_of("exits", "0", NULL);
	first.process_group = 0;
	pid = start(&first, &pidfd);
	EQUAL(0, wait_on(pidfd, PYIPC_READABLE));
	(void) sprintf(group, "%d", (int) pid);
	second = plan_of("group", group, NULL);
	second.process_group = (int32_t) pid;
	EQUAL(0, result_of(&second));
	EQUAL(0, end_of((pid_t) pid));
	EQUAL(0, pyipc_fd_close(&pidfd));
	EQUAL(-EPERM, result_of(&second));
	EQUAL(PYIPC_SPAWN_GROUP, second.step);
}

static void it_may_have_a_terminal_of_its_own(void)
{
	struct pyipc_spawn plan;
	int master, slave;

	master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
		NOT_RUN("there are no pseudo-terminals");
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	plan = plan_of("terminal", NULL);
	plan.flags = PYIPC_SPAWN_NEW_SESSION | PYIPC_SPAWN_OWN_TERMINAL;
	for (int i = 0; i < 3; i++)
		move(&plan, slave, i);
	EQUAL(0, result_of(&plan));
	EQUAL(0, close(slave));
	EQUAL(0, close(master));
	plan = plan_of("terminal", NULL);
	plan.flags = PYIPC_SPAWN_NEW_SESSION | PYIPC_SPAWN_OWN_TERMINAL;
	master = file_of_memory();
	move(&plan, master, 0);
	EQUAL(-ENOTTY, result_of(&plan));
	EQUAL(PYIPC_SPAWN_TERMINAL, plan.step);
	EQUAL(0, close(master));
}

static void it_starts_where_it_is_told(void)
{
	struct pyipc_spawn plan;

	plan = plan_of("directory", "/proc", NULL);
	plan.directory = "/proc";
	EQUAL(0, result_of(&plan));
	plan.directory = "/no/such/place";
	EQUAL(-ENOENT, result_of(&plan));
	EQUAL(PYIPC_SPAWN_DIRECTORY, plan.step);
	plan.directory = "/etc/passwd";
	EQUAL(-ENOTDIR, result_of(&plan));
	plan = plan_of("umask", NULL);
	plan.umask = 0123;
	EQUAL(0123, result_of(&plan));
	plan.umask = 0;
	EQUAL(0, result_of(&plan));
	(void) umask(022);
	plan.umask = -1;
	EQUAL(022, result_of(&plan));
	EQUAL(022, umask(022));
}

/* ---- who it is ---- */

static int becomes_another(void)
{
	static const uint32_t groups[] = { 7, 9 };
	static const char *same = "\t65534\t65534\t65534\t65534";
	struct pyipc_spawn plan = plan_of("status", "Uid:", same, "Gid:", same, "Groups:", "\t7 9 ", NULL);

	if (setgroups(0, NULL) != 0)
		return CANNOT;
	look_in(&plan, "/proc/self/exe", NULL);	/* not all of its path may be another's to search */
	plan.uid = plan.gid = NOBODY;
	plan.groups = groups;
	plan.group_count = 2;
	EQUAL(1, prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	EQUAL(0, result_of(&plan));
	EQUAL(1, prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	EQUAL(0, getuid());
	plan = plan_of("status", "Uid:", "\t0\t0\t0\t0", "Gid:", "\t5\t5\t5\t5", "Groups:", "\t ", NULL);
	plan.gid = 5;
	EQUAL(0, result_of(&plan));
	plan = plan_of("status", "Groups:", "\t7 ", NULL);
	plan.groups = groups;
	plan.group_count = 1;
	EQUAL(0, result_of(&plan));
	look_in(&plan, "/no/such/place", NULL);
	plan.uid = NOBODY;
	EQUAL(-ENOENT, result_of(&plan));
	EQUAL(1, prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	(void) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);	/* our own wish stays */
	EQUAL(-ENOENT, result_of(&plan));
	EQUAL(0, prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	return all_was_well();
}

static void root_may_make_it_another_users(void)
{
	pid_t child;
	int status;

	if (geteuid() != 0)
		NOT_RUN("only root can become another user");
	child = fork_child();
	if (child == 0)
		_exit(becomes_another());
	status = end_of(child);
	if (status == CANNOT)
		NOT_RUN("not in this user namespace");
	EQUAL(0, status);
}

static int wants_to_be_root(void)
{
	static const uint32_t groups[] = { 0 };
	struct pyipc_spawn plan;

	if (!become_nobody())
		return CANNOT;
	(void) prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	for (int i = 0; i < 3; i++) {
		plan = plan_of("exits", "0", NULL);
		plan.uid = i == 0 ? 0 : -1;
		plan.gid = i == 1 ? 0 : -1;
		plan.groups = groups;
		plan.group_count = i == 2 ? 1 : -1;
		EQUAL(-EPERM, result_of(&plan));
		EQUAL(PYIPC_SPAWN_USER, plan.step);
	}
	EQUAL(1, prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	return all_was_well();
}

static void a_plain_user_may_not(void)
{
	pid_t child;
	int status;

	child = fork_child();
	if (child == 0)
		_exit(wants_to_be_root());
	status = end_of(child);
	if (status == CANNOT)
		NOT_RUN("only root can become another user");
	EQUAL(0, status);
}

/* Whoever says that it has become so, and has not. */
static int is_lied_to(long system_call, int which)
{
	struct pyipc_spawn plan = plan_of("exits", "0", NULL);
	static const uint32_t groups[] = { 1, 2, 3 };

	if (setgroups(0, NULL) != 0 || !answer((unsigned int) system_call, 0, -1, 0))
		return CANNOT;
	plan.uid = which == 0 ? NOBODY : -1;
	plan.gid = which == 1 ? NOBODY : -1;
	plan.groups = groups;
	plan.group_count = which == 2 ? 3 : -1;
	EQUAL(-EPERM, result_of(&plan));
	EQUAL(PYIPC_SPAWN_USER, plan.step);
	return all_was_well();
}

static void that_it_has_become_so_is_verified(void)
{
	static const long calls[] = { SYS_setresuid, SYS_setresgid, SYS_setgroups };

	for (int i = 0; i < 3; i++) {
		pid_t child = fork_child();
		int status;

		if (child == 0)
			_exit(is_lied_to(calls[i], i));
		status = end_of(child);
		if (status == CANNOT)
			NOT_RUN("not root, or no system call can be answered for the kernel");
		EQUAL(0, status);
	}
}

/* ---- signals ---- */

static int has_masks_and_handlers(void)
{
	struct pyipc_spawn plan = plan_of("status", "SigBlk:", "\t0000000000000000", "SigPnd:", "\t0000000000000000",
					  "SigIgn:", "\t0000000000000001", NULL);
	struct sigaction action;
	sigset_t mask;

	(void) signal(SIGHUP, SIG_IGN);		/* which stays */
	(void) signal(SIGPIPE, SIG_IGN);	/* as Python has these two */
	(void) signal(SIGXFSZ, SIG_IGN);
	handle(SIGUSR1, 0);
	handle(SIGRTMAX, 0);
	(void) sigfillset(&mask);
	(void) sigprocmask(SIG_SETMASK, &mask, NULL);
	EQUAL(0, result_of(&plan));
	(void) sigprocmask(SIG_SETMASK, NULL, &mask);
	EQUAL(1, sigismember(&mask, SIGTERM));	/* ours are as they were */
	(void) sigaction(SIGUSR1, NULL, &action);
	CHECK(action.sa_handler == on_signal);
	(void) sigaction(SIGPIPE, NULL, &action);
	CHECK(action.sa_handler == SIG_IGN);
	return all_was_well();
}

static void it_has_no_handlers_and_no_mask(void)
{
	pid_t child;

	child = fork_child();
	if (child == 0)
		_exit(has_masks_and_handlers());
	EQUAL(0, end_of(child));
}

static pid_t the_parent;
static volatile sig_atomic_t ran_in_a_child;

static void on_storm(int number)
{
	(void) number;
	signals_seen++;
	if (getpid() != the_parent)
		ran_in_a_child = 1;
}

/* To its group, to which the child belongs, too: there a handler of ours must not run. */
static int is_in_a_storm(void)
{
	struct sigaction action = { .sa_handler = on_storm, .sa_flags = SA_RESTART };
	pid_t storm;

	(void) setpgid(0, 0);
	the_parent = getpid();
	(void) sigaction(SIGURG, &action, NULL);	/* which nobody minds who has no handler */
	signals_seen = 0;
	storm = fork_child();
	if (storm == 0)
		for (;;)
			(void) kill(0, SIGURG);
	for (int i = 0; i < 150 || signals_seen < 100; i++) {
		struct pyipc_spawn plan = plan_of("exits", "6", NULL);

		look_in(&plan, i % 3 ? "/bin/true" : "/no/such/place", NULL);
		EQUAL(i % 3 ? 0 : -ENOENT, result_of(&plan));
	}
	EQUAL(1000 + SIGKILL, kill_and_reap(storm));
	EQUAL(0, ran_in_a_child);
	return all_was_well();
}

static void no_handler_of_ours_runs_in_it(void)
{
	pid_t child;

	child = fork_child();
	if (child == 0)
		_exit(is_in_a_storm());
	EQUAL(0, end_of(child));
}

/* Then the kernel reaps it. */
static int ignores_its_children(void)
{
	struct pyipc_spawn plan = plan_of("exits", "0", NULL);
	struct pyipc_exit record = { 0 };
	int32_t pidfd;

	(void) signal(SIGCHLD, SIG_IGN);
	look_in(&plan, "/no/such/place", NULL);
	EQUAL(-ENOENT, result_of(&plan));
	plan = plan_of("exits", "0", NULL);
	CHECK(start(&plan, &pidfd) > 0);
	EQUAL(-ECHILD, pyipc_child_wait(&pidfd, soon(), &record));
	EQUAL(-EAGAIN, pyipc_now_child_exit(&record));
	return all_was_well();
}

static void where_children_are_ignored_none_is_waited_for_for_ever(void)
{
	pid_t child;

	child = fork_child();
	if (child == 0)
		_exit(ignores_its_children());
	EQUAL(0, end_of(child));
}

/* ---- every step may fail ---- */

static int fails_at(int step)
{
	struct pyipc_spawn plan = plan_of("exits", "0", NULL);
	long call = 0;
	int argument = -1;
	unsigned int value = 0;

	switch (step) {
	case PYIPC_SPAWN_CLONE: call = SYS_clone; break;
	case PYIPC_SPAWN_DESCRIPTORS: call = SYS_dup3; break;
	case PYIPC_SPAWN_SESSION: call = SYS_setsid; break;
	case PYIPC_SPAWN_GROUP: call = SYS_setpgid; break;
	case PYIPC_SPAWN_TERMINAL: call = SYS_ioctl; argument = 1; value = TIOCSCTTY; break;
	case PYIPC_SPAWN_USER: call = SYS_setresuid; break;
	case PYIPC_SPAWN_DIRECTORY: call = SYS_chdir; break;
	case PYIPC_SPAWN_PARENT: call = SYS_prctl; argument = 0; value = PR_SET_PDEATHSIG; break;
	default: call = SYS_execve;
	}
	if (!answer((unsigned int) call, EDOM, argument, value) || !answer(SYS_clone3, ENOSYS, -1, 0))
		return CANNOT;
	move(&plan, 1, 9);
	plan.flags = PYIPC_SPAWN_NEW_SESSION | PYIPC_SPAWN_OWN_TERMINAL | PYIPC_SPAWN_DIE_WITH_PARENT;
	plan.flags &= step > PYIPC_SPAWN_TERMINAL ? ~PYIPC_SPAWN_OWN_TERMINAL : ~0;
	plan.flags &= step == PYIPC_SPAWN_GROUP ? ~PYIPC_SPAWN_NEW_SESSION : ~0;
	plan.process_group = step == PYIPC_SPAWN_GROUP ? 0 : -1;
	plan.uid = step == PYIPC_SPAWN_USER ? NOBODY : -1;
	plan.directory = "/";
	EQUAL(-EDOM, result_of(&plan));
	EQUAL(step, plan.step);
	EQUAL(0, children_left());
	return all_was_well();
}

static void each_step_may_fail_and_says_so(void)
{
	for (int step = PYIPC_SPAWN_CLONE; step <= PYIPC_SPAWN_EXEC; step++) {
		pid_t child = fork_child();
		int status;

		if (child == 0)
			_exit(fails_at(step));
		status = end_of(child);
		if (status == CANNOT)
			NOT_RUN("no system call can be answered for the kernel");
		EQUAL(0, status);
	}
}

static void what_fails_leaves_nothing(void)
{
	int before = descriptors_open();
	struct pyipc_spawn plan;

	for (int i = 0; i < 300; i++) {
		plan = plan_of("exits", "0", NULL);
		look_in(&plan, "/no/such/place", NULL);
		EQUAL(-ENOENT, result_of(&plan));
		EQUAL(0, children_left());
	}
	EQUAL(before, descriptors_open());
}

/* ---- it ends with its parent ---- */

static void it_dies_with_its_parent(void)
{
	pid_t parent;
	int ends[2];

	pipe_ends(ends);
	parent = fork_child();
	if (parent == 0) {
		struct pyipc_spawn plan = plan_of("sleeps", NULL);
		int32_t pidfd;

		plan.flags = PYIPC_SPAWN_DIE_WITH_PARENT;
		move(&plan, ends[1], 1);
		if (start(&plan, &pidfd) < 0 || write(ends[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			(void) pause();
	}
	EQUAL(0, close(ends[1]));
	{
		char got = 0;

		EQUAL(1, read(ends[0], &got, 1));
	}
	CHECK(!nobody_writes(ends[0]));
	EQUAL(1000 + SIGKILL, kill_and_reap(parent));
	WAIT_FOR(nobody_writes(ends[0]));
	EQUAL(0, close(ends[0]));
}

/* In a pid namespace of its own it sees no parent, and lives. */
static void it_lives_where_it_cannot_see_its_parent(void)
{
	pid_t child;
	int status;

	child = fork_child();
	if (child == 0) {
		struct pyipc_spawn plan = plan_of("exits", "8", NULL);

		if (unshare(CLONE_NEWPID) != 0)
			_exit(CANNOT);
		plan.flags = PYIPC_SPAWN_DIE_WITH_PARENT;
		EQUAL(8, result_of(&plan));
		_exit(all_was_well());
	}
	status = end_of(child);
	if (status == CANNOT)
		NOT_RUN("no pid namespace is to be had");
	EQUAL(0, status);
}

/* ---- how it ended ---- */

static void how_it_ended_is_written_down(void)
{
	struct pyipc_exit record = { 0 };
	struct pyipc_spawn plan;
	int32_t pidfd;
	int64_t pid;

	plan = plan_of("sleeps", NULL);
	pid = start(&plan, &pidfd);
	EQUAL(-EAGAIN, pyipc_now_child_reap(&pidfd, &record));
	EQUAL(-EAGAIN, pyipc_now_child_exit(&record));
	EQUAL(-ETIMEDOUT, pyipc_child_wait(&pidfd, now_ns() + PYIPC_SECOND / 100, &record));
	EQUAL(0, kill((pid_t) pid, SIGTERM));
	EQUAL(0, pyipc_child_wait(&pidfd, soon(), &record));
	EQUAL(pid, pyipc_now_child_exit(&record));
	EQUAL(SIGTERM, record.signal);
	EQUAL(-1, record.code);
	EQUAL(0, children_left());
	EQUAL(-ECHILD, pyipc_now_child_reap(&pidfd, &record));
	EQUAL(-ECHILD, pyipc_child_wait(&pidfd, now_ns() + PYIPC_SECOND, &record));
	EQUAL(pid, pyipc_now_child_exit(&record));	/* which is no reason to forget it */
	EQUAL(0, pyipc_fd_close(&pidfd));
	EQUAL(-EBADF, pyipc_now_child_reap(&pidfd, &record));
}

static void who_was_reaped_by_another_has_no_end(void)
{
	struct pyipc_exit record = { 0 };
	struct pyipc_spawn plan;
	int32_t pidfd;
	int64_t pid;

	plan = plan_of("exits", "3", NULL);
	pid = start(&plan, &pidfd);
	EQUAL(3, end_of((pid_t) pid));
	EQUAL(-ECHILD, pyipc_now_child_reap(&pidfd, &record));
	EQUAL(-EAGAIN, pyipc_now_child_exit(&record));
	EQUAL(0, pyipc_fd_close(&pidfd));
}

static pid_t tracer_of(pid_t child, int *numbers)
{
	pid_t tracer = fork_child();

	if (tracer == 0) {
		tell(numbers, ptrace(PTRACE_SEIZE, child, NULL, NULL) == 0 ? 1 : 2);
		for (;;)
			(void) pause();
	}
	WAIT_FOR(told(numbers));
	return tracer;
}

/* Its end is first told to who traces it, and its pidfd does not wait for that. */
static void the_end_of_one_that_is_traced_is_waited_for(void)
{
	int *numbers = shared_numbers();
	struct pyipc_exit record = { 0 };
	struct pyipc_spawn plan;
	int32_t pidfd;
	int64_t pid;
	pid_t tracer;
	int result;

	plan = plan_of("sleeps", NULL);
	pid = start(&plan, &pidfd);
	tracer = tracer_of((pid_t) pid, numbers);
	EQUAL(0, kill((pid_t) pid, SIGKILL));
	if (told(numbers) == 1) {
		EQUAL(0, wait_on(pidfd, PYIPC_READABLE));
		EQUAL(-EINTR, pyipc_child_wait(&pidfd, now_ns() + PYIPC_SECOND, &record));
		EQUAL(-ETIMEDOUT, pyipc_child_wait(&pidfd, now_ns(), &record));
	}
	EQUAL(1000 + SIGKILL, kill_and_reap(tracer));
	do
		result = pyipc_child_wait(&pidfd, soon(), &record);
	while (result == -EINTR);
	EQUAL(0, result);
	EQUAL(SIGKILL, record.signal);
	EQUAL(0, pyipc_fd_close(&pidfd));
	(void) munmap(numbers, 4096);
}

/* ---- threads ---- */

enum { THREADS = 6, EACH = 25 };

static void *spawns(void *argument)
{
	int number = *(int *) argument;
	int wrong = 0;

	for (int i = 0; i < EACH; i++) {
		char text[3][20], list[100];
		char *pointers[10];
		struct pyipc_exit record = { 0 };
		struct pyipc_spawn plan = {
			.paths = i % 4 ? "/bin/sh" : "/no/such/place", .path_count = 1, .words = list, .word_count = 3,
			.room = pointers, .variables = "", .process_group = -1, .umask = -1, .uid = -1, .gid = -1,
			.group_count = -1,
		};
		int32_t pidfd = -1;
		int64_t pid;
		int result;

		(void) sprintf(text[0], "exit %d", number * 20 + i % 20);
		(void) sprintf(list, "sh%c-c%c%s", 0, 0, text[0]);
		pid = pyipc_spawn(&plan, &pidfd);
		if (i % 4 == 0) {
			wrong += pid != -ENOENT || pidfd != -1;
			continue;
		}
		do
			result = pyipc_child_wait(&pidfd, soon(), &record);
		while (result == -EINTR);
		wrong += result != 0 || record.pid != pid || record.code != number * 20 + i % 20;
		wrong += pyipc_fd_close(&pidfd) != 0;
	}
	*(int *) argument = wrong;
	return NULL;
}

static void threads_spawn_at_once(void)
{
	pthread_t threads[THREADS];
	int numbers[THREADS];

	for (int i = 0; i < THREADS; i++) {
		numbers[i] = i;
		EQUAL(0, pthread_create(&threads[i], NULL, spawns, &numbers[i]));
	}
	for (int i = 0; i < THREADS; i++) {
		EQUAL(0, pthread_join(threads[i], NULL));
		EQUAL(0, numbers[i]);
	}
}

/* ThreadSanitizer takes clone() for a fork, after which it lets nobody start threads; clang's does not even
 * survive it. */
const char *__tsan_default_options(void);

const char *__tsan_default_options(void)
{
	return "die_after_fork=0";
}

#if defined __clang__ && defined __has_feature
#if __has_feature(thread_sanitizer)
#define CLANGS_THREAD_SANITIZER
#endif
#endif

int main(int count, char **list)
{
	if (count > 1)
		return look(count - 1, list + 1);
#ifdef CLANGS_THREAD_SANITIZER
	printf("  not run: all: clang's ThreadSanitizer knows no clone() that shares memory\n");
	return report();
#endif
	if (readlink("/proc/self/exe", self, sizeof self - 1) <= 0)
		return 1;
	if (why_not()) {
		printf("  not run: all: %s\n", why_not());
		return report();
	}
	begin();
	RUN(a_program_runs);
	RUN(it_has_its_words_and_variables);
	RUN(the_first_that_is_there_is_run);
	RUN(what_may_not_be_run_is_told_if_no_other_can_be);
	RUN(a_file_that_is_no_program_is_enoexec);
	RUN(it_has_the_standard_ones_and_no_others);
	RUN(so_it_is_on_kernels_without_close_range);
	RUN(descriptors_become_others);
	RUN(they_may_take_each_others_places);
	RUN(input_and_output_may_be_swapped);
	RUN(where_we_have_none_it_has_dev_null);
	RUN(what_is_not_open_cannot_be_given);
	RUN(no_room_for_descriptors_is_emfile);
	RUN(it_may_lead_a_session_or_a_group);
	RUN(it_may_join_a_group);
	RUN(it_may_have_a_terminal_of_its_own);
	RUN(it_starts_where_it_is_told);
	RUN(root_may_make_it_another_users);
	RUN(a_plain_user_may_not);
	RUN(that_it_has_become_so_is_verified);
	RUN(it_has_no_handlers_and_no_mask);
	RUN(no_handler_of_ours_runs_in_it);
	RUN(where_children_are_ignored_none_is_waited_for_for_ever);
	RUN(each_step_may_fail_and_says_so);
	RUN(what_fails_leaves_nothing);
	RUN(it_dies_with_its_parent);
	RUN(it_lives_where_it_cannot_see_its_parent);
	RUN(how_it_ended_is_written_down);
	RUN(who_was_reaped_by_another_has_no_end);
	RUN(the_end_of_one_that_is_traced_is_waited_for);
	RUN(threads_spawn_at_once);
	return report();
}
