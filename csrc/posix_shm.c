/* SPDX-License-Identifier: MIT
 *
 * posix_shm.c -- POSIX shared memory: make, give a name, open, read, write, resize, remove.
 *
 * What the C library calls shm_open() is a file in /dev/shm, and has been for every C library of Linux.
 * Here it is opened without it, for the sake of O_TMPFILE: memory is made without a name, gets its size
 * and its pages, and only then its name.  So nobody ever finds it half made, and who dies on the way
 * leaves nothing.  shm_open(O_CREAT) has to show an empty segment first.
 *
 * Such files cannot be sealed: whoever may write to one may shrink it, and who touches a mapping of what
 * is gone dies by SIGBUS.  So reading and writing are pread(2) and pwrite(2), which end where it ends.
 */
#define _GNU_SOURCE		/* O_TMPFILE */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "internal.h"

#define PLACE "/dev/shm"

static int path_of(const char *name, char *ret_path, size_t room)
{
	int length = snprintf(ret_path, room, PLACE "/%s", name);

	return length < 0 || (size_t) length >= room ? -ENAMETOOLONG : 0;
}

int pyipc_posix_shm_create(int mode, int32_t *ret_fd)
{
	return own(neg_errno(open(PLACE, O_TMPFILE | O_RDWR | O_CLOEXEC, mode & 0777)), ret_fd);
}

/* By way of /proc: to name a descriptor itself takes a capability (AT_EMPTY_PATH, open(2)). */
int pyipc_posix_shm_link(int number, const char *name)
{
	char from[32], to[PATH_MAX];
	int result = path_of(name, to, sizeof to);

	(void) snprintf(from, sizeof from, "/proc/self/fd/%d", number);
	return result < 0 ? result
		: (int) neg_errno(linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW));
}

/* As shm_open() does: through no link of somebody else's.  And without waiting for the other end, should
 * it be a fifo. */
int pyipc_posix_shm_open(const char *name, int read_only, int32_t *ret_fd)
{
	int flags = (read_only ? O_RDONLY : O_RDWR) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	char path[PATH_MAX];
	int result = path_of(name, path, sizeof path);

	return result < 0 ? result : own(neg_errno(open(path, flags)), ret_fd);
}

/* As shm_open() does, for programs that bring its flags; and what they do next, to give it its size.  Should
 * that fail, what was made here goes again: so one has to know whether it was. */
int pyipc_posix_shm_get(const char *name, int flags, int mode, uint64_t size, int32_t *ret_fd)
{
	int always = flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	char path[PATH_MAX];
	int result = path_of(name, path, sizeof path);
	int number, made = (flags & O_EXCL) != 0;

	if (result < 0)
		return result;
	number = (flags & (O_CREAT | O_EXCL)) == O_CREAT ? -1 : (int) neg_errno(open(path, always, mode & 07777));
	while ((flags & (O_CREAT | O_EXCL)) == O_CREAT && !made) {
		number = (int) neg_errno(open(path, always & ~O_CREAT));
		if (number != -ENOENT)
			break;
		number = (int) neg_errno(open(path, always | O_EXCL, mode & 07777));
		made = number != -EEXIST;	/* else somebody made it between the two calls: begin again */
	}
	if (number < 0)
		return number;
	result = size ? pyipc_posix_shm_resize(number, size) : 0;
	if (result == 0)
		return own(number, ret_fd);
	(void) close(number);
	if (made)
		(void) unlink(path);
	return result;
}

int pyipc_posix_shm_resize(int number, uint64_t size)
{
	return size > INT64_MAX ? -EINVAL : (int) neg_errno(ftruncate(number, (off_t) size));
}

int pyipc_posix_shm_unlink(const char *name)
{
	char path[PATH_MAX];
	int result = path_of(name, path, sizeof path);

	return result < 0 ? result : (int) neg_errno(unlink(path));
}

/* All of it, or -ENODATA: somebody has made it smaller.  One call moves 2 GiB at most. */
int64_t pyipc_posix_shm_read(const int32_t *fd, char *ret_data, uint64_t size, uint64_t offset)
{
	uint64_t done = 0;

	do {
		int64_t result = neg_errno(pread(number_of(fd), ret_data + done, size - done, (off_t) (offset + done)));

		if (result < 0)
			return result;
		if (result == 0 && done < size)
			return -ENODATA;
		done += (uint64_t) result;
	} while (done < size);
	return (int64_t) done;
}

int64_t pyipc_now_posix_shm_read(const int32_t *fd, char *ret_data, uint64_t size, uint64_t offset)
{
	const int32_t held = hold(fd);

	return end_hold(fd, pyipc_posix_shm_read(&held, ret_data, size, offset));
}

/* Is all of this there?  To read the last byte takes half as long as fstat(2), which besides makes the next
 * write take a finer time stamp. */
static int64_t reaches(int number, uint64_t offset, uint64_t size)
{
	uint64_t end = offset + size;
	int64_t result = 1;
	char last;

	if (end > INT64_MAX || end < size)
		return -ENODATA;
	if (end > 0)
		result = neg_errno(pread(number, &last, 1, (off_t) end - 1));
	return result == 0 ? -ENODATA : result;
}

/* pwrite(2) would make what has shrunk longer again, so it is asked first.  (If it shrinks in between, it
 * is made longer: nobody can tell that from a write before.) */
int64_t pyipc_posix_shm_write(const int32_t *fd, const char *data, uint64_t size, uint64_t offset)
{
	int number = number_of(fd);
	uint64_t done = 0;
	int64_t result = reaches(number, offset, size);

	if (result < 0)
		return result;
	while (done < size) {	/* where a page is missing and cannot be had, it comes back short at first */
		result = neg_errno(pwrite(number, data + done, size - done, (off_t) (offset + done)));
		if (result < 0)
			return result;
		done += (uint64_t) result;
	}
	return (int64_t) done;
}

int64_t pyipc_now_posix_shm_write(const int32_t *fd, const char *data, uint64_t size, uint64_t offset)
{
	const int32_t held = hold(fd);

	return end_hold(fd, pyipc_posix_shm_write(&held, data, size, offset));
}
