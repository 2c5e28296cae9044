/* SPDX-License-Identifier: MIT
 *
 * facts.h -- what the test programs share: running tests under a leak check, other processes,
 * and facts of the kernel to wait for.  No test sleeps and hopes: it looks until it sees.
 */
#ifndef FACTS_H
#define FACTS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "../../csrc/pyipc_core.h"

enum { KEY = 0x70795443, NOBODY = 65534, PATIENCE_S = 20, STUCK_S = 60 };

static int own_namespace;	/* nobody else's objects are in it, and its limits are ours to set */

/* ---- tests ---- */

static inline int lines_of(const char *path)
{
	FILE *file = fopen(path, "r");
	int lines = 0;

	if (!file)
		return -1;
	for (int c; (c = fgetc(file)) != EOF;)
		lines += c == '\n';
	(void) fclose(file);
	return lines;
}

/* In a namespace that is shared, this counts what other programs do, too. */
static inline int objects_left(void)
{
	return lines_of("/proc/sysvipc/shm") + lines_of("/proc/sysvipc/sem") + lines_of("/proc/sysvipc/msg");
}

static inline int children_left(void)
{
	return waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD ? 0 : 1;
}

/* How many this process has open, and the one that looks. */
static inline int descriptors_open(void)
{
	DIR *list = opendir("/proc/self/fd");
	int count = 0;

	if (!list)
		return -1;
	while (readdir(list))
		count++;
	(void) closedir(list);
	return count - 2;	/* "." and ".." */
}

static const char *running;

static inline void stuck(int signal_number)
{
	(void) signal_number;
	(void) !write(STDOUT_FILENO, "STUCK: ", 7);
	(void) !write(STDOUT_FILENO, running, strlen(running));
	(void) !write(STDOUT_FILENO, "\n", 1);
	_exit(1);
}

static inline void run(const char *name, void (*test)(void))
{
	int before = objects_left();
	int open_before = descriptors_open();

	running = name;
	check_ok = 1;
	(void) alarm(STUCK_S);
	test();
	if (check_ok == -1)	/* NOT_RUN() */
		return;
	EQUAL(before, objects_left());
	EQUAL(0, children_left());
	EQUAL(open_before, descriptors_open());
	if (!check_ok)
		printf("FAILED: %s\n", name);
	*(check_ok ? &check_passed : &check_failed) += 1;
}

#define RUN(test) run(#test, test)

static inline void begin(void)
{
	(void) setvbuf(stdout, NULL, _IONBF, 0);
	(void) signal(SIGALRM, stuck);
	own_namespace = unshare(CLONE_NEWIPC) == 0;
	if (!own_namespace)
		printf("  in an IPC namespace that is shared with other programs\n");
}

static inline int report(void)
{
	printf("%d passed, %d failed\n", check_passed, check_failed);
	return check_failed != 0;
}

/* ---- memory that shows whether it was written to ---- */

enum { UNTOUCHED = 0xA5 };

static inline int untouched(const void *memory, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (((const unsigned char *) memory)[i] != UNTOUCHED)
			return 0;
	return 1;
}

/* ---- time ---- */

static inline int64_t now_ns(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * PYIPC_SECOND + now.tv_nsec;
}

static inline int look_again_until(int64_t end_ns)
{
	struct timespec between_looks = { .tv_nsec = 200000 };

	(void) nanosleep(&between_looks, NULL);
	return now_ns() < end_ns;
}

#define WAIT_FOR(fact) do { \
	int64_t end_ns_ = now_ns() + (int64_t) PATIENCE_S * PYIPC_SECOND; \
	int seen_; \
	while (!(seen_ = !!(fact)) && look_again_until(end_ns_)) \
		; \
	check_that(seen_, "in time: " #fact, __FILE__, __LINE__); \
} while (0)

/* ---- other processes ---- */

static inline pid_t fork_child(void)
{
	pid_t parent = getpid();
	pid_t child = fork();

	if (child == 0) {
		(void) prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(255);
	}
	return child;
}

static inline pid_t sleeping_child(void)
{
	pid_t child = fork_child();

	if (child == 0)
		for (;;)
			(void) pause();
	return child;
}

/* The status a child ended with; 1000 and the signal if one ended it. */
static inline int end_of(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child)
		return -1;
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static inline int kill_and_reap(pid_t child)
{
	(void) kill(child, SIGKILL);
	return end_of(child);
}

/* For a child that waits by naps: a signal may come while it is awake, and then ends nothing. */
static inline int signal_until_end_of(pid_t child, int signal_number)
{
	int64_t end_ns = now_ns() + (int64_t) PATIENCE_S * PYIPC_SECOND;
	siginfo_t info;

	do {
		(void) kill(child, signal_number);
		info.si_pid = 0;
		(void) waitid(P_PID, (id_t) child, &info, WEXITED | WNOHANG | WNOWAIT);
	} while (!info.si_pid && look_again_until(end_ns));
	return info.si_pid ? end_of(child) : -1;
}

static volatile sig_atomic_t signals_seen;

static inline void on_signal(int signal_number)
{
	(void) signal_number;
	signals_seen++;
}

static inline void handle(int signal_number, int flags)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = flags };

	signals_seen = 0;
	(void) sigaction(signal_number, &action, NULL);
}

static inline int become_nobody(void)
{
	return geteuid() == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
		setresuid(NOBODY, NOBODY, NOBODY) == 0;
}

/* What a child tells its parent: one page that both see. */
static inline int *shared_numbers(void)
{
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static inline int told(const int *number)
{
	return __atomic_load_n(number, __ATOMIC_SEQ_CST);
}

static inline void tell(int *number, int value)
{
	__atomic_store_n(number, value, __ATOMIC_SEQ_CST);
}

/* A child's status from what it has CHECKed. */
static inline int all_was_well(void)
{
	return check_ok == 1 ? 0 : 1;
}

/* ---- descriptors ---- */

static inline int is_open(int number)
{
	return fcntl(number, F_GETFD) != -1;
}

static inline int is_close_on_exec(int number)
{
	return fcntl(number, F_GETFD) == FD_CLOEXEC;
}

/* One file: for the two ends of a pipe that is so, too. */
static inline int same_file(int one, int other)
{
	struct stat a, b;

	return fstat(one, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* Of the read end of a pipe: has the last copy of the other end been closed, in whatever process,
 * and is none under way in a socket? */
static inline int nobody_writes(int read_end)
{
	struct pollfd state = { .fd = read_end };

	return poll(&state, 1, 0) == 1 && state.revents & POLLHUP;
}

static inline void pipe_ends(int *ends)
{
	EQUAL(0, pipe2(ends, O_CLOEXEC));
}

static inline void close_both(int *ends)
{
	EQUAL(0, close(ends[0]));
	EQUAL(0, close(ends[1]));
}

static inline int32_t nothing_yet(void)
{
	int32_t fd;

	memset(&fd, UNTOUCHED, sizeof fd);
	return fd;
}

static inline int is_untouched(int32_t fd)
{
	return untouched(&fd, sizeof fd);
}

/* A number that names nothing, as long as nobody opens anything. */
static inline int closed_number(void)
{
	int number = dup(STDOUT_FILENO);

	EQUAL(0, close(number));
	return number;
}

/* With a deadline, as Python does it: a second goes by, and it calls again. */
static inline int wait_on(int number, int events)
{
	int64_t deadline = now_ns() + (int64_t) PATIENCE_S * PYIPC_SECOND;
	int result;

	do
		result = pyipc_fd_wait(number, events, deadline);
	while (result == -EINTR);
	return result;
}

/* From now on this process, a child that ends with the test, has room for so many descriptors. */
static inline void leave_room_for(int count)
{
	struct rlimit limit = { .rlim_cur = 200, .rlim_max = 200 };
	int spare[200];
	int taken = 0;

	EQUAL(0, setrlimit(RLIMIT_NOFILE, &limit));
	while (taken < 200 && (spare[taken] = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)) != -1)
		taken++;
	EQUAL(EMFILE, errno);
	for (int i = 0; i < count; i++)
		EQUAL(0, close(spare[i]));
}

/* ---- the kernel ---- */

/* Is this thread asleep in this system call?  (Under an emulator, the kernel has other numbers for them: in
 * any.) */
static inline int is_in(pid_t process, pid_t thread, long system_call)
{
	char path[64];
	char text[16] = "";
	char *end;
	ssize_t got;
	int fd;

	(void) snprintf(path, sizeof path, "/proc/%d/task/%d/syscall", (int) process, (int) thread);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	got = read(fd, text, sizeof text - 1);
	(void) close(fd);
	if (got <= 0)
		return 0;
	return (strtol(text, &end, 10) == system_call || getenv("PYIPC_EMULATED")) && end > text;	/* or "running" */
}

static inline int read_setting(const char *path, char *text, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, room - 1);

	if (fd >= 0)
		(void) close(fd);
	text[got > 0 ? got : 0] = '\0';
	return got > 0;
}

static inline int write_setting(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t wrote = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		(void) close(fd);
	return wrote == (ssize_t) strlen(text);
}

#if defined __x86_64__
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define THIS_ARCH AUDIT_ARCH_AARCH64
#endif

/* From now on this process sees a kernel that answers system_call with error_number; if argument
 * is not negative, only when its argument of that number is value.  (Low halves: little-endian.) */
static inline int answer(unsigned int system_call, int error_number, int argument, unsigned int value)
{
#ifdef THIS_ARCH
	unsigned int offset = argument < 0 ? (unsigned int) offsetof(struct seccomp_data, nr)
		: (unsigned int) offsetof(struct seccomp_data, args) + 8 * (unsigned int) argument;
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCH, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, system_call, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, argument < 0 ? system_call : value, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned int) error_number),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof filter / sizeof *filter, .filter = filter };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
#else
	(void) system_call, (void) error_number, (void) argument, (void) value;
	return 0;
#endif
}

enum { CANNOT = 254 };	/* a child's status: this machine does not let it do what the test needs */

#endif
