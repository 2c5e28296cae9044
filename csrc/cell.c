/* SPDX-License-Identifier: MIT
 *
 * cell.c -- one value, of which the newest counts: docs/design/cell.md.
 *
 * There are several buffers, and one word that says which of them is the newest: the version, whose
 * remainder is the number of the buffer.  A writer fills the next one, of which nobody is told yet, and
 * then stores the version: ONE store.  Whoever dies before it has written nothing, and after it
 * everything, so a guard that is taken from a dead writer needs no repair.  A reader copies, and then
 * looks whether the version has moved on so far that somebody may have begun to fill its buffer again;
 * it waits for nobody.
 *
 * Memory order.  Words of a buffer are stored with release and loaded with acquire, one by one: so a
 * reader that has seen a word of a later writer sees, at its second look at the version, what that
 * writer saw of it, and throws the copy away.  (Fences around relaxed copies would do as well, and
 * ThreadSanitizer does not know them; on x86 it is the same code.)  The version is exchanged, and
 * `arrivals` counted, with sequential consistency: either who wakes sees who goes to sleep, or who goes
 * to sleep sees the new version.  What else there is, is written under the guard.
 *
 * What is read here others can write: each word is read once, and checked before it is used.
 */
#define _GNU_SOURCE		/* syscall() */
#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "futex.h"
#include "guard.h"

enum { CELL_MAJOR = 1, BUFFERS = 4, LINES = 128 };
#define CELL_MAGIC UINT64_C(0x316c656370690a89)

/* A reader is late only if three values were written while it copied one. */
enum { TRIES = 32 };

/* Sleeps grow to this length, the shortest that costs next to nothing. */
enum { FIRST_SLEEP_NS = PYIPC_SECOND / 100, LONGEST_SLEEP_NS = PYIPC_SECOND };

struct buffer {
	uint64_t size;
	uint64_t unused;
	uint64_t words[];
};

struct cell {
	uint64_t magic;
	uint32_t major, most;
	uint64_t size;
	uint64_t reserved[13];
	uint32_t guard;		/* of the writers */
	uint32_t served;	/* arrivals that were woken */
	uint64_t unused[15];
	uint64_t version;	/* the commit */
	uint32_t arrivals;	/* how often somebody went to sleep */
	uint32_t unused_too[29];
	struct roster roster;
	char buffers[];
};

_Static_assert(offsetof(struct cell, guard) == LINES && offsetof(struct cell, version) == 2 * LINES
	       && offsetof(struct cell, roster) == 3 * LINES, "what different sides write lies apart");
_Static_assert(offsetof(struct cell, buffers) % LINES == 0, "buffers begin at a line");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a version's low half comes first");

static struct cell *of(const struct pyipc_cell *c)
{
	return (struct cell *) c->memory;
}

static uint64_t stride_of(uint32_t most)
{
	return (sizeof(struct buffer) + (uint64_t) most + LINES - 1) / LINES * LINES;
}

static struct buffer *buffer_of(const struct pyipc_cell *c, uint64_t version)
{
	return (struct buffer *) (of(c)->buffers + version % BUFFERS * stride_of(c->most));
}

/* ---- to make one, and to take part ---- */

/* How much memory it takes; -EINVAL of what is no size for a value. */
int64_t pyipc_cell_memory(uint32_t most)
{
	if (most < 1 || most > PYIPC_CELL_MOST)
		return -EINVAL;
	return (int64_t) (sizeof(struct cell) + BUFFERS * stride_of(most));
}

/* Fresh memory, all zero, that nobody else has yet. */
int pyipc_cell_format(char *memory, uint64_t size, uint32_t most)
{
	struct cell *cell = (struct cell *) memory;
	int64_t needed = pyipc_cell_memory(most);

	if (needed < 0 || (uint64_t) needed > size)
		return -EINVAL;
	cell->magic = CELL_MAGIC;
	cell->major = CELL_MAJOR;
	cell->most = most;
	cell->size = size;
	return 0;
}

/* The size is that of the mapping; life is a description of the memory that is nobody else's. */
int pyipc_cell_open(struct pyipc_cell *c, char *memory, uint64_t size, int32_t life)
{
	const struct cell *cell = (const struct cell *) memory;
	uint32_t most;
	int64_t needed;

	if (size < sizeof *cell || __atomic_load_n(&cell->magic, __ATOMIC_RELAXED) != CELL_MAGIC)
		return -EINVAL;
	if (__atomic_load_n(&cell->major, __ATOMIC_RELAXED) != CELL_MAJOR)
		return -EPROTONOSUPPORT;
	most = __atomic_load_n(&cell->most, __ATOMIC_RELAXED);
	needed = pyipc_cell_memory(most);
	if (needed < 0 || (uint64_t) needed > size)
		return -EINVAL;
	c->memory = memory;
	c->most = most;
	return pyipc_member_join(&c->me, memory + offsetof(struct cell, roster), life);
}

/* ---- writing ---- */

static void store_words(uint64_t *to, const char *from, uint64_t size)
{
	uint64_t whole = size / sizeof *to, word;

	for (uint64_t i = 0; i < whole; i++) {
		memcpy(&word, from + i * sizeof word, sizeof word);
		__atomic_store_n(&to[i], word, __ATOMIC_RELEASE);
	}
	if (size % sizeof word) {
		word = 0;
		memcpy(&word, from + whole * sizeof word, size % sizeof word);
		__atomic_store_n(&to[whole], word, __ATOMIC_RELEASE);
	}
}

/* A futex is 32 bits: the low half of the version. */
static uint32_t *low_half_of(struct cell *cell)
{
	return (uint32_t *) &cell->version;
}

/* With the guard, which it gives back.  `served` comes after the wake: if we die in between, the next
 * writer wakes them, or they look by themselves. */
static int64_t write_value(const struct pyipc_cell *c, const char *data, uint64_t size)
{
	struct cell *cell = of(c);
	uint64_t version = __atomic_load_n(&cell->version, __ATOMIC_RELAXED) + 1;
	struct buffer *buffer = buffer_of(c, version);
	uint32_t arrivals;

	__atomic_store_n(&buffer->size, size, __ATOMIC_RELEASE);
	store_words(buffer->words, data, size);
	(void) __atomic_exchange_n(&cell->version, version, __ATOMIC_SEQ_CST);
	arrivals = __atomic_load_n(&cell->arrivals, __ATOMIC_SEQ_CST);
	if (arrivals != __atomic_load_n(&cell->served, __ATOMIC_RELAXED)) {
		futex_wake(low_half_of(cell), INT_MAX);
		__atomic_store_n(&cell->served, arrivals, __ATOMIC_RELAXED);
	}
	guard_unlock(&cell->guard);
	return (int64_t) (version & INT64_MAX);
}

/* The new version; -EAGAIN while somebody else writes. */
int64_t pyipc_now_cell_set(struct pyipc_cell *c, const char *data, uint64_t size)
{
	if (c->me.id == 0)
		return -ENOTCONN;
	if (size > c->most)
		return -EMSGSIZE;
	if (!guard_try(&of(c)->guard, &c->me) && !pyipc_guard_bury(&of(c)->guard, &c->me))
		return -EAGAIN;
	return write_value(c, data, size);
}

int64_t pyipc_cell_set(struct pyipc_cell *c, const char *data, uint64_t size, int64_t deadline_ns)
{
	int result = 0;

	if (size > c->most)
		return -EMSGSIZE;
	if (!guard_try(&of(c)->guard, &c->me))
		result = pyipc_guard_lock(&of(c)->guard, &c->me, 0, deadline_ns);
	return result < 0 ? result : write_value(c, data, size);
}

/* ---- reading ---- */

static void load_words(char *to, const uint64_t *from, uint64_t size)
{
	uint64_t whole = size / sizeof *from, word;

	for (uint64_t i = 0; i < whole; i++) {
		word = __atomic_load_n(&from[i], __ATOMIC_ACQUIRE);
		memcpy(to + i * sizeof word, &word, sizeof word);
	}
	if (size % sizeof word) {
		word = __atomic_load_n(&from[whole], __ATOMIC_ACQUIRE);
		memcpy(to + whole * sizeof word, &word, size % sizeof word);
	}
}

int64_t pyipc_now_cell_version(const struct pyipc_cell *c)
{
	return (int64_t) (__atomic_load_n(&of(c)->version, __ATOMIC_ACQUIRE) & INT64_MAX);
}

/* Of the newest value: room for this many bytes will do, unless a longer one comes. */
int64_t pyipc_now_cell_size(const struct pyipc_cell *c)
{
	uint64_t version = __atomic_load_n(&of(c)->version, __ATOMIC_ACQUIRE);
	uint64_t size = __atomic_load_n(&buffer_of(c, version)->size, __ATOMIC_ACQUIRE);

	return size > c->most ? -EBADMSG : (int64_t) size;
}

/* The version of what it has copied; -EMSGSIZE if there is no room for it, -EBUSY if values come faster
 * than they can be copied, time and again, which no honest writer can do. */
int64_t pyipc_now_cell_get(const struct pyipc_cell *c, char *into, uint64_t room, uint64_t *ret_size)
{
	for (int i = 0; i < TRIES; i++) {
		uint64_t version = __atomic_load_n(&of(c)->version, __ATOMIC_ACQUIRE);
		const struct buffer *buffer = buffer_of(c, version);
		uint64_t size = __atomic_load_n(&buffer->size, __ATOMIC_ACQUIRE);

		if (size > c->most)
			return -EBADMSG;
		if (size > room)
			return -EMSGSIZE;
		load_words(into, buffer->words, size);
		/* This buffer is filled again only by who has seen version + BUFFERS - 1. */
		if (__atomic_load_n(&of(c)->version, __ATOMIC_RELAXED) - version <= BUFFERS - 2) {
			*ret_size = size;
			return (int64_t) (version & INT64_MAX);
		}
	}
	return -EBUSY;
}

/* The same of large ones, without the GIL. */
int64_t pyipc_cell_get(const struct pyipc_cell *c, char *into, uint64_t room, uint64_t *ret_size)
{
	return pyipc_now_cell_get(c, into, room, ret_size);
}

/* ---- waiting ---- */

static int is_newer(const struct pyipc_cell *c, uint64_t version)
{
	return (uint64_t) pyipc_now_cell_version(c) > version;
}

/* All who wait sleep on one word and are woken together, so nobody's wake dies with another.  A writer
 * may have died between its store and its wake, and they look by themselves, ever less often. */
int pyipc_cell_wait(const struct pyipc_cell *c, uint64_t version, int64_t since_ns, int64_t deadline_ns)
{
	struct cell *cell = of(c);
	int64_t start = monotonic_ns(), now = start;

	for (int i = 0; i < c->me.spins; i++) {
		if (is_newer(c, version))
			return 0;
		spin_once();
	}
	for (;;) {
		int64_t span = now - since_ns, result;
		uint64_t seen;

		(void) __atomic_fetch_add(&cell->arrivals, 1, __ATOMIC_SEQ_CST);
		seen = __atomic_load_n(&cell->version, __ATOMIC_SEQ_CST);
		if ((seen & INT64_MAX) > version)
			return 0;
		if (now >= deadline_ns)
			return -ETIMEDOUT;
		span = span < FIRST_SLEEP_NS ? FIRST_SLEEP_NS : span > LONGEST_SLEEP_NS ? LONGEST_SLEEP_NS : span;
		result = futex_wait(low_half_of(cell), (uint32_t) seen, span < deadline_ns - now ? span : deadline_ns - now);
		if (is_newer(c, version))
			return 0;
		now = monotonic_ns();
		if (result == -EINTR || now - start >= LONGEST_SLEEP_NS)
			return now >= deadline_ns ? -ETIMEDOUT : -EINTR;
	}
}
