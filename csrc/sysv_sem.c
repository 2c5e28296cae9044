/* SPDX-License-Identifier: MIT
 *
 * sysv_sem.c -- System V semaphore sets: create, find, operate, values, stat, set, remove.
 *
 * EAGAIN has two meanings, settled here where the cause is known: after a wait that used up its
 * time it becomes ETIMEDOUT; before that it stays EAGAIN, and an IPC_NOWAIT operation said no.
 */
#define _GNU_SOURCE		/* semtimedop() */
#include <sys/sem.h>

#include "internal.h"

union semun {			/* no header declares it: semctl(2) */
	int val;
	struct semid_ds *buf;
	unsigned short *array;
};

_Static_assert(sizeof(struct pyipc_sem_op) == sizeof(struct sembuf), "passed to the kernel as it is");
_Static_assert(PYIPC_SEM_NOWAIT == IPC_NOWAIT && PYIPC_SEM_UNDO == SEM_UNDO, "same bits");

/* The kernel's own default bound on the operations of one semop(2). */
enum { SEMOPM = 500 };

enum { SEMVMX = 32767 };

/* The longest sleep in one call.  A signal that lands after Python looked for one and before the
 * kernel sleeps ends no wait; semtimedop(2) takes no mask that could close the gap.  So every
 * second the wait goes up to Python, as if a signal had come: 60 us of CPU a second. */
enum { NET_NS = PYIPC_SECOND };

static int settle(int id, int64_t result)
{
	struct semid_ds stat;

	if (result != -EINVAL)
		return (int) result;
	return (int) gone_or_invalid(semctl(id, 0, IPC_STAT, (union semun){ .buf = &stat }));
}

/* Stevens' race: a set is born without values, so another process may find it before its maker
 * has given it any.  The kernel keeps sem_otime at 0 until the first semop(2); hence the values
 * first, then an operation that changes nothing, and finders wait until sem_otime is set. */
static int64_t initialise(int id, const uint16_t *values)
{
	struct sembuf give_and_take[2] = { { .sem_op = 1 }, { .sem_op = -1 } };
	struct sembuf take_and_give[2] = { { .sem_op = -1 }, { .sem_op = 1 } };
	int64_t result = neg_errno(semctl(id, 0, SETALL, (union semun){ .array = (unsigned short *) values }));

	if (result < 0)
		return result;
	return neg_errno(semop(id, values[0] < SEMVMX ? give_and_take : take_and_give, 2));
}

int pyipc_sem_create(int32_t key, const uint16_t *values, int count, int mode)
{
	/* Giving the values needs permission that the caller may not want to keep. */
	int working_mode = (mode & 0777) | 0600;
	int id = (int) neg_errno(semget(key, count, IPC_CREAT | IPC_EXCL | working_mode));
	int64_t result;

	if (id < 0)
		return id;
	result = initialise(id, values);
	if (result >= 0 && working_mode != (mode & 0777))
		result = pyipc_now_sem_set(id, -1, -1, mode);
	if (result < 0) {
		(void) semctl(id, 0, IPC_RMID);
		return (int) result;
	}
	return id;
}

int pyipc_now_sem_find(int32_t key, int count)
{
	return (int) neg_errno(semget(key, count, 0));
}

/* Without the semop(2) of pyipc_sem_create(): who asks here tells its peers by the first one of its own. */
int pyipc_sem_get(int32_t key, int flags, int value)
{
	int id = (int) neg_errno(semget(key, 1, flags));
	int64_t result = 0;

	if (id >= 0 && flags & IPC_CREAT && flags & IPC_EXCL && flags & 0200)
		result = neg_errno(semctl(id, 0, SETVAL, (union semun){ .val = value }));
	if (result == 0)
		return id;
	(void) semctl(id, 0, IPC_RMID);
	return (int) result;
}

static int64_t now_add(int id, int delta)
{
	struct sembuf op = { .sem_op = (short) delta, .sem_flg = IPC_NOWAIT };

	return neg_errno(semop(id, &op, 1));
}

int pyipc_now_sem_take(int id)
{
	return settle(id, now_add(id, -1));
}

int pyipc_now_sem_give(int id)
{
	return settle(id, now_add(id, 1));
}

int pyipc_now_sem_op(int id, const struct pyipc_sem_op *ops, uint64_t count)
{
	struct sembuf now[SEMOPM];
	struct timespec none = { 0 };

	/* More than the default bound: rare, so the slower way to not wait, without a copy. */
	if (count > SEMOPM)
		return settle(id, neg_errno(semtimedop(id, (struct sembuf *) ops, count, &none)));
	for (uint64_t i = 0; i < count; i++)
		now[i] = (struct sembuf){ ops[i].index, ops[i].delta, (short) (ops[i].flags | IPC_NOWAIT) };
	return settle(id, neg_errno(semop(id, now, count)));
}

static int any_nowait(const struct pyipc_sem_op *ops, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		if (ops[i].flags & PYIPC_SEM_NOWAIT)
			return 1;
	return 0;
}

int pyipc_sem_op(int id, const struct pyipc_sem_op *ops, uint64_t count, int64_t deadline_ns)
{
	int64_t now = monotonic_ns();
	int64_t left = deadline_ns > now ? deadline_ns - now : 0;
	int64_t nap = left < NET_NS ? left : NET_NS;
	struct timespec ts = ns_to_timespec(nap);
	int64_t result = neg_errno(semtimedop(id, (struct sembuf *) ops, count, &ts));

	if (result != -EAGAIN)
		return settle(id, result);
	if (monotonic_ns() < now + nap)
		return any_nowait(ops, count) ? -EAGAIN : -EINTR;
	return nap == left ? -ETIMEDOUT : -EINTR;
}

int pyipc_now_sem_get(int id, int index, int what)
{
	static const int commands[] = {
		[PYIPC_SEM_GET_VALUE] = GETVAL,
		[PYIPC_SEM_GET_PID] = GETPID,
		[PYIPC_SEM_GET_WAITERS] = GETNCNT,
		[PYIPC_SEM_GET_ZERO_WAITERS] = GETZCNT,
	};

	if (what < 0 || what >= (int) (sizeof commands / sizeof *commands))
		return -EINVAL;
	return settle(id, neg_errno(semctl(id, index, commands[what])));
}

int pyipc_now_sem_set_value(int id, int index, int value)
{
	return settle(id, neg_errno(semctl(id, index, SETVAL, (union semun){ .val = value })));
}

/* GETALL and SETALL move as many values as the set of this id has at that moment.  An id that was
 * removed and given out anew could have more than the caller once saw, so the caller's array
 * always has room for 65536, more than any index can name.  An administrator can raise SEMMSL
 * beyond that, and another process make such a set: it has a semaphore at this index. */
static int too_many_values(int id)
{
	return semctl(id, 65536, GETPID) >= 0;
}

int pyipc_now_sem_get_all(int id, uint16_t *ret_values)
{
	if (too_many_values(id))
		return -E2BIG;
	return settle(id, neg_errno(semctl(id, 0, GETALL, (union semun){ .array = ret_values })));
}

int pyipc_now_sem_set_all(int id, const uint16_t *values)
{
	if (too_many_values(id))
		return -E2BIG;
	return settle(id, neg_errno(semctl(id, 0, SETALL, (union semun){ .array = (unsigned short *) values })));
}

int pyipc_now_sem_stat(int id, struct pyipc_sem_stat *ret_stat)
{
	struct semid_ds stat;
	int64_t result = neg_errno(semctl(id, 0, IPC_STAT, (union semun){ .buf = &stat }));

	if (result < 0)
		return result == -EINVAL ? -EIDRM : (int) result;
	*ret_stat = (struct pyipc_sem_stat){
		.owner = owner_of(&stat.sem_perm),
		.count = stat.sem_nsems,
		.op_time = stat.sem_otime,
		.change_time = stat.sem_ctime,
	};
	return 0;
}

int pyipc_now_sem_set(int id, int64_t uid, int64_t gid, int64_t mode)
{
	struct semid_ds stat;
	int64_t result = neg_errno(semctl(id, 0, IPC_STAT, (union semun){ .buf = &stat }));

	if (result == 0)
		result = change_owner(&stat.sem_perm, uid, gid, mode);
	if (result == 0)
		result = neg_errno(semctl(id, 0, IPC_SET, (union semun){ .buf = &stat }));
	return settle(id, result);
}

int pyipc_sem_remove(int id)
{
	return settle(id, neg_errno(semctl(id, 0, IPC_RMID)));
}
