/* SPDX-License-Identifier: MIT
 *
 * internal.h -- what the .c files share; cffi never sees it.
 */
#ifndef PYIPC_INTERNAL_H
#define PYIPC_INTERNAL_H

#include <errno.h>
#include <stdint.h>
#include <sys/ipc.h>
#include <time.h>

#include "pyipc_core.h"

/* The kernel's way (-1 and errno) into ours (-errno). */
static inline int64_t neg_errno(int64_t result)
{
	return result == -1 ? -errno : result;
}

/* Of an owner: see descriptors.c. */
static inline int number_of(const int32_t *fd)
{
	return __atomic_load_n(fd, __ATOMIC_RELAXED);
}

/* The same for a call that does not wait: until it lets go, the number means what it means now.  With a GIL
 * it does anyway. */
#ifdef PYIPC_NO_GIL
static inline int hold(const int32_t *fd)
{
	int32_t *users = (int32_t *) fd + 1;

	(void) __atomic_fetch_add(users, 1, __ATOMIC_SEQ_CST);	/* pairs with wait_for_calls() */
	return __atomic_load_n(fd, __ATOMIC_SEQ_CST);
}

static inline int64_t end_hold(const int32_t *fd, int64_t result)
{
	(void) __atomic_fetch_sub((int32_t *) fd + 1, 1, __ATOMIC_RELEASE);
	return result;
}
#else
static inline int hold(const int32_t *fd)
{
	return number_of(fd);
}

static inline int64_t end_hold(const int32_t *fd, int64_t result)
{
	(void) fd;
	return result;
}
#endif

/* What a call has made, or its -errno. */
static inline int own(int64_t number, int32_t *ret_fd)
{
	if (number < 0)
		return (int) number;
	*ret_fd = (int) number;
	return 0;
}

/* Is O_NONBLOCK not set?  -errno. (descriptors.c) */
int pyipc_is_blocking(int number);

/* write(2) to a pipe or socket; -EPIPE is all that comes of one that is broken (descriptors.c). */
int64_t pyipc_write_without_sigpipe(int number, const char *data, uint64_t size);

/* A message that owns nothing yet.  Its kilobyte is not cleared: that would cost more than the rest. */
static inline void no_message(struct pyipc_message *message)
{
	message->count = message->lost = message->has_credentials = message->address_size = 0;
	message->pidfd = -1;
}

static inline int64_t monotonic_ns(void)
{
	struct timespec now;

	(void) clock_gettime(CLOCK_MONOTONIC, &now);	/* cannot fail: the clock always exists */
	return (int64_t) now.tv_sec * PYIPC_SECOND + now.tv_nsec;
}

static inline struct timespec ns_to_timespec(int64_t ns)
{
	return (struct timespec){ .tv_sec = ns / PYIPC_SECOND, .tv_nsec = ns % PYIPC_SECOND };
}

static inline struct pyipc_owner owner_of(const struct ipc_perm *perm)
{
	return (struct pyipc_owner){
		.key = perm->__key,
		.uid = perm->uid,
		.gid = perm->gid,
		.creator_uid = perm->cuid,
		.creator_gid = perm->cgid,
		.mode = perm->mode & 0777,
	};
}

/* IPC_SET writes owner, group and mode together: fill in those that were asked for.  An id that
 * does not fit must not become another one: 1 << 32, cut, is root. */
static inline int64_t change_owner(struct ipc_perm *perm, int64_t uid, int64_t gid, int64_t mode)
{
	if (uid > UINT32_MAX || gid > UINT32_MAX)
		return -EINVAL;
	if (uid >= 0)
		perm->uid = (uid_t) uid;
	if (gid >= 0)
		perm->gid = (gid_t) gid;
	if (mode >= 0)
		perm->mode = (unsigned short) (mode & 0777);
	return 0;
}

/* EINVAL for an id has two causes: the object is gone, or an argument is wrong.  Ask the kernel
 * which: stat_result is what IPC_STAT on the id says now.  (EACCES means that it is alive.) */
static inline int64_t gone_or_invalid(int stat_result)
{
	if (stat_result == -1 && (errno == EINVAL || errno == EIDRM))
		return -EIDRM;
	return -EINVAL;
}

#endif
