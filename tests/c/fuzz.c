/* SPDX-License-Identifier: MIT
 *
 * fuzz.c -- random arguments for the System V families; the sanitizers watch.
 *
 *     fuzz [SEED [CALLS]]
 *
 * What must hold of any call: it comes back at once (every deadline is past), with a result >= 0
 * or an errno that is none of EFAULT, EIO and (but for a frozen machine) EINTR, and without a result it
 * has written nothing.
 * Where no other program can be hurt, another process removes objects at random meanwhile.
 */
#include "random.h"

#include <sys/ipc.h>

enum { IDS = 24, ATTACHED = 16, ROOM = 1 << 16, EVERY_INDEX = 65536, OPS = 700 };

/* ---- what there is ---- */

enum family { SHM, SEM, MSG };

static int ids[3][IDS];
static struct { char *address; uint64_t size; } attached[ATTACHED];
static int attached_count;

static int any_id(enum family family)
{
	return below(8) ? ids[family][below(IDS)] : below(2) ? ids[below(3)][below(IDS)] : any_int();
}

static int32_t some_key(void)
{
	return KEY + (int32_t) below(8);
}

static int32_t any_key(void)
{
	return below(2) ? IPC_PRIVATE : some_key();
}

static void forget(enum family family, int id)
{
	for (int i = 0; i < IDS; i++)
		if (ids[family][i] == id)
			ids[family][i] = -1;
}

static int remove_id(enum family family, int id)
{
	int result = family == SHM ? pyipc_shm_remove(id)
		: family == SEM ? pyipc_sem_remove(id) : pyipc_msg_remove(id);

	if (result >= 0)
		forget(family, id);
	return result;
}

static int keep_id(enum family family, int id)
{
	uint64_t place = below(IDS);

	if (id >= 0) {
		if (ids[family][place] >= 0)
			(void) remove_id(family, ids[family][place]);
		ids[family][place] = id;
	}
	return id;
}

static int64_t detach_one(void)
{
	int64_t result;
	uint64_t which;

	if (!attached_count)
		return 0;
	which = below((uint64_t) attached_count);
	result = pyipc_shm_detach(attached[which].address);
	CHECK(result == 0);
	attached[which] = attached[--attached_count];
	return result;
}

static int64_t keep_attached(int64_t address, uint64_t size)
{
	if (address >= 0) {
		if (attached_count == ATTACHED)
			(void) detach_one();
		attached[attached_count].address = (char *) address;
		attached[attached_count++].size = size;
	}
	return address;
}

/* ---- one call each ---- */

static union {
	struct pyipc_shm_stat shm;
	struct pyipc_sem_stat sem;
	struct pyipc_msg_stat msg;
	int64_t address;
	char bytes[256];
} ret;

static union { struct pyipc_msg msg; char bytes[sizeof(struct pyipc_msg) + ROOM]; } in, out;
static uint16_t *values;
static struct pyipc_sem_op ops[OPS];

/* Both pass on a result, having looked at the memory that a failure must leave alone. */
static int64_t ret_untouched(int64_t result)
{
	CHECK(result >= 0 || untouched(&ret, sizeof ret));
	memset(&ret, UNTOUCHED, sizeof ret);
	return result;
}

static int64_t in_untouched(int64_t result)
{
	CHECK(result >= 0 || untouched(&in, 256));
	CHECK(result <= ROOM);
	memset(&in, UNTOUCHED, 256);
	return result;
}

static const struct pyipc_sem_op *any_ops(void)
{
	for (int i = 0; i < 8; i++)
		ops[below(2) ? (uint64_t) i : below(OPS)] = (struct pyipc_sem_op){
			.index = (uint16_t) below(below(8) ? 4 : 65536),
			.delta = (int16_t) (below(4) ? (int64_t) below(5) - 2 : any_number()),
			.flags = (int16_t) (below(4) ? 0 : any_number()),
		};
	return ops;
}

static uint64_t any_count(void)
{
	return below(4) ? below(8) : below(2) ? below(OPS) : OPS + (random_bits() >> 32);
}

static int64_t shm_create(void)
{
	int flags = below(4) ? 0 : (int) below(16);

	return keep_id(SHM, pyipc_shm_create(any_key(), fair_size(), flags, any_int()));
}

static int64_t shm_create_private(void)
{
	uint64_t size = fair_size();
	int id = pyipc_shm_create_private(size, (int) below(16), any_int(), &ret.address);

	if (id >= 0)
		(void) keep_attached(ret.address, size);
	return ret_untouched(id);
}

static int64_t shm_by_flags(void)
{
	int flags = (below(2) ? IPC_CREAT : any_int() & ~04000) | 0600;	/* huge pages are the machine's */

	return keep_id(SHM, pyipc_shm_get(any_key(), fair_size(), flags));
}

static int64_t shm_find(void)
{
	return pyipc_now_shm_find(some_key(), fair_size());
}

static int64_t shm_attach(void)
{
	uint64_t taken = attached_count ? (uint64_t) (uintptr_t) attached[0].address : 0;
	uint64_t address = below(2) ? 0 : below(2) ? taken : any_size();

	return keep_attached(pyipc_shm_attach(any_id(SHM), address, any_int()), 0);
}

static int64_t shm_detach_nothing(void)
{
	int result = pyipc_shm_detach((char *) (uintptr_t) (random_bits() | 1));

	CHECK(result == -EINVAL);
	return result;
}

static int64_t shm_stat(void)
{
	return ret_untouched(pyipc_now_shm_stat(any_id(SHM), &ret.shm));
}

static int64_t shm_size(void)
{
	return pyipc_now_shm_size(any_id(SHM));
}

static int64_t shm_set(void)
{
	return pyipc_now_shm_set(any_id(SHM), any_number(), any_number(), any_number());
}

static int64_t shm_lock(void)
{
	return pyipc_shm_lock(any_id(SHM), any_int());
}

static int64_t shm_remove(void)
{
	return remove_id(SHM, any_id(SHM));
}

static int64_t sem_create(void)
{
	int count;

	for (int i = 0; i < 8; i++)
		values[i] = (uint16_t) (below(8) ? below(4) : any_size());
	/* Never more than there are values, but for what no set can have. */
	count = below(8) ? (int) below(6) : any_int() | INT32_MIN;
	return keep_id(SEM, pyipc_sem_create(any_key(), values, count, any_int()));
}

static int64_t sem_by_flags(void)
{
	int flags = (below(2) ? IPC_CREAT : any_int()) | 0600;

	return keep_id(SEM, pyipc_sem_get(any_key(), flags, any_int()));
}

static int64_t sem_find(void)
{
	return pyipc_now_sem_find(some_key(), below(2) ? 0 : any_int());
}

static int64_t sem_take(void)
{
	return pyipc_now_sem_take(any_id(SEM));
}

static int64_t sem_give(void)
{
	return pyipc_now_sem_give(any_id(SEM));
}

static int64_t now_sem_op(void)
{
	return pyipc_now_sem_op(any_id(SEM), any_ops(), any_count());
}

static int64_t sem_op(void)
{
	return pyipc_sem_op(any_id(SEM), any_ops(), any_count(), past());
}

static int64_t sem_get(void)
{
	int index = below(2) ? (int) below(4) : any_int();

	return pyipc_now_sem_get(any_id(SEM), index, below(4) ? (int) below(4) : any_int());
}

static int64_t sem_set_value(void)
{
	int index = below(2) ? (int) below(4) : any_int();

	return pyipc_now_sem_set_value(any_id(SEM), index, any_int());
}

static int64_t sem_get_all(void)
{
	int64_t result;

	memset(values, UNTOUCHED, 64);
	result = pyipc_now_sem_get_all(any_id(SEM), values);
	CHECK(result >= 0 || untouched(values, 64));
	return result;
}

static int64_t sem_set_all(void)
{
	values[below(4)] = (uint16_t) any_size();
	return pyipc_now_sem_set_all(any_id(SEM), values);
}

static int64_t sem_stat(void)
{
	return ret_untouched(pyipc_now_sem_stat(any_id(SEM), &ret.sem));
}

static int64_t sem_set(void)
{
	return pyipc_now_sem_set(any_id(SEM), any_number(), any_number(), any_number());
}

static int64_t sem_remove(void)
{
	return remove_id(SEM, any_id(SEM));
}

static int64_t msg_by_flags(void)
{
	return keep_id(MSG, pyipc_msg_get(any_key(), (below(2) ? IPC_CREAT : any_int()) | 0600));
}

static int64_t msg_create(void)
{
	return keep_id(MSG, pyipc_msg_create(any_key(), any_int()));
}

static int64_t msg_find(void)
{
	return pyipc_now_msg_find(some_key());
}


static uint64_t message_size(void)
{
	uint64_t size = fair_size();

	return size > ROOM ? ROOM : size;	/* no more than there is in `in' and `out' */
}

static int64_t now_msg_send(void)
{
	return pyipc_now_msg_send(any_id(MSG), any_number(), out.msg.data, fair_size());
}

static int64_t msg_send(void)
{
	int64_t type = any_number();

	memcpy(out.bytes, &type, sizeof type);
	return pyipc_msg_send(any_id(MSG), out.bytes, message_size(), past());
}

static int64_t now_msg_receive(void)
{
	int64_t type = below(2) ? 0 : any_number();

	return in_untouched(pyipc_now_msg_receive(any_id(MSG), &in.msg, message_size(), type, any_int()));
}

static int64_t msg_receive(void)
{
	int64_t type = below(2) ? 0 : any_number();

	return in_untouched(pyipc_msg_receive(any_id(MSG), &in.msg, message_size(), type, any_int(), past()));
}

static int64_t msg_stat(void)
{
	return ret_untouched(pyipc_now_msg_stat(any_id(MSG), &ret.msg));
}

static int64_t msg_set(void)
{
	return pyipc_now_msg_set(any_id(MSG), any_number(), any_number(), any_number(), any_number());
}

static int64_t msg_remove(void)
{
	return remove_id(MSG, any_id(MSG));
}

static int64_t copy(void)
{
	uint64_t from = below(ROOM);
	uint64_t to = below(ROOM);

	return pyipc_copy(out.msg.data + to, out.msg.data + from, below(ROOM - (from > to ? from : to)));
}

static int64_t populate(void)
{
	uint64_t which = below(ATTACHED);

	if (which >= (uint64_t) attached_count || attached[which].size == 0 || attached[which].size > 1 << 20)
		return 0;
	return pyipc_populate(attached[which].address, attached[which].size);
}

static int64_t interrupt(void)
{
	return below(20) ? 0 : pyipc_interrupt(any_int());
}

static const struct call calls[] = {
	CALL(shm_create), CALL(shm_create_private), CALL(shm_find), CALL(shm_by_flags), CALL(shm_attach),
	CALL(detach_one),
	NEVER_GOOD(shm_detach_nothing), CALL(shm_stat), CALL(shm_size), CALL(shm_set), CALL(shm_lock),
	CALL(shm_remove), CALL(sem_create), CALL(sem_by_flags), CALL(sem_find), CALL(sem_take), CALL(sem_give),
	CALL(now_sem_op), CALL(sem_op),
	CALL(sem_get), CALL(sem_set_value), CALL(sem_get_all), CALL(sem_set_all), CALL(sem_stat),
	CALL(sem_set), CALL(sem_remove), CALL(msg_create), CALL(msg_by_flags), CALL(msg_find), CALL(now_msg_send),
	CALL(msg_send), CALL(now_msg_receive), CALL(msg_receive), CALL(msg_stat), CALL(msg_set),
	CALL(msg_remove), CALL(copy), CALL(populate), CALL(interrupt),
};

enum { CALLS = sizeof calls / sizeof *calls };

/* ---- another process ---- */

static int removes_at_random(void)
{
	static const char *const lists[] = { "/proc/sysvipc/shm", "/proc/sysvipc/sem", "/proc/sysvipc/msg" };

	for (;;) {
		enum family family = (enum family) below(3);
		FILE *file = fopen(lists[family], "r");
		char line[512];
		int id;

		if (!file)
			return 1;
		while (fgets(line, sizeof line, file))
			if (below(8) == 0 && sscanf(line, "%*d %d", &id) == 1)
				(void) remove_id(family, id);
		(void) fclose(file);
	}
}

static void let_go_of_everything(void)
{
	while (attached_count)
		EQUAL(0, detach_one());
	for (int family = 0; family < 3; family++)
		for (int i = 0; i < IDS; i++)
			if (ids[family][i] >= 0)
				(void) remove_id((enum family) family, ids[family][i]);
}

static void random_arguments_do_no_harm(void)
{
	pid_t remover = -1;
	uint64_t good[CALLS] = { 0 };

	if (own_namespace) {
		remover = fork_child();
		if (remover == 0)
			_exit(removes_at_random());
	}
	call_at_random(calls, CALLS, good);
	if (remover > 0)
		EQUAL(1000 + SIGKILL, kill_and_reap(remover));
	let_go_of_everything();
	every_call_has_succeeded(calls, CALLS, good);
}

int main(int count, char **arguments)
{
	begin_at_random(count, arguments);
	values = calloc(EVERY_INDEX, sizeof *values);	/* malloc'ed, so that ASan knows its end */
	memset(ids, 0xFF, sizeof ids);
	memset(&ret, UNTOUCHED, sizeof ret);
	memset(&in, UNTOUCHED, sizeof in);
	RUN(random_arguments_do_no_harm);
	free(values);
	return report();
}
