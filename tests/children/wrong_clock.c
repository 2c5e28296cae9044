/* SPDX-License-Identifier: MIT
 *
 * wrong_clock.c -- to be preloaded: a wall clock that the tests set, at the boundary of the C library.  How
 * many nanoseconds it is wrong stands in the file that WRONG_CLOCK names, and may change at any time.
 *
 * Who waits in the kernel until a time of the wall clock is woken when somebody sets it; so what waits by
 * that clock looks here again and again.  All that goes by another clock passes through.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t none, *wrong = &none;
static const int64_t second = 1000000000;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("WRONG_CLOCK");
	int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *memory = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *wrong, PROT_READ, MAP_SHARED, file, 0);

	if (memory != MAP_FAILED)
		wrong = memory;
	if (file >= 0)
		close(file);
}

static int64_t now(void)
{
	struct timespec true_time;

	syscall(SYS_clock_gettime, CLOCK_REALTIME, &true_time);
	return true_time.tv_sec * second + true_time.tv_nsec + *wrong;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
	if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)
		return (int) syscall(SYS_clock_gettime, clock, time);
	time->tv_sec = now() / second;
	time->tv_nsec = now() % second;
	return 0;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
	int64_t at = now();

	(void) zone;
	time->tv_sec = at / second;
	time->tv_usec = at % second / 1000;
	return 0;
}

time_t time(time_t *ret_time)
{
	time_t at = now() / second;

	if (ret_time)
		*ret_time = at;
	return at;
}

/* Whether to try once more; else errno says that the time is over. */
static int again(const struct timespec *end)
{
	static const struct timespec nap = { .tv_nsec = 1000000 };

	if (now() >= end->tv_sec * second + end->tv_nsec) {
		errno = ETIMEDOUT;
		return 0;
	}
	return nanosleep(&nap, NULL) == 0;
}

int sem_timedwait(sem_t *restrict sem, const struct timespec *restrict end)
{
	do {
		if (sem_trywait(sem) == 0)
			return 0;
	} while (errno == EAGAIN && again(end));
	return -1;
}

static const struct timespec long_ago;

ssize_t mq_timedreceive(mqd_t queue, char *restrict data, size_t size, unsigned *restrict priority,
			const struct timespec *restrict end)
{
	ssize_t result;

	do {
		result = syscall(SYS_mq_timedreceive, queue, data, size, priority, &long_ago);
	} while (result == -1 && errno == ETIMEDOUT && again(end));
	return result;
}

int mq_timedsend(mqd_t queue, const char *data, size_t size, unsigned priority, const struct timespec *end)
{
	int result;

	do {
		result = (int) syscall(SYS_mq_timedsend, queue, data, size, priority, &long_ago);
	} while (result == -1 && errno == ETIMEDOUT && again(end));
	return result;
}
