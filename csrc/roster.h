/* SPDX-License-Identifier: MIT
 *
 * roster.h -- who is who in shared memory: docs/design/channels.md.
 */
#ifndef PYIPC_ROSTER_H
#define PYIPC_ROSTER_H

#include "internal.h"

/* An id: a slot of the roster, counted from 1, and the generation of its holder.  0 is nobody; the
 * highest bit is the guard's. */
enum { SLOT_BITS = 10, ROSTER_SLOTS = (1 << SLOT_BITS) - 1 };
enum { MOST_GENERATIONS = 1 << 21 };

struct roster {
	uint32_t generation[ROSTER_SLOTS + 1];
};

int pyipc_roster_is_alive(const struct pyipc_member *me, uint32_t id);

#endif
