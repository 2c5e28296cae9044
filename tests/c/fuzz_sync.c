/* SPDX-License-Identifier: MIT
 *
 * fuzz_sync.c -- a peer writes whatever it likes into the memory of a lock or its like: calls end soon
 * after their deadline, with an answer that can be, and touch no byte outside of it.
 */
#include "locks.h"
#include "random.h"

enum { ROUNDS = 5000, TIMEOUT_NS = 200000, PARTIES = 5, PAGE = 4096 };

static struct object o;
static char *fenced;
static uint64_t fenced_size;

/* The object between two pages that nobody may touch. */
static void map_fenced(void)
{
	uint64_t size = (o.size + PAGE - 1) / PAGE * PAGE;

	fenced_size = size + 2 * PAGE;
	fenced = mmap(NULL, fenced_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(fenced != MAP_FAILED);
	CHECK(mmap(fenced + PAGE, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, o.memory, 0) != MAP_FAILED);
}

/* Values that mean something there, as a rule. */
static uint64_t telling_value(const struct pyipc_sync *s)
{
	switch (below(9)) {
	case 0: return 0;
	case 1: return UINT64_MAX;
	case 2: return below(2 * PARTIES);
	case 3: return s->me.id;
	case 4: return s->me.id | GUARD_WAITERS;
	case 5: return UINT64_C(1) << below(64);
	case 6: return (uint64_t) (s->me.id >> SLOT_BITS) << 32 | below(4);
	case 7: return below(4) << 32 | s->me.id;
	default: return random_bits();
	}
}

/* What changes, and the tables' beginnings, most of the time. */
static void scribble(const struct pyipc_sync *s)
{
	for (uint64_t i = below(5); i > 0; i--) {
		uint64_t value = telling_value(s);
		uint64_t at = below(3) ? SYNC_LINES + 4 * below(10) : below(2) ? 2 * SYNC_LINES + 4 * below(8)
								    : sizeof(struct roster) + 2 * SYNC_LINES + 4 * below(64);
		size_t width = below(2) ? 4 : 8;

		if (at + width <= o.size)
			memcpy(o.mapped + at, &value, width);
	}
}

/* A guard that is frozen costs two slices, so it is not always. */
static void thaw_guard(void)
{
	memset(o.mapped + SYNC_LINES, 0, 4);
}

static void heal(uint32_t kind, uint32_t flags, uint32_t value)
{
	memset(o.mapped + SYNC_LINES, 0, SYNC_LINES);
	memset(o.mapped + offsetof(struct sync, holdings), 0, o.size - offsetof(struct sync, holdings));
	EQUAL(0, pyipc_now_sync_format(o.mapped, o.size, kind, flags, value));
}

static int32_t place = -1, taken;
static struct pyipc_arrival arrival;

static int64_t call(struct pyipc_sync *s, int64_t now)
{
	int64_t late = now + TIMEOUT_NS;
	int write = (int) below(2);

	switch (s->kind) {
	case PYIPC_LOCK:
		switch (below(4)) {
		case 0: return pyipc_now_lock_try(s);
		case 1: return pyipc_lock_acquire(s, &taken, now, late);
		case 2: return pyipc_lock_recover(s, &taken, now, late);
		default: return pyipc_now_lock_release(s);
		}
	case PYIPC_SEMAPHORE:
		switch (below(5)) {
		case 0: return pyipc_now_semaphore_try(s);
		case 1: return pyipc_semaphore_acquire(s, &taken, now, late);
		case 2: return pyipc_now_semaphore_release(s);
		case 3: return pyipc_semaphore_release(s, late);
		default: return pyipc_semaphore_value(s, late) < 0 ? -EAGAIN : 0;
		}
	case PYIPC_EVENT:
		switch (below(3)) {
		case 0: return pyipc_now_event_set(s);
		case 1: return pyipc_now_event_clear(s);
		default: return pyipc_event_wait(s, (uint32_t) pyipc_now_event_count(s), now, late);
		}
	case PYIPC_CONDITION:
		switch (below(4)) {
		case 0: return pyipc_condition_enlist(s, &place, late);
		case 1: return pyipc_condition_sleep(s, &place, now, late);
		case 2: return pyipc_condition_delist(s, &place, late);
		default: return pyipc_condition_notify(s, (uint32_t) below(3), late);
		}
	case PYIPC_BARRIER:
		switch (below(7)) {
		case 0: return pyipc_barrier_arrive(s, write, &arrival, now, late);
		case 1: return pyipc_barrier_wait(s, arrival.generation, now, late);
		case 2: return pyipc_barrier_acted(s, arrival.generation, write, late);
		case 3: return pyipc_barrier_leave(s, &arrival, late);
		case 4: return pyipc_barrier_abort(s, late);
		case 5: return pyipc_barrier_waiting(s, late);
		default: return pyipc_barrier_reset(s, late);
		}
	default:
		switch (below(3)) {
		case 0: return pyipc_rwlock_acquire(s, write, &taken, now, late);
		case 1: return pyipc_now_rwlock_release(s, write);
		default: return pyipc_rwlock_release(s, write, late);
		}
	}
}

static int can_be(int64_t result)
{
	switch (-result) {
	case ETIMEDOUT: case EAGAIN: case EBUSY: case EINTR: case EPERM: case EOWNERDEAD: case EOVERFLOW: case ENOSPC:
	case ESTALE: case ECANCELED:
		return 1;
	default:
		return result >= 0 && result <= PARTIES;
	}
}

static void scribbled_on(uint32_t kind, uint32_t flags, uint32_t value)
{
	struct pyipc_sync s, other;
	int good = 0;

	o = make_object(kind, flags, value);
	map_fenced();
	s = join_in(&o, 3);
	s.memory = fenced + PAGE;
	s.me.roster = fenced + PAGE + offsetof(struct sync, roster);
	other = join_in(&o, 0);	/* alive, and so are words in its name */
	for (int round = 0; round < ROUNDS && check_ok == 1; round++) {
		int64_t started = now_ns(), result;

		(void) alarm(PATIENCE_S);
		if (below(8) == 0)
			heal(kind, flags, value);
		scribble(below(2) ? &s : &other);
		if (below(16))
			thaw_guard();
		result = call(&s, started);
		CHECK(can_be(result));
		CHECK(now_ns() - started < 5 * (int64_t) PYIPC_SECOND);
		good += result >= 0;
		if (check_ok != 1)
			printf("  kind %u, round %d: %lld\n", kind, round, (long long) result);
	}
	CHECK(good > ROUNDS / 50);
	leave_it(&s);
	leave_it(&other);
	EQUAL(0, munmap(fenced, fenced_size));
	end_object(&o);
}

static void locks(void)
{
	scribbled_on(PYIPC_LOCK, 0, 0);
	scribbled_on(PYIPC_LOCK, PYIPC_SYNC_STRICT, 0);
	scribbled_on(PYIPC_LOCK, PYIPC_SYNC_RECURSIVE, 0);
}

static void semaphores(void)
{
	scribbled_on(PYIPC_SEMAPHORE, PYIPC_SYNC_UNDO, 2);
	scribbled_on(PYIPC_SEMAPHORE, PYIPC_SYNC_UNDO | PYIPC_SYNC_BOUNDED, 2);
	scribbled_on(PYIPC_SEMAPHORE, 0, 2);
}

static void events(void)
{
	scribbled_on(PYIPC_EVENT, 0, 0);
}

static void conditions(void)
{
	scribbled_on(PYIPC_CONDITION, 0, 0);
}

static void barriers(void)
{
	scribbled_on(PYIPC_BARRIER, 0, PARTIES);
	scribbled_on(PYIPC_BARRIER, 0, 1);
}

static void locks_to_read_and_write(void)
{
	scribbled_on(PYIPC_RWLOCK, 0, 0);
}

int main(int argc, char **argv)
{
	begin_at_random(argc, argv);
	RUN(locks);
	RUN(semaphores);
	RUN(events);
	RUN(conditions);
	RUN(barriers);
	RUN(locks_to_read_and_write);
	return report();
}
