/* SPDX-License-Identifier: MIT
 *
 * channel.h -- channels: what the core's files share of them.
 */
#ifndef PYIPC_CHANNEL_H
#define PYIPC_CHANNEL_H

#include "guard.h"

/* ---- channel_arena.c ---- */

int pyipc_arena_orphan(struct pyipc_channel *c, uint64_t received);
int pyipc_arena_others_keep(struct pyipc_channel *c);
int pyipc_arena_is_sent(const struct pyipc_channel *c, uint32_t extent);
int pyipc_channel_spare(struct pyipc_channel *c, int64_t deadline_ns, struct pyipc_loan *ret_loan);
int pyipc_arena_give_up(struct pyipc_channel *c, uint32_t extent);
int pyipc_arena_release(struct pyipc_channel *c, uint32_t extent);
int pyipc_arena_returned(struct pyipc_channel *c);
uint32_t pyipc_arena_hungry(struct pyipc_channel *c);
int pyipc_arena_wait(struct pyipc_channel *c, uint32_t seen, int64_t span_ns);

#endif
