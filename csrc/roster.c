/* SPDX-License-Identifier: MIT
 *
 * roster.c -- who shares a piece of memory, and whether they live.
 *
 * A pid is no name for an owner: it means something else in another namespace, and another process
 * later.  So whoever takes part holds, through an open file description of its own, a lock on one byte
 * of the file (fcntl(2), F_OFD_SETLK); the byte's number is its slot.  The kernel frees the lock when
 * the last descriptor of that description goes, at whatever instruction its process dies.
 *
 * All here is read from memory that others write: each word is read once, and nothing that it says is
 * an index before it was checked.
 */
#define _GNU_SOURCE		/* F_OFD_SETLK, dup3() */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "roster.h"

#ifndef F_OFD_GETLK
#define F_OFD_GETLK 36		/* Linux 3.15, the same on every machine */
#define F_OFD_SETLK 37
#endif

static struct flock byte_of(uint32_t slot, int type)
{
	return (struct flock){ .l_type = (short) type, .l_whence = SEEK_SET, .l_start = slot, .l_len = 1 };
}

static uint32_t generation_of(const struct roster *roster, uint32_t slot)
{
	return __atomic_load_n(&roster->generation[slot], __ATOMIC_ACQUIRE) & (MOST_GENERATIONS - 1);
}

/* The first free slot.  Between the lock and the new generation, whatever the last holder of the slot
 * has left locked passes for being held by the living; a death in between frees the lock. */
int pyipc_member_join(struct pyipc_member *me, char *roster_memory, int32_t life)
{
	struct roster *roster = (struct roster *) roster_memory;

	if (me->id != 0)
		return 0;
	for (uint32_t slot = 0; slot < ROSTER_SLOTS; slot++) {
		struct flock lock = byte_of(slot, F_WRLCK);
		uint32_t generation;

		if (fcntl(life, F_OFD_SETLK, &lock) == -1) {
			if (errno == EAGAIN || errno == EACCES)
				continue;
			return -errno;
		}
		generation = (generation_of(roster, slot) + 1) & (MOST_GENERATIONS - 1);
		/* Release, for whoever finds the id in a guard and asks the roster. */
		__atomic_store_n(&roster->generation[slot], generation, __ATOMIC_RELEASE);
		me->roster = roster_memory;
		me->life = life;
		me->pid = getpid();
		me->id = (slot + 1) | generation << SLOT_BITS;
		return 0;
	}
	return -ENOSPC;
}

/* Our own lock stands in nobody's way who asks through our description: so we are asked first. */
int pyipc_roster_is_alive(const struct pyipc_member *me, uint32_t id)
{
	uint32_t slot = (id & ROSTER_SLOTS) - 1;
	struct flock lock = byte_of(slot, F_WRLCK);

	if (id == me->id)
		return 1;
	if (slot >= ROSTER_SLOTS || id >> SLOT_BITS != generation_of((struct roster *) me->roster, slot))
		return 0;
	/* That the kernel does not say is no proof of a death. */
	return fcntl(me->life, F_OFD_GETLK, &lock) == -1 || lock.l_type != F_UNLCK;
}

/* A forked child shares the description, and with it the lock: as long as it has that open, its dead
 * parent passes for alive.  So it opens the memory anew, under the same number, and is nobody until it
 * joins. */
int pyipc_member_forked(struct pyipc_member *me)
{
	char path[sizeof "/proc/self/fd/-2147483648"];
	int fresh, result;

	me->id = 0;
	(void) snprintf(path, sizeof path, "/proc/self/fd/%d", me->life);
	fresh = open(path, O_RDWR | O_CLOEXEC);
	if (fresh == -1)
		return -errno;
	result = (int) neg_errno(dup3(fresh, me->life, O_CLOEXEC));
	(void) close(fresh);
	return result < 0 ? result : 0;
}
