/* SPDX-License-Identifier: MIT
 *
 * channel.h -- channels, as their callers see them.
 */
#ifndef PYIPC_CHANNEL_H
#define PYIPC_CHANNEL_H

#include "guard.h"

/* A handle, of one process. */
struct pyipc_channel {
	struct pyipc_member me;
	char *memory;
	uint32_t slots, slot_size;
	int32_t data_read, data_write, space_read, space_write;
	int64_t looked_ns;
	uint64_t spins, sleeps, recoveries;
};

int64_t pyipc_channel_memory(uint32_t slots, uint32_t slot_size);
int pyipc_channel_format(char *memory, uint64_t size, uint32_t slots, uint32_t slot_size, int space_write);
int pyipc_channel_open(struct pyipc_channel *c, char *memory, uint64_t size, int32_t life);
int64_t pyipc_now_channel_send(struct pyipc_channel *c, const char *data, const uint32_t *sizes, uint32_t messages);
int64_t pyipc_now_channel_receive(struct pyipc_channel *c, char *ret_data, uint64_t room, uint32_t *ret_sizes,
				  uint32_t messages);
int64_t pyipc_channel_send(struct pyipc_channel *c, const char *data, const uint32_t *sizes, uint32_t messages,
			   int64_t deadline_ns);
int64_t pyipc_channel_receive(struct pyipc_channel *c, char *ret_data, uint64_t room, uint32_t *ret_sizes,
			      uint32_t messages, int64_t deadline_ns);
int64_t pyipc_now_channel_depth(const struct pyipc_channel *c);

#endif
