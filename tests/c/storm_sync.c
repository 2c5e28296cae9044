/* SPDX-License-Identifier: MIT
 *
 * storm_sync.c -- processes take a lock or its like and give it back as fast as they can; every few
 * milliseconds one of them is killed, and replaced.
 *
 *     storm_sync [SEED [MILLISECONDS]]
 *
 * Whoever is in says so, and looks who else is.  Who is about to be killed is marked before: what it has
 * said of itself does not count any more.
 */
#include "locks.h"
#include "random.h"

enum { WORKERS = 4, SPINS = 50, PERMITS = 2, MOST_LIVES = 1 << 20 };

static uint64_t milliseconds = 1500;

/* What they tell of what they do, and what they find. */
static struct record {
	uint32_t inside;		/* who has the lock */
	uint32_t permits[WORKERS];	/* who holds one */
	uint32_t wrong, entries, recovered;
	uint32_t doomed[MOST_LIVES];
} *all;

static void count(uint32_t *figure)
{
	(void) __atomic_fetch_add(figure, 1, __ATOMIC_RELAXED);
}

static int is_alive(uint32_t who)
{
	return who != 0 && !load(&all->doomed[who]);
}

/* ---- what they do for ever ---- */

static void be_in(uint32_t who, int recovered)
{
	if (is_alive(load(&all->inside)))
		count(&all->wrong);
	store(&all->inside, who);
	for (int i = 0; i < (int) (who % 50); i++)
		spin_once();
	if (load(&all->inside) != who)
		count(&all->wrong);
	store(&all->inside, 0);
	count(&all->entries);
	if (recovered)
		count(&all->recovered);
}

static void lock_and_unlock(struct pyipc_sync *s, uint32_t who, int place)
{
	(void) place;
	if (pyipc_now_lock_try(s) < 0)
		(void) acquire_by(s, INT64_MAX);
	if (load(&all->inside) != 0 && !pyipc_now_lock_recovered(s))
		count(&all->wrong);	/* somebody died there, and nobody says so */
	be_in(who, pyipc_now_lock_recovered(s));
	(void) pyipc_now_lock_release(s);
}

static void take_and_give(struct pyipc_sync *s, uint32_t who, int place)
{
	int32_t taken;
	int holders = 0;

	if (pyipc_now_semaphore_try(s) < 0)
		(void) AGAIN(pyipc_semaphore_acquire(s, &taken, now_ns(), INT64_MAX));
	store(&all->permits[place], who);
	for (int i = 0; i < WORKERS; i++)
		holders += is_alive(load(&all->permits[i]));
	if (holders > PERMITS)
		count(&all->wrong);
	count(&all->entries);
	store(&all->permits[place], 0);
	if (pyipc_now_semaphore_release(s) < 0)
		(void) AGAIN(pyipc_semaphore_release(s, INT64_MAX));
}

static void read_or_write(struct pyipc_sync *s, uint32_t who, int place)
{
	static uint32_t turn;
	int write = ++turn % 3 == 0;
	int32_t taken;

	(void) place;
	(void) AGAIN(pyipc_rwlock_acquire(s, write, &taken, now_ns(), INT64_MAX));
	if (write)
		be_in(who, pyipc_now_rwlock_recovered(s));
	else if (is_alive(load(&all->inside)))
		count(&all->wrong);
	(void) AGAIN(pyipc_rwlock_release(s, write, INT64_MAX));
}

/* ---- the storm ---- */

static uint32_t lives, life_at[WORKERS];

static pid_t one_more(const struct object *o, void (*work)(struct pyipc_sync *, uint32_t, int), int place)
{
	pid_t child;

	life_at[place] = ++lives;
	child = fork_child();
	if (child == 0) {
		struct pyipc_sync s = join_in(o, SPINS);

		for (;;)
			work(&s, lives, place);
	}
	return child;
}

static void strike(pid_t worker, int place)
{
	store(&all->doomed[life_at[place]], 1);
	EQUAL(1000 + SIGKILL, kill_and_reap(worker));
}

static void in_a_storm(struct object o, void (*work)(struct pyipc_sync *, uint32_t, int))
{
	pid_t workers[WORKERS];
	int killed = 0;
	int64_t end;

	all = mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(all != MAP_FAILED);
	lives = 0;
	for (int i = 0; i < WORKERS; i++)
		workers[i] = one_more(&o, work, i);
	for (end = now_ns() + (int64_t) milliseconds * 1000000; now_ns() < end && lives < MOST_LIVES - 1; killed++) {
		struct timespec some = { .tv_nsec = (long) below(4000000) };
		int victim = (int) below(WORKERS);

		(void) alarm(PATIENCE_S + 5);
		(void) nanosleep(&some, NULL);	/* the storm's own rhythm; nothing waits for it */
		strike(workers[victim], victim);
		workers[victim] = one_more(&o, work, victim);
	}
	for (int i = 0; i < WORKERS; i++)
		strike(workers[i], i);
	printf("  %u times in, %d killed, %u times taken from the dead\n", all->entries, killed, all->recovered);
	EQUAL(0, all->wrong);
	CHECK(killed > 10);
	CHECK(all->entries > 1000);
	EQUAL(0, munmap(all, sizeof *all));
}

static void locks(void)
{
	struct object o = make_object(PYIPC_LOCK, 0, 0);
	struct pyipc_sync s = join_in(&o, 0);

	in_a_storm(o, lock_and_unlock);
	EQUAL(0, acquire_by(&s, in_seconds(1)));
	leave_it(&s);
	end_object(&o);
}

static void semaphores(void)
{
	struct object o = make_object(PYIPC_SEMAPHORE, PYIPC_SYNC_UNDO, PERMITS);
	struct pyipc_sync s = join_in(&o, 0);

	in_a_storm(o, take_and_give);
	EQUAL(PERMITS, AGAIN(pyipc_semaphore_value(&s, in_seconds(1))));
	leave_it(&s);
	end_object(&o);
}

static void locks_to_read_and_write(void)
{
	struct object o = make_object(PYIPC_RWLOCK, 0, 0);
	struct pyipc_sync s = join_in(&o, 0);
	int32_t taken;

	in_a_storm(o, read_or_write);
	EQUAL(0, AGAIN(pyipc_rwlock_acquire(&s, 1, &taken, now_ns(), in_seconds(1))));
	leave_it(&s);
	end_object(&o);
}

int main(int argc, char **argv)
{
	begin_at_random(argc, argv);
	if (argc > 2)
		milliseconds = number_of_calls;
	RUN(locks);
	RUN(semaphores);
	RUN(locks_to_read_and_write);
	return report();
}
