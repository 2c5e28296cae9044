/* SPDX-License-Identifier: MIT
 *
 * python_compat.c -- what a program for sysv_ipc calls often (pyipc/compat/sysv_ipc): messages, and the
 * making and removing of queues and semaphores.  The rules are those of hot_calls.c.
 */
#include <patchlevel.h>		/* PYPY_VERSION */
#include <pyconfig.h>		/* Py_GIL_DISABLED */

#if !defined(PYPY_VERSION) && !defined(Py_GIL_DISABLED)

#include <stddef.h>
#include <sys/ipc.h>

#include "python_compat.h"
#include "python_pairs.h"

static struct {
	PyObject *send[3], *receive[2], *queue[4], *semaphore[4];	/* of their arguments */
	PyObject *id, *key, *quick, *block, *longest;			/* attributes */
} known;

/* ---- messages ---- */

/* An attribute that is a number that fits, or -1. */
static int int_of(PyObject *object, PyObject *name)
{
	PyObject *value = PyObject_GetAttr(object, name);
	long number = value ? PyLong_AsLong(value) : -1;

	Py_XDECREF(value);
	if (number == -1)
		PyErr_Clear();
	return number <= INT32_MAX ? (int) number : -1;
}

static int plain_type(PyObject *value, long long by_default, long long *ret_type)
{
	return plain_number(value, by_default, ret_type) && *ret_type >= INT32_MIN && *ret_type <= INT32_MAX;
}

/* `_longest` bounds a message.  Whether a call may block does not matter as long as it need not. */
static PyObject *send(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *given[3];	/* message, block, type */
	long long type;

	if (sort_out(args, count, names, 1, known.send, 3, given) && PyBytes_CheckExact(given[0])
	    && plain_type(given[2], 1, &type) && type > 0 && PyBytes_Size(given[0]) <= int_of(self, known.longest)
	    && pyipc_now_msg_send(int_of(self, known.id), type, PyBytes_AsString(given[0]),
				  (uint64_t) PyBytes_Size(given[0])) == 0)
		return none();
	return in_python(self, "_py_send", args, count, names);
}

static PyObject *receive(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	union {
		struct pyipc_msg head;
		char room[offsetof(struct pyipc_msg, data) + PYIPC_MSG_SMALL];
	} msg;
	PyObject *given[2];	/* block, type */
	long long type;
	int64_t size = -1, most = int_of(self, known.longest);

	if (most >= 0 && sort_out(args, count, names, 0, known.receive, 2, given)
	    && plain_type(given[1], 0, &type))
		size = pyipc_now_msg_receive(int_of(self, known.id), &msg.head,
					     (uint64_t) (most < PYIPC_MSG_SMALL ? most : PYIPC_MSG_SMALL), type, 0);
	if (size >= 0)
		return pyipc_tuple(msg.head.data, size, msg.head.type);
	return in_python(self, "_py_receive", args, count, names);
}

/* ---- making and removing ---- */

/* Another each time; whether somebody has it, the kernel says.  (To ask for our pid would cost as much
 * again.) */
static int32_t any_key(void)
{
	uint64_t x = (uint64_t) monotonic_ns() * 0x9E3779B97F4A7C15u;

	x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
	return (int32_t) (1 + (x >> 32) % INT32_MAX);
}

struct wanted {
	int32_t key;
	int flags;		/* of the kernel, with the mode */
	int number;		/* what is behind them */
};

static int plain_int(PyObject *value, int by_default, int *ret_number)
{
	long long number;

	if (!plain_number(value, by_default, &number) || number < 0 || number > INT32_MAX)
		return 0;
	*ret_number = (int) number;
	return 1;
}

/* A key, or None with IPC_CREX; then flags, a mode and a number, none of them odd. */
static int plain_wanted(PyObject *const *args, Py_ssize_t count, PyObject *names, PyObject *const *known_names,
			int by_default, struct wanted *ret)
{
	PyObject *given[4];
	int flags, mode, key = 0;

	if (!sort_out(args, count, names, 1, known_names, 4, given) || !given[0] || !plain_int(given[1], 0, &flags)
	    || !plain_int(given[2], 0600, &mode) || !plain_int(given[3], by_default, &ret->number))
		return 0;
	flags &= IPC_CREAT | IPC_EXCL;
	if (flags == IPC_EXCL || (given[0] == Py_None ? !flags || flags == IPC_CREAT : !plain_int(given[0], 0, &key)))
		return 0;
	ret->key = given[0] == Py_None ? any_key() : key;
	ret->flags = flags | (mode & 0777);
	return 1;
}

/* Takes over what it sets. */
static int put(PyObject *self, PyObject *name, PyObject *value)
{
	int result = value ? PyObject_SetAttr(self, name, value) : -1;

	Py_XDECREF(value);
	return result;
}

static PyObject *init_queue(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	struct wanted wanted;
	int id = -1;

	if (plain_wanted(args, count, names, known.queue, 2048, &wanted)) {
		Py_BEGIN_ALLOW_THREADS
		id = pyipc_msg_get(wanted.key, wanted.flags);
		Py_END_ALLOW_THREADS
	}
	if (id < 0)
		return in_python(self, "_py___init__", args, count, names);
	if (put(self, known.key, PyLong_FromLong(wanted.key)) < 0 || put(self, known.id, PyLong_FromLong(id)) < 0
	    || put(self, known.longest, PyLong_FromLong(wanted.number)) < 0)
		return NULL;
	return none();
}

static PyObject *init_semaphore(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	struct wanted wanted;
	int id = -1;

	/* With IPC_CREAT alone, whether it exists matters, and Python finds out. */
	if (plain_wanted(args, count, names, known.semaphore, 0, &wanted)
	    && (wanted.flags & (IPC_CREAT | IPC_EXCL)) != IPC_CREAT) {
		Py_BEGIN_ALLOW_THREADS
		id = pyipc_sem_get(wanted.key, wanted.flags, wanted.number);
		Py_END_ALLOW_THREADS
	}
	if (id < 0)
		return in_python(self, "_py___init__", args, count, names);
	if (put(self, known.key, PyLong_FromLong(wanted.key)) < 0 || put(self, known.id, PyLong_FromLong(id)) < 0
	    || put(self, known.quick, PyLong_FromLong(id)) < 0 || put(self, known.block, PyBool_FromLong(1)) < 0)
		return NULL;
	return none();
}

static PyObject *remove_by(int (*remove)(int), PyObject *self, PyObject *const *args, Py_ssize_t count,
			   PyObject *names)
{
	int id = count || names ? -1 : int_of(self, known.id);
	int result = -1;

	if (id >= 0) {
		Py_BEGIN_ALLOW_THREADS
		result = remove(id);
		Py_END_ALLOW_THREADS
	}
	return result == 0 ? none() : in_python(self, "_py_remove", args, count, names);
}

static PyObject *remove_queue(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	return remove_by(pyipc_msg_remove, self, args, count, names);
}

static PyObject *remove_semaphore(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	return remove_by(pyipc_sem_remove, self, args, count, names);
}

/* ---- putting them in place ---- */

const struct hot_call pyipc_compat_calls[] = {
	{ "compat.send", send, "($self, message, block=True, type=1)" },
	{ "compat.receive", receive, "($self, block=True, type=0)" },
	{ "queue.__init__", init_queue, "($self, key, flags=0, mode=0o600, max_message_size=2048)" },
	{ "queue.remove", remove_queue, "($self)" },
	{ "semaphore.__init__", init_semaphore, "($self, key, flags=0, mode=0o600, initial_value=0)" },
	{ "semaphore.remove", remove_semaphore, "($self)" },
	{ 0 },
};

int pyipc_add_compat(void)
{
	known.queue[0] = known.semaphore[0] = PyUnicode_InternFromString("key");
	known.queue[1] = known.semaphore[1] = PyUnicode_InternFromString("flags");
	known.queue[2] = known.semaphore[2] = PyUnicode_InternFromString("mode");
	known.queue[3] = PyUnicode_InternFromString("max_message_size");
	known.semaphore[3] = PyUnicode_InternFromString("initial_value");
	known.id = PyUnicode_InternFromString("_id");
	known.key = PyUnicode_InternFromString("_key");
	known.quick = PyUnicode_InternFromString("_quick");
	known.block = PyUnicode_InternFromString("_block");
	known.longest = PyUnicode_InternFromString("_longest");
	known.send[0] = PyUnicode_InternFromString("message");
	known.send[1] = known.receive[0] = PyUnicode_InternFromString("block");
	known.send[2] = known.receive[1] = PyUnicode_InternFromString("type");
	return PyErr_Occurred() ? -1 : 0;
}

#endif
