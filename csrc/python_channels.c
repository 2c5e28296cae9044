/* SPDX-License-Identifier: MIT
 *
 * python_channels.c -- what CPython sees of a channel: the common form of sending and receiving.
 *
 * The rules are those of hot_calls.c.  Two more things are done here.  Where a call would have to wait, it
 * looks for a few microseconds, with the GIL held: an answer that is on its way comes in less time than
 * it takes to let go of the GIL.  And a receive without a timeout then waits here, since to start over in
 * Python takes longer than to wake up; it does start over when a signal, or anything else, ends the wait.
 */
#include <patchlevel.h>		/* PYPY_VERSION */
#include <pyconfig.h>		/* Py_GIL_DISABLED */

#if !defined(PYPY_VERSION) && !defined(Py_GIL_DISABLED)

#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "python_channels.h"

static struct {
	PyObject *face, *waiting;
	PyObject *send[2], *receive[2], *send_many[2], *receive_many[2];	/* of their arguments */
	PyTypeObject *face_type;
} known;

/* ---- what C knows of a handle, while it is open ---- */

struct face *pyipc_face_of(PyObject *handle)
{
	PyObject *value = PyObject_GetAttr(handle, known.face);

	if (value && Py_TYPE(value) == known.face_type && ((struct face *) value)->c)
		return (struct face *) value;
	PyErr_Clear();
	Py_XDECREF(value);
	return NULL;
}

static void face_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);

	Py_XDECREF(((struct face *) self)->member);
	Py_XDECREF(((struct face *) self)->pipes);
	PyObject_Free(self);
	Py_DECREF(type);
}

/* channel_face(member, pipes, address of the struct pyipc_channel) */
static PyObject *module_face(PyObject *module, PyObject *args)
{
	unsigned long long address;
	PyObject *member, *pipes;
	struct face *f;

	(void) module;
	if (!PyArg_ParseTuple(args, "OOK", &member, &pipes, &address))
		return NULL;
	f = (struct face *) PyType_GenericAlloc(known.face_type, 0);
	if (f) {
		Py_INCREF(member);
		Py_INCREF(pipes);
		f->member = member;
		f->pipes = pipes;
		f->c = (struct pyipc_channel *) (uintptr_t) address;
	}
	return (PyObject *) f;
}

/* ---- sending ---- */

/* How often to look again while there is nothing to do: -EAGAIN after less than ten microseconds. */
static int64_t send_soon(struct pyipc_channel *c, const char *const *each, const uint32_t *sizes, uint32_t messages)
{
	int64_t sent = pyipc_now_channel_send_each(c, each, sizes, messages);

	if (sent == -EAGAIN && pyipc_now_channel_look(c, 0))
		sent = pyipc_now_channel_send_each(c, each, sizes, messages);
	return sent;
}

/* What bytes or a bytearray hold, as long as the GIL is held; 0 if it is something else. */
static int contents(PyObject *message, const char **ret_data, Py_ssize_t *ret_size)
{
	if (PyBytes_CheckExact(message)) {
		*ret_data = PyBytes_AsString(message);
		*ret_size = PyBytes_Size(message);
		return 1;
	}
	if (PyByteArray_CheckExact(message)) {
		*ret_data = PyByteArray_AsString(message);
		*ret_size = PyByteArray_Size(message);
		return 1;
	}
	return 0;
}

/* The same of a message of a slot. */
static int is_short(PyObject *message, const struct pyipc_channel *c, const char **ret_data, uint32_t *ret_size)
{
	Py_ssize_t size;

	if (!contents(message, ret_data, &size) || size > (Py_ssize_t) c->slot_size)
		return 0;
	*ret_size = (uint32_t) size;
	return 1;
}

static int64_t send_long(struct pyipc_channel *c, PyObject *message)
{
	PyObject *pin = PyMemoryView_FromObject(message);	/* a bytearray that is exported keeps its place */
	const char *data;
	Py_ssize_t size;
	int64_t sent = 0;

	if (pin && contents(message, &data, &size)) {
		Py_BEGIN_ALLOW_THREADS
		sent = pyipc_channel_send_long(c, data, (uint64_t) size, 0) == 0;
		Py_END_ALLOW_THREADS
	}
	PyErr_Clear();
	Py_XDECREF(pin);
	return sent;
}

int64_t pyipc_send_one(struct pyipc_channel *c, PyObject *message)
{
	const char *data;
	uint32_t size;

	if (is_short(message, c, &data, &size))
		return send_soon(c, &data, &size, 1);
	if (PyBytes_CheckExact(message) || PyByteArray_CheckExact(message))
		return pyipc_now_channel_look(c, 0) ? send_long(c, message) : 0;
	return 0;
}

static PyObject *send(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *given[2];	/* data, timeout */
	struct face *f = NULL;
	int64_t sent = 0;

	if (sort_out(args, count, names, 1, known.send, 2, given) && plain_timeout(given[1]))
		f = pyipc_face_of(self);
	if (f)
		sent = pyipc_send_one(f->c, given[0]);
	Py_XDECREF((PyObject *) f);
	return sent == 1 ? none() : in_python(self, "_py_send", args, count, names);
}

/* So much at once: what is copied with the GIL in hand shall take no longer than some microseconds. */
enum { BATCH = 128, MOST_BYTES = 65536 };

/* Before any is sent: else one that cannot be, further on, would be refused after others had gone.
 * (And a bytearray might change until the rest is sent.) */
static int all_bytes(PyObject *list)
{
	for (Py_ssize_t i = 0; i < PyList_Size(list); i++)
		if (!PyBytes_CheckExact(PyList_GetItem(list, i)))
			return 0;
	return 1;
}

/* As many as can be sent at once, of a list from `first` on. */
static Py_ssize_t send_batches(struct pyipc_channel *c, PyObject *list, Py_ssize_t first)
{
	const char *each[BATCH];
	uint32_t sizes[BATCH];

	for (;;) {
		Py_ssize_t size = PyList_Size(list), batch = 0;
		int64_t sent, bytes = 0;

		while (batch < BATCH && bytes < MOST_BYTES && first + batch < size
		       && is_short(PyList_GetItem(list, first + batch), c, &each[batch], &sizes[batch]))
			bytes += sizes[batch++];
		if (batch == 0)
			return first;
		sent = send_soon(c, each, sizes, (uint32_t) batch);
		if (sent <= 0)
			return first;
		first += sent;
	}
}

/* What is left goes to Python, as a list of its own. */
static PyObject *send_the_rest(PyObject *self, PyObject *list, Py_ssize_t sent, PyObject *timeout)
{
	PyObject *rest = PyList_GetSlice(list, sent, PyList_Size(list));
	PyObject *result = rest ? PyObject_CallMethod(self, "_send_rest", "OnO", rest, sent,
						      timeout ? timeout : Py_None) : NULL;

	Py_XDECREF(rest);
	return result;
}

static PyObject *send_many(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *given[2];	/* messages, timeout */
	struct face *f = NULL;
	Py_ssize_t sent;

	if (sort_out(args, count, names, 1, known.send_many, 2, given) && PyList_CheckExact(given[0])
	    && all_bytes(given[0]) && plain_timeout(given[1]))
		f = pyipc_face_of(self);
	if (!f)
		return in_python(self, "_py_send_many", args, count, names);
	sent = send_batches(f->c, given[0], 0);
	Py_DECREF((PyObject *) f);
	if (sent == PyList_Size(given[0]))
		return PyLong_FromSsize_t(sent);
	return send_the_rest(self, given[0], sent, given[1]);
}

/* ---- receiving ---- */

enum { ROOM = 16384 };

static int64_t receive_soon(struct pyipc_channel *c, char *ret_data, uint32_t *ret_sizes, uint32_t messages)
{
	int64_t came = pyipc_now_channel_receive(c, ret_data, ROOM, ret_sizes, messages);

	if (came == -EAGAIN && pyipc_now_channel_look(c, 1))
		came = pyipc_now_channel_receive(c, ret_data, ROOM, ret_sizes, messages);
	return came;
}

/* Take the last entry with this number out of the list. */
static void leave(PyObject *waiting, long thread)
{
	for (Py_ssize_t i = PyList_Size(waiting); i-- > 0;)
		if (PyLong_AsLong(PyList_GetItem(waiting, i)) == thread) {
			(void) PyList_SetSlice(waiting, i, i + 1, NULL);
			break;
		}
	PyErr_Clear();
}

/* As Waited._wait() does: who closes the handle finds this thread in its list, and gets it out. */
static int64_t receive_in_time(PyObject *self, struct pyipc_channel *c, char *ret_data, uint32_t *ret_size)
{
	PyObject *waiting = PyObject_GetAttr(self, known.waiting);
	long thread = syscall(SYS_gettid);
	PyObject *number = PyLong_FromLong(thread);
	int64_t came = -EINTR;

	if (waiting && number && PyList_CheckExact(waiting) && PyList_Append(waiting, number) == 0) {
		Py_BEGIN_ALLOW_THREADS
		came = pyipc_channel_receive(c, ret_data, ROOM, ret_size, 1, INT64_MAX);
		Py_END_ALLOW_THREADS
		leave(waiting, thread);
	}
	PyErr_Clear();
	Py_XDECREF(number);
	Py_XDECREF(waiting);
	return came;
}

/* A message of a slot: 1, and it is in ret_data.  -EMSGSIZE if the next one lies in the arena. */
static int64_t receive_short(PyObject *self, struct face *f, PyObject *timeout, char *ret_data, uint32_t *ret_size)
{
	int64_t came = receive_soon(f->c, ret_data, ret_size, 1);

	if (came == -EAGAIN && (!timeout || timeout == Py_None))
		came = receive_in_time(self, f->c, ret_data, ret_size);
	return came;
}

/* Bytes, or of a long message what `view` makes of its Loan; NULL without an exception to start over. */
static PyObject *receive_by(PyObject *self, struct face *f, PyObject *timeout, PyObject *(*view)(PyObject *loan))
{
	char data[ROOM];
	uint32_t size;
	int64_t came = receive_short(self, f, timeout, data, &size);
	PyObject *loan = came == -EMSGSIZE ? pyipc_take_loan(f, 0) : NULL;
	PyObject *result = loan ? view(loan) : NULL;

	Py_XDECREF(loan);
	return came == 1 ? PyBytes_FromStringAndSize(data, size) : result;
}

static PyObject *receive(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *given[2];	/* timeout, ack */
	PyObject *result = NULL;
	struct face *f = NULL;

	if (count <= 1 && sort_out(args, count, names, 0, known.receive, 2, given) && plain_timeout(given[0]))
		f = pyipc_face_of(self);
	if (f && given[1] == Py_True)
		result = pyipc_take_message(self, f);
	else if (f && (!given[1] || given[1] == Py_False))
		result = receive_by(self, f, given[0], pyipc_loan_bytes);
	Py_XDECREF((PyObject *) f);
	return result || PyErr_Occurred() ? result : in_python(self, "_py_recv", args, count, names);
}

PyObject *pyipc_receive_data(PyObject *channel, struct face *f, PyObject *timeout)
{
	return receive_by(channel, f, timeout, PyMemoryView_FromObject);
}

static PyObject *receive_data(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *given[1];	/* timeout */
	PyObject *result = NULL;
	struct face *f = NULL;

	if (sort_out(args, count, names, 0, known.receive, 1, given) && plain_timeout(given[0]))
		f = pyipc_face_of(self);
	if (f)
		result = pyipc_receive_data(self, f, given[0]);
	Py_XDECREF((PyObject *) f);
	return result || PyErr_Occurred() ? result : in_python(self, "_py__recv_data", args, count, names);
}

static PyObject *list_of(const char *data, const uint32_t *sizes, int64_t count)
{
	PyObject *list = PyList_New((Py_ssize_t) count);

	for (Py_ssize_t i = 0; list && i < count; i++) {
		PyObject *bytes = PyBytes_FromStringAndSize(data, sizes[i]);

		if (!bytes) {
			Py_DECREF(list);
			return NULL;
		}
		(void) PyList_SetItem(list, i, bytes);
		data += sizes[i];
	}
	return list;
}

static PyObject *receive_many(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *given[2];	/* most, timeout */
	char data[ROOM];
	uint32_t sizes[BATCH];
	struct face *f = NULL;
	long long most;
	int64_t came = 0;

	if (sort_out(args, count, names, 0, known.receive_many, 2, given) && plain_number(given[0], BATCH, &most)
	    && most > 0 && plain_timeout(given[1]))
		f = pyipc_face_of(self);
	if (f)
		came = receive_soon(f->c, data, sizes, most < BATCH ? (uint32_t) most : BATCH);
	Py_XDECREF((PyObject *) f);
	if (came > 0)
		return list_of(data, sizes, came);
	return in_python(self, "_py_recv_many", args, count, names);
}

/* ---- putting them in place ---- */

static PyType_Slot face_slots[] = {
	{ Py_tp_dealloc, face_dealloc },
	{ 0, NULL },
};

static PyType_Spec face_spec = {
	.name = "pyipc._core.ChannelFace",
	.basicsize = sizeof(struct face),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = face_slots,
};

static PyMethodDef functions[] = {
	{ "channel_face", module_face, METH_VARARGS, NULL },
	{ 0 },
};

const struct hot_call pyipc_channel_calls[] = {
	{ "channel.send", send, "($self, data, timeout=None)" },
	{ "channel.send_many", send_many, "($self, messages, timeout=None)" },
	{ "channel.recv", receive, "($self, timeout=None, *, ack=False)" },
	{ "channel._recv_data", receive_data, "($self, timeout)" },
	{ "channel.recv_many", receive_many, "($self, most=256, timeout=None)" },
	{ 0 },
};

int pyipc_add_channels(PyObject *module)
{
	PyObject *face = PyType_FromSpec(&face_spec);

	known.face_type = (PyTypeObject *) face;
	known.face = PyUnicode_InternFromString("_face");
	known.waiting = PyUnicode_InternFromString("_waiting");
	known.send[0] = PyUnicode_InternFromString("data");
	known.send_many[0] = PyUnicode_InternFromString("messages");
	known.receive_many[0] = PyUnicode_InternFromString("most");
	known.receive[1] = PyUnicode_InternFromString("ack");
	known.send[1] = known.receive[0] = known.send_many[1] = known.receive_many[1]
		= PyUnicode_InternFromString("timeout");
	return !face || PyModule_AddFunctions(module, functions) < 0 || pyipc_add_loans(module) < 0
		       ? -1 : pyipc_add_queues(module);
}

#endif
