/* SPDX-License-Identifier: MIT
 *
 * python_descriptors.c -- the owner of a descriptor as a CPython type, and messages that make such.
 *
 * A received descriptor must have its owner before any Python code can run: a signal handler may
 * raise right after the call that brought it.  Here recvmsg(2) and the making of the handles are one
 * call, and closing is one too.  (Through cffi the same costs half a microsecond for each descriptor;
 * where this file cannot serve, on PyPy and without a GIL, native_descriptors.py does it so.)
 */
#include <pyconfig.h>

#if !defined(PYPY_VERSION) && !defined(Py_GIL_DISABLED)

#define Py_LIMITED_API 0x03090000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>

#include "internal.h"

/* ---- the owner ---- */

struct descriptor {
	PyObject_HEAD
	int number;		/* -1: none; set as soon as the object is there, for 0 is one */
};

static PyTypeObject *descriptor_type;

static PyObject *with_number(PyTypeObject *type, int number)
{
	struct descriptor *d = (struct descriptor *) PyType_GenericAlloc(type, 0);

	if (d)
		d->number = number;
	return (PyObject *) d;
}

static PyObject *descriptor_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	(void) args;
	(void) keywords;
	return with_number(type, -1);
}

static int close_without_gil(int *number)
{
	int result;

	if (*number < 0)
		return 0;
	Py_BEGIN_ALLOW_THREADS
	result = pyipc_fd_close(number);	/* the object is the caller's, so it stays */
	Py_END_ALLOW_THREADS
	return result;
}

/* Dropped open: say so.  The exception that is on its way, if one is, stays as it is. */
static void descriptor_finalize(PyObject *self)
{
	PyObject *type, *value, *trace;

	if (((struct descriptor *) self)->number < 0)
		return;
	PyErr_Fetch(&type, &value, &trace);
	if (PyErr_ResourceWarning(self, 1, "%R was dropped without close()", self) < 0)
		PyErr_WriteUnraisable(self);
	PyErr_Restore(type, value, trace);
}

static void descriptor_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);
	freefunc release = (freefunc) PyType_GetSlot(type, Py_tp_free);

	(void) close_without_gil(&((struct descriptor *) self)->number);
	release(self);
	Py_DECREF(type);
}

static PyObject *descriptor_close(PyObject *self, PyObject *unused)
{
	(void) unused;
	return PyLong_FromLong(close_without_gil(&((struct descriptor *) self)->number));
}

static PyObject *descriptor_take(PyObject *self, PyObject *unused)
{
	(void) unused;
	return PyLong_FromLong(pyipc_now_fd_take(&((struct descriptor *) self)->number));
}

static PyObject *descriptor_fileno(PyObject *self, PyObject *unused)
{
	int number = ((struct descriptor *) self)->number;

	(void) unused;
	return number < 0 ? PyObject_CallMethod(self, "_refuse", NULL) : PyLong_FromLong(number);
}

static PyObject *descriptor_number(PyObject *self, void *closure)
{
	(void) closure;
	return PyLong_FromLong(((struct descriptor *) self)->number);
}

/* Where its number lies: for calls of the core that make a descriptor. */
static PyObject *descriptor_address(PyObject *self, void *closure)
{
	(void) closure;
	return PyLong_FromVoidPtr(&((struct descriptor *) self)->number);
}

/* ---- messages ---- */

/* Handles of this type for all that came; each leaves the message as it gets its handle. */
static PyObject *handles(struct pyipc_message *message, PyTypeObject *type)
{
	PyObject *list = PyList_New(message->count);

	for (int i = 0; list && i < message->count; i++) {
		PyObject *handle = with_number(type, -1);

		if (!handle || PyList_SetItem(list, i, handle) < 0) {
			Py_CLEAR(list);
			break;
		}
		((struct descriptor *) handle)->number = pyipc_now_fd_take(&message->fds[i]);
	}
	return list;
}

static PyObject *none(void)
{
	Py_INCREF(Py_None);
	return Py_None;
}

static PyObject *pidfd_of(struct pyipc_message *message, PyTypeObject *type)
{
	PyObject *handle = message->pidfd < 0 ? none() : with_number(type, -1);

	if (message->pidfd < 0)
		return handle;
	if (handle)
		((struct descriptor *) handle)->number = pyipc_now_fd_take(&message->pidfd);
	return handle;
}

static PyObject *credentials_of(const struct pyipc_message *message)
{
	const struct pyipc_credentials *c = &message->credentials;

	return message->has_credentials ? Py_BuildValue("iII", c->pid, c->uid, c->gid) : none();
}

static PyObject *address_of(const struct pyipc_message *message)
{
	if (message->address_size == 0)
		return none();
	return PyBytes_FromStringAndSize(message->address, message->address_size);
}

/* What receive() gives: see now_receive() in _backend/protocol.py. */
static PyObject *all_of(PyObject *data, int64_t size, struct pyipc_message *message, PyTypeObject *type)
{
	PyObject *parts[] = {
		data,
		PyLong_FromLongLong(size),
		message->lost ? PyList_New(0) : handles(message, type),
		credentials_of(message),
		pidfd_of(message, type),
		address_of(message),
		message->lost ? Py_BuildValue("ii", message->lost, message->count) : none(),
	};
	enum { PARTS = sizeof parts / sizeof parts[0] };
	PyObject *all = PyTuple_New(PARTS);
	int complete = all != NULL;

	for (int i = 0; i < PARTS; i++) {
		complete = complete && parts[i];
		if (all && parts[i])
			(void) PyTuple_SetItem(all, i, parts[i]);
		else
			Py_XDECREF(parts[i]);
	}
	if (complete)
		return all;
	Py_XDECREF(all);
	return NULL;
}

/* receive(sock, size, type of handles).  The caller's size may be far more than what comes,
 * so that goes through memory that is not touched where nothing arrives. */
static PyObject *module_receive(PyObject *module, PyObject *args)
{
	struct pyipc_message message = { .pidfd = -1 };
	PyObject *type, *data = NULL, *all = NULL;
	Py_ssize_t size;
	int64_t got;
	char *room;
	int sock;

	(void) module;
	if (!PyArg_ParseTuple(args, "inO", &sock, &size, &type))
		return NULL;
	if (size < 0 || !PyType_Check(type) || !PyType_IsSubtype((PyTypeObject *) type, descriptor_type))
		return PyErr_Format(PyExc_TypeError, "wanted a size and a type of handles");
	room = PyMem_Malloc((size_t) size);
	if (!room)
		return PyErr_NoMemory();
	got = pyipc_now_receive(sock, room, (uint64_t) size, &message);
	if (got >= 0)
		data = PyBytes_FromStringAndSize(room, got < size ? (Py_ssize_t) got : size);
	PyMem_Free(room);
	if (data)
		all = all_of(data, got, &message, (PyTypeObject *) type);
	else if (got < 0)
		all = PyLong_FromLongLong(got);
	if (!message.lost)		/* then they are closed, and count says how many there were */
		(void) pyipc_message_close(&message);
	return all;
}

/* send(sock, data, numbers, credentials or None, address or None) */
static PyObject *module_send(PyObject *module, PyObject *args)
{
	struct pyipc_credentials credentials;
	PyObject *numbers, *who;
	int32_t fds[PYIPC_MOST_FDS];
	const char *data, *address;
	Py_ssize_t size, address_size, count;
	int sock;

	(void) module;
	if (!PyArg_ParseTuple(args, "iy#O!Oz#", &sock, &data, &size, &PyList_Type, &numbers, &who, &address,
			      &address_size))
		return NULL;
	if (who != Py_None && !PyArg_ParseTuple(who, "iII", &credentials.pid, &credentials.uid, &credentials.gid))
		return NULL;
	count = PyList_Size(numbers);
	if (count > PYIPC_MOST_FDS || address_size > PYIPC_MOST_ADDRESS)
		return PyLong_FromLong(-EINVAL);
	for (Py_ssize_t i = 0; i < count; i++) {
		fds[i] = (int32_t) PyLong_AsLong(PyList_GetItem(numbers, i));
		if (fds[i] == -1 && PyErr_Occurred())
			return NULL;
	}
	return PyLong_FromLongLong(pyipc_now_send(sock, data, (uint64_t) size, fds, (int) count,
						  who == Py_None ? NULL : &credentials, address,
						  address ? (int) address_size : 0));
}

/* close_all(handles): those of a list, letting go of the GIL once for many. */
static PyObject *module_close_all(PyObject *module, PyObject *list)
{
	struct pyipc_message taken = { .pidfd = -1 };

	(void) module;
	if (!PyList_Check(list))
		return PyErr_Format(PyExc_TypeError, "wanted a list of handles");
	for (Py_ssize_t next = 0; next < PyList_Size(list);) {
		while (next < PyList_Size(list) && taken.count < PYIPC_MOST_FDS) {
			PyObject *handle = PyList_GetItem(list, next++);

			if (PyObject_TypeCheck(handle, descriptor_type))
				taken.fds[taken.count++] = pyipc_now_fd_take(&((struct descriptor *) handle)->number);
		}
		Py_BEGIN_ALLOW_THREADS
		(void) pyipc_message_close(&taken);
		Py_END_ALLOW_THREADS
	}
	return none();
}

/* ---- putting them in place ---- */

static PyMethodDef functions[] = {
	{ "receive", module_receive, METH_VARARGS, NULL },
	{ "send", module_send, METH_VARARGS, NULL },
	{ "close_all", module_close_all, METH_O, NULL },
	{ 0 },
};

static PyMethodDef descriptor_methods[] = {
	{ "fileno", descriptor_fileno, METH_NOARGS,
	  "fileno($self)\n--\n\nIts number, which stays this object's to close.\n\n"
	  "Raises:\n    ClosedError: It is closed." },
	{ "_close", descriptor_close, METH_NOARGS, NULL },
	{ "_take", descriptor_take, METH_NOARGS, NULL },
	{ 0 },
};

static PyGetSetDef descriptor_members[] = {
	{ "_number", descriptor_number, NULL, NULL, NULL },
	{ "_address", descriptor_address, NULL, NULL, NULL },
	{ 0 },
};

static PyType_Slot descriptor_slots[] = {
	{ Py_tp_new, descriptor_new },
	{ Py_tp_dealloc, descriptor_dealloc },
	{ Py_tp_finalize, descriptor_finalize },
	{ Py_tp_methods, descriptor_methods },
	{ Py_tp_getset, descriptor_members },
	{ 0, NULL },
};

static PyType_Spec descriptor_spec = {
	.name = "pyipc._core.Descriptor",
	.basicsize = sizeof(struct descriptor),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_FINALIZE,
	.slots = descriptor_slots,
};

/* Adds all this to the module that cffi made.  Called once, with the GIL, at import. */
int pyipc_now_add_descriptors(void)
{
	PyObject *module = PyImport_AddModule("pyipc._core");	/* borrowed */
	PyObject *type = PyType_FromSpec(&descriptor_spec);

	descriptor_type = (PyTypeObject *) type;
	if (!module || !type || PyModule_AddFunctions(module, functions) < 0) {
		PyErr_Clear();
		return -ENOMEM;
	}
	Py_INCREF(type);
	if (PyModule_AddObject(module, "Descriptor", type) < 0) {
		PyErr_Clear();
		return -ENOMEM;
	}
	return 0;
}

#else

#include "internal.h"

int pyipc_now_add_descriptors(void)
{
	return -ENOTSUP;
}

#endif
