/* SPDX-License-Identifier: MIT
 *
 * cells.h -- a cell with its memory, and handles on it, for the tests.
 */
#ifndef CELLS_H
#define CELLS_H

#include "facts.h"

enum { MOST = 100, BUFFERS = 4 };

/* Where things are is a part of the layout. */
enum { GUARD_AT = 128, VERSION_AT = 256, ARRIVALS_AT = 264, BUFFERS_AT = 384 + 4096 };

struct world {
	int32_t memory;
	char *mapped;
	uint64_t size;
};

static inline void make_world(struct world *w)
{
	w->size = (uint64_t) pyipc_cell_memory(MOST);
	EQUAL(0, pyipc_memory_create(w->size, 0, &w->memory));
	w->mapped = (char *) pyipc_map(w->memory, w->size, PYIPC_MAP_WRITABLE);
	EQUAL(0, pyipc_cell_format(w->mapped, w->size, MOST));
}

static inline void end_world(struct world *w)
{
	EQUAL(0, pyipc_unmap(w->mapped, w->size));
	EQUAL(0, pyipc_fd_close(&w->memory));
}

static inline int32_t a_life(const struct world *w)
{
	char path[64];
	int32_t life = -1;

	(void) snprintf(path, sizeof path, "/proc/self/fd/%d", w->memory);
	EQUAL(0, pyipc_fd_open(path, O_RDWR, &life));
	return life;
}

static inline struct pyipc_cell take_part(const struct world *w, int spins)
{
	struct pyipc_cell c = { .me = { .spins = spins } };

	EQUAL(0, pyipc_cell_open(&c, w->mapped, w->size, a_life(w)));
	return c;
}

static inline void leave(struct pyipc_cell *c)
{
	EQUAL(0, pyipc_fd_close(&c->me.life));
}

static inline int64_t within_ns(int64_t ns)
{
	return now_ns() + ns;
}

/* As Python does it. */
static inline int64_t set_by(struct pyipc_cell *c, const char *text, int64_t deadline)
{
	int64_t result;

	do
		result = pyipc_cell_set(c, text, strlen(text), deadline);
	while (result == -EINTR);
	return result;
}

static inline int wait_by(const struct pyipc_cell *c, uint64_t version, int64_t deadline)
{
	int64_t began = now_ns();
	int result;

	do
		result = pyipc_cell_wait(c, version, began, deadline);
	while (result == -EINTR);
	return result;
}

/* The version; the text ends with a NUL. */
static inline int64_t get_text(const struct pyipc_cell *c, char *ret_text)
{
	uint64_t size = 0;
	int64_t version = pyipc_now_cell_get(c, ret_text, MOST, &size);

	ret_text[version < 0 ? 0 : size] = '\0';
	return version;
}

static inline uint64_t *version_of(const struct world *w)
{
	return (uint64_t *) (w->mapped + VERSION_AT);
}

static inline uint32_t *guard_of(const struct world *w)
{
	return (uint32_t *) (w->mapped + GUARD_AT);
}

/* Somebody has died and left the guard. */
static inline void leave_guard(struct world *w)
{
	struct pyipc_cell gone = take_part(w, 0);

	__atomic_store_n(guard_of(w), gone.me.id, __ATOMIC_RELAXED);
	leave(&gone);
}

#endif
