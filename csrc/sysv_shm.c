/* SPDX-License-Identifier: MIT
 *
 * sysv_shm.c -- System V segments: create, find, attach, detach, stat, set, lock, remove.
 *
 * A private segment is attached and marked IPC_RMID in the call that makes it: Linux lets other
 * processes attach a marked segment by its id while anybody is attached, and frees it with the
 * last of them, whatever killed them (shmctl(2), "Linux permits ...").  So it cannot leak, but
 * for a SIGKILL between two system calls.
 */
#define _GNU_SOURCE		/* SHM_HUGETLB */
#include <sys/shm.h>

#include "internal.h"

#ifndef SHM_HUGE_SHIFT
#define SHM_HUGE_SHIFT 26
#endif

static int kernel_flags(int flags)
{
	int kernel = 0;

	if (flags & PYIPC_SHM_HUGE_2M)
		kernel |= SHM_HUGETLB | (21 << SHM_HUGE_SHIFT);
	if (flags & PYIPC_SHM_HUGE_1G)
		kernel |= SHM_HUGETLB | (30 << SHM_HUGE_SHIFT);
	if (flags & PYIPC_SHM_NO_RESERVE)
		kernel |= SHM_NORESERVE;
	return kernel;
}

static int64_t settle(int id, int64_t result)
{
	struct shmid_ds stat;

	return result == -EINVAL ? gone_or_invalid(shmctl(id, IPC_STAT, &stat)) : result;
}

int pyipc_shm_create(int32_t key, uint64_t size, int flags, int mode)
{
	return (int) neg_errno(shmget(key, size, kernel_flags(flags) | IPC_CREAT | IPC_EXCL | (mode & 0777)));
}

int pyipc_shm_create_private(uint64_t size, int flags, int mode, int64_t *ret_address)
{
	/* To attach it takes permission that the caller may not want to keep. */
	int working_mode = (mode & 0777) | 0600;
	int id = pyipc_shm_create(IPC_PRIVATE, size, flags, working_mode);
	int64_t address;

	if (id < 0)
		return id;
	address = pyipc_shm_attach(id, 0, 0);
	if (address >= 0 && working_mode != (mode & 0777))
		(void) pyipc_now_shm_set(id, -1, -1, mode);
	(void) shmctl(id, IPC_RMID, NULL);	/* cannot fail, nor did the line above: it is ours */
	if (address < 0)
		return (int) address;
	*ret_address = address;
	return id;
}

int pyipc_now_shm_find(int32_t key, uint64_t size)
{
	return (int) neg_errno(shmget(key, size, 0));
}

/* The three pyipc_*_get() are for programs that bring flags of the kernel's own. */
int pyipc_shm_get(int32_t key, uint64_t size, int flags)
{
	return (int) neg_errno(shmget(key, size, flags));
}

/* Never with SHM_REMAP: it would let a caller unmap the interpreter. */
int64_t pyipc_shm_attach(int id, uint64_t address, int flags)
{
	int kernel = flags & PYIPC_SHM_READ_ONLY ? SHM_RDONLY : 0;

	return settle(id, neg_errno((int64_t) shmat(id, (const void *) address, kernel)));
}

int pyipc_shm_detach(char *address)
{
	return (int) neg_errno(shmdt(address));
}

int pyipc_now_shm_stat(int id, struct pyipc_shm_stat *ret_stat)
{
	struct shmid_ds stat;
	int64_t result = neg_errno(shmctl(id, IPC_STAT, &stat));

	if (result < 0)
		return result == -EINVAL ? -EIDRM : (int) result;
	*ret_stat = (struct pyipc_shm_stat){
		.owner = owner_of(&stat.shm_perm),
		.size = stat.shm_segsz,
		.attach_count = stat.shm_nattch,
		.attach_time = stat.shm_atime,
		.detach_time = stat.shm_dtime,
		.change_time = stat.shm_ctime,
		.creator_pid = stat.shm_cpid,
		.last_pid = stat.shm_lpid,
	};
	return 0;
}

int64_t pyipc_now_shm_size(int id)
{
	struct shmid_ds stat;
	int64_t result = neg_errno(shmctl(id, IPC_STAT, &stat));

	if (result < 0)
		return result == -EINVAL ? -EIDRM : result;
	return stat.shm_segsz <= INT64_MAX ? (int64_t) stat.shm_segsz : -EOVERFLOW;
}

int pyipc_now_shm_set(int id, int64_t uid, int64_t gid, int64_t mode)
{
	struct shmid_ds stat;
	int64_t result = neg_errno(shmctl(id, IPC_STAT, &stat));

	if (result == 0)
		result = change_owner(&stat.shm_perm, uid, gid, mode);
	if (result == 0)
		result = neg_errno(shmctl(id, IPC_SET, &stat));
	return (int) settle(id, result);
}

int pyipc_shm_lock(int id, int locked)
{
	return (int) settle(id, neg_errno(shmctl(id, locked ? SHM_LOCK : SHM_UNLOCK, NULL)));
}

int pyipc_shm_remove(int id)
{
	return (int) settle(id, neg_errno(shmctl(id, IPC_RMID, NULL)));
}
