/* SPDX-License-Identifier: MIT
 *
 * python_posix.c -- what CPython sees of POSIX semaphores, queues and shared memory: the common form of
 * taking, giving, sending, receiving, reading and writing.  The rules are those of hot_calls.c.
 */
#include <patchlevel.h>		/* PYPY_VERSION */
#include <pyconfig.h>		/* Py_GIL_DISABLED */

#if !defined(PYPY_VERSION) && !defined(Py_GIL_DISABLED)

#include "python_descriptors.h"
#include "python_posix.h"

struct pair_class pyipc_posix_messages;

static struct {
	PyObject *sem;		/* name of an attribute */
	PyObject *acquire[1], *send[3], *receive[1], *read[2], *write[2], *compat_send[3];	/* of their arguments */
	PyTypeObject *sem_type;
} known;

/* ---- semaphores ---- */

/* What keeps one open: a named one until this is gone, another as long as its memory is there. */
struct semaphore {
	PyObject_HEAD
	char *sem;
	PyObject *memory;	/* NULL of a named one */
};

static PyObject *keeper_of(char *sem, PyObject *memory)
{
	struct semaphore *s = (struct semaphore *) PyType_GenericAlloc(known.sem_type, 0);

	if (!s)
		return NULL;
	s->sem = sem;
	Py_XINCREF(memory);
	s->memory = memory;
	return (PyObject *) s;
}

static void semaphore_dealloc(PyObject *self)
{
	struct semaphore *s = (struct semaphore *) self;
	char *named = s->memory ? NULL : s->sem;
	PyTypeObject *type = Py_TYPE(self);

	Py_XDECREF(s->memory);
	PyObject_Free(self);
	Py_DECREF(type);
	if (!named)
		return;
	Py_BEGIN_ALLOW_THREADS
	(void) pyipc_posix_sem_close(named);
	Py_END_ALLOW_THREADS
}

static PyObject *semaphore_address(PyObject *self, void *unused)
{
	(void) unused;
	return PyLong_FromVoidPtr(((struct semaphore *) self)->sem);
}

/* posix_sem_open(name, flags, mode, value): what keeps it open, or -errno. */
static PyObject *module_open(PyObject *module, PyObject *args)
{
	const char *name;
	unsigned value;
	int flags, mode, result;
	int64_t sem = 0;
	PyObject *keeper;

	(void) module;
	if (!PyArg_ParseTuple(args, "yiiI", &name, &flags, &mode, &value))
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	result = pyipc_posix_sem_open(name, flags, mode, value, &sem);
	Py_END_ALLOW_THREADS
	if (result < 0)
		return PyLong_FromLong(result);
	keeper = keeper_of((char *) (intptr_t) sem, NULL);
	if (!keeper)
		(void) pyipc_posix_sem_close((char *) (intptr_t) sem);
	return keeper;
}

/* posix_sem_in(address, memory): one that lies in memory that this object keeps. */
static PyObject *module_in(PyObject *module, PyObject *args)
{
	unsigned long long address;
	PyObject *memory;

	(void) module;
	if (!PyArg_ParseTuple(args, "KO", &address, &memory))
		return NULL;
	return keeper_of((char *) (uintptr_t) address, memory);
}

/* A new reference, or NULL: closed. */
static struct semaphore *semaphore_of(PyObject *handle)
{
	PyObject *value = PyObject_GetAttr(handle, known.sem);

	if (value && Py_TYPE(value) == known.sem_type && ((struct semaphore *) value)->sem)
		return (struct semaphore *) value;
	PyErr_Clear();
	Py_XDECREF(value);
	return NULL;
}

static PyObject *acquire(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	struct semaphore *s = NULL;
	PyObject *timeout = NULL;
	int taken = 0;

	if ((count == 0 && !names)
	    || (sort_out(args, count, names, 0, known.acquire, 1, &timeout) && plain_timeout(timeout)))
		s = semaphore_of(self);
	if (s)
		taken = pyipc_now_posix_sem_try(s->sem) == 0;
	Py_XDECREF((PyObject *) s);
	return taken ? none() : in_python(self, "_py_acquire", args, count, names);
}

static PyObject *release(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	struct semaphore *s = count == 0 && !names ? semaphore_of(self) : NULL;
	int given = s && pyipc_now_posix_sem_post(s->sem) == 0;

	Py_XDECREF((PyObject *) s);
	return given ? none() : in_python(self, "_py_release", args, count, names);
}

static PyObject *enter(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	struct semaphore *s = count == 0 && !names ? semaphore_of(self) : NULL;
	int taken = s && pyipc_now_posix_sem_try(s->sem) == 0;

	Py_XDECREF((PyObject *) s);
	if (!taken)
		return in_python(self, "_py___enter__", args, count, names);
	Py_INCREF(self);
	return self;
}

static PyObject *leave(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	struct semaphore *s = names ? NULL : semaphore_of(self);
	int given = s && pyipc_now_posix_sem_post(s->sem) == 0;

	Py_XDECREF((PyObject *) s);
	return given ? none() : in_python(self, "_py___exit__", args, count, names);
}

/* ---- queues ---- */

enum { ROOM = 16384 };

static PyObject *send(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *given[3];	/* data, priority, timeout */
	long long priority;

	if (sort_out(args, count, names, 1, known.send, 3, given) && PyBytes_CheckExact(given[0])
	    && PyBytes_Size(given[0]) <= COPY_WITH_GIL && plain_number(given[1], 0, &priority) && priority >= 0
	    && priority <= UINT32_MAX && plain_timeout(given[2])
	    && pyipc_now_posix_mq_send(&((struct descriptor *) self)->number, PyBytes_AsString(given[0]),
				       (uint64_t) PyBytes_Size(given[0]), (uint32_t) priority) == 0)
		return none();
	return in_python(self, "_py_send", args, count, names);
}

/* As this class, or a tuple. */
static PyObject *receive_as(struct pair_class *pairs, PyObject *self, PyObject *const *args, Py_ssize_t count,
			    PyObject *names)
{
	PyObject *timeout = NULL;
	char data[ROOM];
	uint32_t priority;
	int64_t size = -1;

	if ((count == 0 && !names)
	    || (sort_out(args, count, names, 0, known.receive, 1, &timeout) && plain_timeout(timeout)))
		size = pyipc_now_posix_mq_receive(&((struct descriptor *) self)->number, data, ROOM, &priority);
	if (size >= 0)
		return pairs ? pyipc_pair(pairs, data, size, priority) : pyipc_tuple(data, size, priority);
	return in_python(self, "_py_receive", args, count, names);
}

static PyObject *receive(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	return receive_as(&pyipc_posix_messages, self, args, count, names);
}

/* The same two as posix_ipc has them (pyipc/compat): a message may be a str, and comes as a mere tuple. */
static PyObject *compat_receive(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	return receive_as(NULL, self, args, count, names);
}

static PyObject *bytes_of(PyObject *message)
{
	PyObject *bytes = NULL;

	if (PyUnicode_CheckExact(message)) {
		bytes = PyUnicode_AsUTF8String(message);
		if (!bytes)
			PyErr_Clear();
	} else if (PyBytes_CheckExact(message)) {
		bytes = message;
		Py_INCREF(bytes);
	}
	return bytes;
}

static PyObject *compat_send(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *given[3];	/* message, timeout, priority */
	PyObject *bytes = NULL;
	long long priority;
	int sent = 0;

	if (sort_out(args, count, names, 1, known.compat_send, 3, given) && plain_timeout(given[1])
	    && plain_number(given[2], 0, &priority) && priority >= 0 && priority <= UINT32_MAX)
		bytes = bytes_of(given[0]);
	if (bytes && PyBytes_Size(bytes) <= COPY_WITH_GIL)
		sent = pyipc_now_posix_mq_send(&((struct descriptor *) self)->number, PyBytes_AsString(bytes),
					       (uint64_t) PyBytes_Size(bytes), (uint32_t) priority) == 0;
	Py_XDECREF(bytes);
	return sent ? none() : in_python(self, "_py_send", args, count, names);
}

/* ---- opening: what cffi makes of so many arguments takes a tenth of the call ---- */

/* posix_mq_open(into, name, flags, mode, max_messages, max_size): 0, or -errno. */
static PyObject *module_mq_open(PyObject *module, PyObject *args)
{
	long long max_messages, max_size;
	int flags, mode, result;
	const char *name;
	PyObject *into;

	(void) module;
	if (!PyArg_ParseTuple(args, "O!yiiLL", pyipc_descriptor_type, &into, &name, &flags, &mode, &max_messages,
			      &max_size))
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	result = pyipc_posix_mq_open(name, flags, mode, max_messages, max_size, &((struct descriptor *) into)->number);
	Py_END_ALLOW_THREADS
	return PyLong_FromLong(result);
}

/* posix_shm_get(into, name, flags, mode, size): the same. */
static PyObject *module_shm_get(PyObject *module, PyObject *args)
{
	unsigned long long size;
	int flags, mode, result;
	const char *name;
	PyObject *into;

	(void) module;
	if (!PyArg_ParseTuple(args, "O!yiiK", pyipc_descriptor_type, &into, &name, &flags, &mode, &size))
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	result = pyipc_posix_shm_get(name, flags, mode, size, &((struct descriptor *) into)->number);
	Py_END_ALLOW_THREADS
	return PyLong_FromLong(result);
}

/* ---- shared memory ---- */

/* Those that are longer are Python's. */
static PyObject *read_bytes(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *given[2];	/* size, offset */
	long long size, offset;
	PyObject *bytes = NULL;

	if (sort_out(args, count, names, 1, known.read, 2, given) && plain_number(given[0], -1, &size)
	    && plain_number(given[1], 0, &offset) && size >= 0 && size <= COPY_WITH_GIL && offset >= 0
	    && !(bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t) size)))
		return NULL;
	if (bytes && pyipc_now_posix_shm_read(&((struct descriptor *) self)->number, PyBytes_AsString(bytes),
					      (uint64_t) size, (uint64_t) offset) >= 0)
		return bytes;
	Py_XDECREF(bytes);
	return in_python(self, "_py_read", args, count, names);
}

static PyObject *write_bytes(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *given[2];	/* data, offset */
	long long offset;

	/* To write nothing would succeed where writing is not allowed. */
	if (sort_out(args, count, names, 1, known.write, 2, given) && PyBytes_CheckExact(given[0])
	    && PyBytes_Size(given[0]) > 0 && PyBytes_Size(given[0]) <= COPY_WITH_GIL && plain_number(given[1], 0, &offset) && offset >= 0
	    && pyipc_now_posix_shm_write(&((struct descriptor *) self)->number, PyBytes_AsString(given[0]),
					 (uint64_t) PyBytes_Size(given[0]), (uint64_t) offset) >= 0)
		return none();
	return in_python(self, "_py_write", args, count, names);
}

/* ---- putting them in place ---- */

static PyGetSetDef semaphore_members[] = {
	{ "address", semaphore_address, NULL, NULL, NULL },
	{ 0 },
};

static PyObject *semaphore_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	(void) args;
	(void) keywords;
	return PyErr_Format(PyExc_TypeError, "cannot create %R instances", type);
}

static PyType_Slot semaphore_slots[] = {
	{ Py_tp_new, semaphore_new },
	{ Py_tp_dealloc, semaphore_dealloc },
	{ Py_tp_getset, semaphore_members },
	{ 0, NULL },
};

static PyType_Spec semaphore_spec = {
	.name = "pyipc._core.PosixSemaphore",
	.basicsize = sizeof(struct semaphore),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = semaphore_slots,
};

static PyMethodDef functions[] = {
	{ "posix_sem_open", module_open, METH_VARARGS, NULL },
	{ "posix_sem_in", module_in, METH_VARARGS, NULL },
	{ "posix_mq_open", module_mq_open, METH_VARARGS, NULL },
	{ "posix_shm_get", module_shm_get, METH_VARARGS, NULL },
	{ 0 },
};

const struct hot_call pyipc_posix_calls[] = {
	{ "posix_sem.acquire", acquire, "($self, timeout=None)" },
	{ "posix_sem.release", release, "($self)" },
	{ "posix_sem.__enter__", enter, "($self)" },
	{ "posix_sem.__exit__", leave, "($self, *problem)" },
	{ "posix_mq.send", send, "($self, data, priority=0, timeout=None)" },
	{ "posix_mq.receive", receive, "($self, timeout=None)" },
	{ "compat_mq.send", compat_send, "($self, message, timeout=None, priority=0)" },
	{ "compat_mq.receive", compat_receive, "($self, timeout=None)" },
	{ "posix_shm.read", read_bytes, "($self, size=None, offset=0)" },
	{ "posix_shm.write", write_bytes, "($self, data, offset=0, *, pad_to=None)" },
	{ 0 },
};

int pyipc_add_posix(PyObject *module)
{
	known.sem = PyUnicode_InternFromString("_sem");
	known.send[0] = known.write[0] = PyUnicode_InternFromString("data");
	known.read[0] = PyUnicode_InternFromString("size");
	known.read[1] = known.write[1] = PyUnicode_InternFromString("offset");
	known.send[1] = known.compat_send[2] = PyUnicode_InternFromString("priority");
	known.acquire[0] = known.send[2] = known.receive[0] = PyUnicode_InternFromString("timeout");
	known.compat_send[0] = PyUnicode_InternFromString("message");
	known.compat_send[1] = known.receive[0];
	known.sem_type = (PyTypeObject *) PyType_FromSpec(&semaphore_spec);
	return known.sem_type ? PyModule_AddFunctions(module, functions) : -1;
}

#endif
