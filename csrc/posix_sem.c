/* SPDX-License-Identifier: MIT
 *
 * posix_sem.c -- POSIX semaphores: named, and in memory that is shared.
 *
 * The kernel knows nothing of them: they are a layout and a protocol of the C library's own, which its
 * functions follow and nobody else may.  So these go through the C library, and meet programs that use
 * the same one.
 */
#define _GNU_SOURCE		/* sem_clockwait() */
#include <fcntl.h>
#include <semaphore.h>

#include "internal.h"

_Static_assert(sizeof(sem_t) == PYIPC_POSIX_SEM_SIZE, "in every C library of Linux with 64 bits");

/* glibc has it since 2.30, musl has not: where it is not there, it is null. */
extern int sem_clockwait(sem_t *restrict sem, clockid_t clock, const struct timespec *restrict deadline);
#pragma weak sem_clockwait

/* As semop does: a signal that came after Python looked and before we sleep is noticed then. */
static const int64_t NET_NS = PYIPC_SECOND;

enum { FIRST_NAP_NS = 20000, LONGEST_NAP_NS = 10000000 };

static sem_t *at(char *sem)
{
	return (sem_t *) (void *) sem;
}

/* The C library takes one of its words for a flag of futex(2) without a look, and ends the process if the
 * kernel does not know it: 0 or 128 are what it writes there itself (in glibc and musl).  Who writes
 * something else between this look and its use ends us all the same. */
static int is_sound(char *sem)
{
	enum { FLAG = 2, PRIVATE = 128 };
	int flag = __atomic_load_n((int *) (void *) sem + FLAG, __ATOMIC_RELAXED);

	return flag == 0 || flag == PRIVATE;
}

int pyipc_posix_sem_open(const char *name, int flags, int mode, uint32_t value, int64_t *ret_sem)
{
	int kernel = (flags & PYIPC_POSIX_CREATE ? O_CREAT : 0) | (flags & PYIPC_POSIX_EXCLUSIVE ? O_EXCL : 0);
	sem_t *sem = sem_open(name, kernel, (mode_t) (mode & 0777), value);

	if (sem == SEM_FAILED)
		return -errno;
	*ret_sem = (int64_t) (intptr_t) sem;
	return 0;
}

int pyipc_posix_sem_close(char *sem)
{
	return (int) neg_errno(sem_close(at(sem)));
}

int pyipc_posix_sem_unlink(const char *name)
{
	int result = (int) neg_errno(sem_unlink(name));

	return result == -EPERM ? -EACCES : result;	/* as glibc has it; musl says what unlink(2) said */
}

int pyipc_now_posix_sem_init(char *sem, uint32_t value)
{
	return (int) neg_errno(sem_init(at(sem), 1, value));
}

/* That a signal came does not matter to who does not wait. */
int pyipc_now_posix_sem_try(char *sem)
{
	int64_t result;

	if (!is_sound(sem))
		return -EINVAL;
	do
		result = neg_errno(sem_trywait(at(sem)));
	while (result == -EINTR);
	return (int) result;
}

/* sem_timedwait() knows the wall clock only, which may be set; so without the other one this looks again
 * and again, more and more seldom. */
static int64_t look_until(char *sem, int64_t deadline_ns)
{
	int64_t length = FIRST_NAP_NS;

	for (;;) {
		int64_t result = pyipc_now_posix_sem_try(sem);
		int64_t left = deadline_ns - monotonic_ns();
		struct timespec nap = ns_to_timespec(left < length ? left : length);

		if (result != -EAGAIN)
			return result;
		if (left <= 0)
			return -ETIMEDOUT;
		if (clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL) == EINTR)
			return -EINTR;
		length = 2 * length < LONGEST_NAP_NS ? 2 * length : LONGEST_NAP_NS;
	}
}

int pyipc_posix_sem_wait(char *sem, int64_t deadline_ns)
{
	int64_t net_ns = monotonic_ns() + NET_NS;
	int64_t end_ns = deadline_ns > net_ns ? net_ns : deadline_ns > 0 ? deadline_ns : 0;
	struct timespec end = ns_to_timespec(end_ns);
	int64_t result;

	if (!is_sound(sem))
		return -EINVAL;
	result = sem_clockwait ? neg_errno(sem_clockwait(at(sem), CLOCK_MONOTONIC, &end)) : look_until(sem, end_ns);
	return (int) (result == -ETIMEDOUT && end_ns < deadline_ns ? -EINTR : result);
}

int pyipc_now_posix_sem_post(char *sem)
{
	return is_sound(sem) ? (int) neg_errno(sem_post(at(sem))) : -EINVAL;
}

int pyipc_now_posix_sem_value(char *sem)
{
	int value = 0;

	(void) sem_getvalue(at(sem), &value);	/* cannot fail */
	return value > 0 ? value : 0;
}
