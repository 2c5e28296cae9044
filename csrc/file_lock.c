/* SPDX-License-Identifier: MIT
 *
 * file_lock.c -- a file that is there to be locked.
 *
 * The lock is one of an open file description (fcntl(2), "Open file description locks"): the kernel
 * frees it with the last descriptor of that description, at whatever instruction its process dies.  A
 * record lock of the older kind goes as soon as its process closes any descriptor of the file, and
 * knows no threads; flock(2) has no shared locks on some network filesystems.
 *
 * The kernel can wait for such a lock, in turn and for nothing, but only without an end.  A timer's
 * signal could end that wait: which signal, if the program uses them all?  And another program's
 * timers would come, too.  So a wait with an end tries and naps in turns.
 */
#define _GNU_SOURCE		/* F_OFD_SETLK, O_CLOEXEC */
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "internal.h"

#ifndef F_OFD_SETLK
#define F_OFD_SETLK 37		/* Linux 3.15, the same on every machine */
#define F_OFD_SETLKW 38
#endif

/* Of naps: a tenth of the time waited so far, so that nobody is late by more.  Ten a second cost 0.1 % of
 * a processor at the most. */
enum { PART = 10, FIRST_NAP_NS = 20000, LONGEST_NAP_NS = PYIPC_SECOND / 10 };

/* After so much of them, Python looks at its signals. */
enum { ROUND_NS = PYIPC_SECOND / 4 };

/* Neither follows a link that somebody put there, nor waits for the other end of a FIFO. */
enum { CAREFULLY = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY };

/* The file is not there: so make it, with this mode whatever the umask says.  Who is killed in between
 * leaves one of the mode that the umask lets through, which is a stricter one. */
static int create(const char *path, int mode)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | CAREFULLY, (mode_t) mode);

	if (fd == -1)
		return -errno;
	if (fchmod(fd, (mode_t) mode) == -1) {
		int result = -errno;

		(void) close(fd);
		return result;
	}
	return fd;
}

/* First without O_CREAT: with it, a file of another user in a directory like /tmp is refused (proc(5),
 * protected_regular). */
static int open_or_create(const char *path, int mode, int shared)
{
	/* Who makes it and who removes it may take turns, but not for ever. */
	for (int i = 0; i < 100; i++) {
		int fd = open(path, (shared ? O_RDONLY : O_RDWR) | CAREFULLY);

		if (fd != -1 || errno != ENOENT)
			return fd == -1 ? -errno : fd;
		fd = create(path, mode);
		if (fd != -EEXIST)
			return fd;
	}
	return -EEXIST;
}

/* Those where the kernel itself keeps the locks, and asks nobody. */
static int is_local(int fd)
{
	static const uint32_t kinds[] = {
		EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC, TMPFS_MAGIC, RAMFS_MAGIC,
		OVERLAYFS_SUPER_MAGIC,
	};
	struct statfs found;

	if (fstatfs(fd, &found) == -1)
		return 0;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if ((uint32_t) found.f_type == kinds[i])
			return 1;
	return 0;
}

/* 1 if pyipc_now_lock_file() will do for it, or 0; -ENXIO of what is there, but no regular file. */
int pyipc_lock_file_open(const char *path, int mode, int shared, int32_t *ret_fd)
{
	int fd = open_or_create(path, mode, shared);
	struct stat stat;

	if (fd < 0)
		return fd == -EISDIR ? -ENXIO : fd;
	if (fstat(fd, &stat) == -1 || !S_ISREG(stat.st_mode)) {
		(void) close(fd);
		return -ENXIO;
	}
	*ret_fd = fd;
	return is_local(fd);
}

static int64_t set_lock(int fd, int command, int kind)
{
	struct flock whole = { .l_type = (short) kind, .l_whence = SEEK_SET };
	int64_t result = neg_errno(fcntl(fd, command, &whole));

	/* The filesystem knows no locks, or the kernel no such ones.  EACCES is EAGAIN by an old name. */
	if (result == -EINVAL || result == -ENOSYS || result == -EOPNOTSUPP)
		return -ENOTSUP;
	return result == -EACCES ? -EAGAIN : result;
}

/* -EAGAIN: try again. */
static int nap(int64_t since_ns, int64_t round_ns, int64_t deadline_ns)
{
	int64_t now = monotonic_ns();
	int64_t span = (now - since_ns) / PART;
	struct timespec time;

	if (now >= deadline_ns)
		return -ETIMEDOUT;
	if (now - round_ns >= ROUND_NS)
		return -EINTR;
	if (span < FIRST_NAP_NS)
		span = FIRST_NAP_NS;
	if (span > LONGEST_NAP_NS)
		span = LONGEST_NAP_NS;
	time = ns_to_timespec(span < deadline_ns - now ? span : deadline_ns - now);
	return nanosleep(&time, NULL) == -1 ? -EINTR : -EAGAIN;
}

/* Until the deadline; one that has passed still tries once, and INT64_MAX is none.  Since since_ns we
 * wait, in however many calls. */
int pyipc_lock_file(int number, int shared, int64_t since_ns, int64_t deadline_ns)
{
	int kind = shared ? F_RDLCK : F_WRLCK;
	int64_t round_ns = monotonic_ns();
	int64_t result;

	if (deadline_ns == INT64_MAX)
		return (int) set_lock(number, F_OFD_SETLKW, kind);
	do
		result = set_lock(number, F_OFD_SETLK, kind);
	while (result == -EAGAIN && (result = nap(since_ns, round_ns, deadline_ns)) == -EAGAIN);
	return (int) result;
}

int pyipc_unlock_file(int number)
{
	return (int) set_lock(number, F_OFD_SETLK, F_UNLCK);
}

/* Of a local file, whose lock is had or not at once: -EAGAIN. */
int pyipc_now_lock_file(int number, int shared)
{
	return (int) set_lock(number, F_OFD_SETLK, shared ? F_RDLCK : F_WRLCK);
}

int pyipc_now_unlock_file(int number)
{
	return pyipc_unlock_file(number);
}
