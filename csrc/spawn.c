/* SPDX-License-Identifier: MIT
 *
 * spawn.c -- a program in a process of its own.
 *
 * fork(2) copies the tables of every page the parent has: of 2 GiB, a tenth of a second.  So the child
 * runs in the parent's memory, on a stack of its own, while the thread that calls is stopped until the
 * child has another program or is gone (clone(2) with CLONE_VM and CLONE_VFORK).  Nothing of Python
 * runs between; what went wrong is told through the memory that both have.
 *
 * What follows from that, for all that the child does until execve(2):
 *
 *   signals		A handler of the parent's would run in the parent's memory.  All are blocked, those
 *			of the C library too, until none has a handler any more.
 *   the C library	setresuid() and its like make the parent's other threads do the same: raw calls.
 *   credentials	When they change, the kernel makes the memory undumpable, which is the parent's, too:
 *			it is put right when the child has left it.
 *   errno		is the calling thread's own.  Nobody reads it after the call.
 *
 * posix_spawn(3) does the same, but can drop no privileges, and tells of no pidfd.
 */
#define _GNU_SOURCE		/* clone() */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "internal.h"

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000	/* Linux 5.2; older ones take no notice of it */
#endif
#ifndef SYS_close_range
#define SYS_close_range 436	/* 5.9 */
#endif
#ifndef SYS_clone3
#define SYS_clone3 435		/* 5.3 */
#endif

enum { SET_CLOEXEC = 4 };	/* CLOSE_RANGE_CLOEXEC, 5.11 */
enum { SIGNALS = 64, STACK = 16384, KERNELS_SIGSET = 8 };

/* Of the child's, no instruction may come from a sanitizer: it is on no stack that one knows. */
#define IN_THE_CHILD __attribute__((no_sanitize("address", "thread", "undefined")))

struct child {
	struct pyipc_spawn *plan;
	char **paths, **words, **variables;
	pid_t parent;
	int32_t error;		/* of plan->step; 0 as long as all is well */
	int32_t without_handlers;	/* the kernel has taken them away */
};

/* ---- signals: of all 64, which the C library's calls do not let one have ---- */

/* As the kernel has it on both machines; we only read the first field, and write zeros. */
struct kernel_action {
	void *handler;
	uint64_t others[3];
};

IN_THE_CHILD
static void set_mask(uint64_t mask, uint64_t *ret_old)
{
	(void) syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, ret_old, KERNELS_SIGSET);
}

/* What is ignored stays so, as of any program; but the two that Python ignores for its own sake. */
IN_THE_CHILD
static void forget_handlers(int there_are_none)
{
	struct kernel_action action, none;

	none.handler = NULL;	/* not all at once: that might become a call of memset(), which a sanitizer has */
	none.others[0] = none.others[1] = none.others[2] = 0;
	for (int number = 1; number <= SIGNALS; number++) {
		if (there_are_none && number != SIGPIPE && number != SIGXFSZ)
			continue;
		if (syscall(SYS_rt_sigaction, number, NULL, &action, KERNELS_SIGSET) == -1)
			continue;
		if (action.handler == (void *) SIG_DFL)
			continue;
		if (action.handler == (void *) SIG_IGN && number != SIGPIPE && number != SIGXFSZ)
			continue;
		(void) syscall(SYS_rt_sigaction, number, &none, NULL, KERNELS_SIGSET);
	}
}

/* ---- descriptors ---- */

struct linux_dirent {
	uint64_t inode;
	int64_t offset;
	unsigned short size;
	unsigned char type;
	char name[];
};

IN_THE_CHILD
static int number_in(const char *name)
{
	int number = 0;

	for (; *name; name++) {
		if (*name < '0' || *name > '9')
			return -1;
		number = number * 10 + (*name - '0');
	}
	return number;
}

/* Before Linux 5.11: those that /proc lists. */
IN_THE_CHILD
static int64_t close_listed_on_exec(void)
{
	_Alignas(8) char list[1024];
	int64_t folder = neg_errno(open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	int64_t got;

	if (folder < 0)
		return folder;
	while ((got = neg_errno(syscall(SYS_getdents64, (int) folder, list, sizeof list))) > 0)
		for (int64_t at = 0; at < got;) {
			const struct linux_dirent *entry = (const struct linux_dirent *) (list + at);
			int number = number_in(entry->name);

			if (number > STDERR_FILENO)
				(void) fcntl(number, F_SETFD, FD_CLOEXEC);
			at += entry->size;
		}
	(void) close((int) folder);
	return got;
}

IN_THE_CHILD
static int64_t close_all_on_exec(void)
{
	if (syscall(SYS_close_range, 3U, ~0U, SET_CLOEXEC) == 0)
		return 0;
	return close_listed_on_exec();
}

IN_THE_CHILD
static int is_target(const struct pyipc_spawn *plan, int number)
{
	for (uint32_t i = 0; i < plan->moves; i++)
		if (plan->targets[i] == number)
			return 1;
	return 0;
}

IN_THE_CHILD
static int64_t put(int from, int to)
{
	int64_t result = from == to ? neg_errno(fcntl(to, F_SETFD, 0)) : neg_errno(dup3(from, to, 0));

	/* dup(2) has the same error for one that is not open and for a number past RLIMIT_NOFILE. */
	return result == -EBADF && fcntl(from, F_GETFD) != -1 ? -EMFILE : result;
}

/* Those that a move would overwrite are first put where none goes. */
IN_THE_CHILD
static int64_t move_descriptors(struct pyipc_spawn *plan)
{
	int above = STDERR_FILENO + 1;
	int64_t result;

	for (uint32_t i = 0; i < plan->moves; i++)
		if (plan->targets[i] >= above)
			above = plan->targets[i] + 1;
	for (uint32_t i = 0; i < plan->moves; i++) {
		if (plan->sources[i] == plan->targets[i] || !is_target(plan, plan->sources[i]))
			continue;
		result = neg_errno(fcntl(plan->sources[i], F_DUPFD_CLOEXEC, above));
		if (result < 0)
			return result == -EINVAL ? -EMFILE : result;	/* the limit is not above */
		plan->sources[i] = (int32_t) result;
	}
	for (uint32_t i = 0; i < plan->moves; i++) {
		result = put(plan->sources[i], plan->targets[i]);
		if (result < 0)
			return result;
	}
	return 0;
}

/* A program without one of these three takes the first file that it opens for it. */
IN_THE_CHILD
static int64_t fill_standard_ones(const struct pyipc_spawn *plan)
{
	for (int number = 0; number <= STDERR_FILENO; number++) {
		int flags = fcntl(number, F_GETFD);
		int64_t nothing;

		if (is_target(plan, number) || (flags != -1 && !(flags & FD_CLOEXEC)))
			continue;
		nothing = neg_errno(open("/dev/null", O_RDWR | O_CLOEXEC));
		if (nothing >= 0)
			nothing = put((int) nothing, number);
		if (nothing < 0)
			return nothing;
	}
	return 0;
}

IN_THE_CHILD
static int64_t give_descriptors(struct pyipc_spawn *plan)
{
	int64_t result = close_all_on_exec();

	if (result >= 0)
		result = move_descriptors(plan);
	return result < 0 ? result : fill_standard_ones(plan);
}

/* ---- who it is ---- */

/* Groups first, then the group, and the user last, after whom nothing may be changed any more. */
IN_THE_CHILD
static int64_t change_user(const struct pyipc_spawn *plan)
{
	gid_t gid = (gid_t) plan->gid;
	uid_t uid = (uid_t) plan->uid;
	int64_t result = 0;

	if (plan->group_count >= 0)
		result = neg_errno(syscall(SYS_setgroups, plan->group_count, plan->groups));
	if (result >= 0 && plan->gid >= 0)
		result = neg_errno(syscall(SYS_setresgid, gid, gid, gid));
	if (result >= 0 && plan->uid >= 0)
		result = neg_errno(syscall(SYS_setresuid, uid, uid, uid));
	return result;
}

/* That it has become so, and that there is no way back. */
IN_THE_CHILD
static int64_t look_at_user(const struct pyipc_spawn *plan)
{
	uid_t uid[3];
	gid_t gid[3];
	int is_root = 1;

	if (plan->group_count >= 0 && syscall(SYS_getgroups, 0, NULL) != plan->group_count)
		return -EPERM;
	if (plan->gid >= 0) {
		(void) syscall(SYS_getresgid, &gid[0], &gid[1], &gid[2]);
		if (gid[0] != plan->gid || gid[1] != plan->gid || gid[2] != plan->gid)
			return -EPERM;
	}
	if (plan->uid >= 0) {
		(void) syscall(SYS_getresuid, &uid[0], &uid[1], &uid[2]);
		if (uid[0] != plan->uid || uid[1] != plan->uid || uid[2] != plan->uid)
			return -EPERM;
		is_root = plan->uid == 0;
	}
	/* Capabilities that were kept would let it. */
	return !is_root && syscall(SYS_setresuid, (uid_t) -1, (uid_t) 0, (uid_t) -1) == 0 ? -EPERM : 0;
}

IN_THE_CHILD
static int64_t become(const struct pyipc_spawn *plan)
{
	int64_t result = change_user(plan);

	return result < 0 ? result : look_at_user(plan);
}

/* ---- what is left ---- */

/* Asked for after the user has changed, which takes it back. */
IN_THE_CHILD
static int64_t die_with_parent(pid_t parent)
{
	int64_t result = neg_errno(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
	pid_t now = getppid();

	if (now != parent && now != 0)	/* it has died meanwhile; 0: it is not of our pid namespace */
		_exit(127);
	return result;
}

/* As execvp(3): a file that is not there is looked for in the next place; of one that is and may not be
 * run, that is told only if no other can be. */
IN_THE_CHILD
static int64_t execute(const struct child *child)
{
	int64_t result = -ENOENT;
	int64_t forbidden = 0;

	for (char **path = child->paths; *path; path++) {
		result = neg_errno(execve(*path, child->words, child->variables));
		if (result == -EACCES)
			forbidden = result;
		else if (result != -ENOENT && result != -ENOTDIR)
			return result;
	}
	return forbidden ? forbidden : result;
}

IN_THE_CHILD
static int64_t take(struct child *child, int step)
{
	struct pyipc_spawn *plan = child->plan;

	plan->step = step;
	switch (step) {
	case PYIPC_SPAWN_DESCRIPTORS:
		return give_descriptors(plan);
	case PYIPC_SPAWN_SESSION:
		return plan->flags & PYIPC_SPAWN_NEW_SESSION ? neg_errno(setsid()) : 0;
	case PYIPC_SPAWN_GROUP:
		return plan->process_group >= 0 ? neg_errno(setpgid(0, plan->process_group)) : 0;
	case PYIPC_SPAWN_TERMINAL:
		return plan->flags & PYIPC_SPAWN_OWN_TERMINAL ? neg_errno(ioctl(STDIN_FILENO, TIOCSCTTY, 0)) : 0;
	case PYIPC_SPAWN_USER:
		return become(plan);
	case PYIPC_SPAWN_DIRECTORY:
		return plan->directory ? neg_errno(chdir(plan->directory)) : 0;
	case PYIPC_SPAWN_PARENT:
		return plan->flags & PYIPC_SPAWN_DIE_WITH_PARENT ? die_with_parent(child->parent) : 0;
	default:
		set_mask(0, NULL);
		return execute(child);
	}
}

IN_THE_CHILD
static int run_child(void *argument)
{
	struct child *child = argument;
	int64_t result = 0;

	forget_handlers(child->without_handlers);
	if (child->plan->umask >= 0)
		(void) umask((mode_t) child->plan->umask);
	for (int step = PYIPC_SPAWN_DESCRIPTORS; step <= PYIPC_SPAWN_EXEC && result >= 0; step++)
		result = take(child, step);
	child->error = (int32_t) result;
	(void) syscall(SYS_exit_group, 127);	/* of _exit(), a sanitizer thinks that it is the parent's */
	return 0;
}

/* ---- in the parent ---- */

/* Pointers to strings that lie one after another, and a NULL. */
static char **split(const char *text, uint32_t count, char ***room)
{
	char **first = *room;

	for (uint32_t i = 0; i < count; i++) {
		*(*room)++ = (char *) text;
		text += strlen(text) + 1;
	}
	*(*room)++ = NULL;
	return first;
}

#ifdef __x86_64__
/* To look at 64 handlers takes a thirtieth of the time that a small program runs.  Linux 5.5 takes them all
 * away at once, if asked by clone3(2); which no C library calls for us. */
static int64_t clone_without_handlers(struct child *child, char *stack, uint64_t flags, int32_t *ret_pidfd)
{
	struct {
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
	} how = {
		.flags = flags | 0x100000000u,	/* CLONE_CLEAR_SIGHAND */
		.pidfd = (uintptr_t) ret_pidfd,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t) stack,
		.stack_size = STACK,
	};
	int64_t result = SYS_clone3;

	child->without_handlers = 1;
	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "mov %[child], %%rdi\n\t"
			 "call *%[run]\n\t"	/* which does not come back */
			 "hlt\n"
			 "1:"
			 : "+a" (result)
			 : "D" (&how), "S" (sizeof how), [run] "r" (run_child), [child] "r" (child)
			 : "rcx", "r11", "cc", "memory");
	child->without_handlers = result >= 0;
	return result;
}
#else
static int64_t clone_without_handlers(struct child *child, char *stack, uint64_t flags, int32_t *ret_pidfd)
{
	(void) child, (void) stack, (void) flags, (void) ret_pidfd;
	return -ENOSYS;
}
#endif

static int64_t clone_child(struct child *child, int32_t *ret_pidfd)
{
	_Alignas(16) char stack[STACK];	/* free again when the child has left this memory */
	int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD;
	uint64_t mask;
	int64_t pid;

	set_mask(~(uint64_t) 0, &mask);
	pid = clone_without_handlers(child, stack, (uint64_t) flags, ret_pidfd);
	if (pid == -ENOSYS || pid == -EINVAL || pid == -EPERM)	/* an old kernel, or a sandbox */
		pid = neg_errno(clone(run_child, stack + STACK, flags | SIGCHLD, child, ret_pidfd));
	set_mask(mask, NULL);
	return pid;
}

/* One that has failed, and is gone by itself: where SIGCHLD is ignored, its pid may be another's by now. */
static void end_child(pid_t pid, int32_t *pidfd)
{
	siginfo_t info;

	while (waitid(P_PID, (id_t) pid, &info, WEXITED) == -1 && errno == EINTR)
		;
	(void) pyipc_fd_close(pidfd);
}

/* The pid of a child that is another program by now. Or what went wrong; plan->step says, where. */
int64_t pyipc_spawn(struct pyipc_spawn *plan, int32_t *ret_pidfd)
{
	char **room = plan->room;
	struct child child = { .plan = plan, .parent = getpid() };
	int changes = plan->uid >= 0 || plan->gid >= 0;
	int dumpable = changes ? prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) : 0;
	int32_t pidfd = -1;
	int64_t pid;

	plan->step = PYIPC_SPAWN_CLONE;
	child.paths = split(plan->paths, plan->path_count, &room);
	child.words = split(plan->words, plan->word_count, &room);
	child.variables = split(plan->variables, plan->variable_count, &room);
	pid = clone_child(&child, &pidfd);
	if (dumpable == 1)
		(void) prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	if (pid >= 0 && pidfd < 0 && !child.error) {	/* Linux 5.2 would have given us one */
		(void) kill((pid_t) pid, SIGKILL);
		child.error = -ENOSYS;
	}
	if (pid < 0 || child.error) {
		if (pid >= 0)
			end_child((pid_t) pid, &pidfd);
		return pid < 0 ? pid : child.error;
	}
	*ret_pidfd = pidfd;
	return pid;
}
