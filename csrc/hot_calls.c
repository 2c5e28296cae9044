/* SPDX-License-Identifier: MIT
 *
 * hot_calls.c -- a thin CPython face on a few calls of the core.  With python_descriptors.c, the only
 * C that knows Python.
 *
 * Through cffi, a method like Semaphore.release() costs a Python frame and a cffi call: half as
 * much again as the semop(2) inside.  So for the handful of methods that run millions of times,
 * C stands in for the *common* form of the call: plain arguments, nothing to wait for, no error.
 * It has no logic of its own.  Whatever else is asked, and whatever answer the core gives but
 * success, it calls the Python method, which starts over: that text alone says what the method
 * does, serves where this file cannot (PyPy, free threading), and is what tests compare it with.
 *
 * The rules of this file:
 * 1. Nothing here waits. Attaching and detaching may take long, and release the GIL.
 * 2. A call that was not a plain success has changed nothing, so starting over is right.
 * 3. Memory is touched only through an Attachment whose size Python has checked, and which this
 *    file holds a reference to while it does: it is not detached meanwhile.
 */
#include <patchlevel.h>		/* PYPY_VERSION */
#include <pyconfig.h>		/* Py_GIL_DISABLED */

#if !defined(PYPY_VERSION) && !defined(Py_GIL_DISABLED)

#include <stddef.h>
#include <string.h>

#include "python_channels.h"
#include "python_compat.h"
#include "python_descriptors.h"
#include "python_posix.h"
#include "python_values.h"

/* Names and types that never change once the module is made. */
static struct {
	PyObject *live, *attachment, *memory;
	PyObject *acquire[1], *send[3], *receive[2], *read[2], *write[2];	/* of their arguments */
	PyTypeObject *attachment_type;
	struct pair_class messages;
} known;

/* ---- arguments ---- */

/* No argument, or a timeout. */
static int at_most_a_timeout(PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *timeout;

	if (count == 0 && !names)
		return 1;
	return sort_out(args, count, names, 0, known.acquire, 1, &timeout) && plain_timeout(timeout);
}

/* The handle's id, or -1, which the kernel refuses: closed, or not a handle at all. */
static int live_id(PyObject *handle)
{
	PyObject *value = PyObject_GetAttr(handle, known.live);
	long id = value ? PyLong_AsLong(value) : -1;

	Py_XDECREF(value);
	if (id == -1)
		PyErr_Clear();
	return (int) id;
}

/* ---- semaphores ---- */

static PyObject *acquire(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	if (at_most_a_timeout(args, count, names) && pyipc_now_sem_take(live_id(self)) == 0)
		return none();
	return in_python(self, "_py_acquire", args, count, names);
}

static PyObject *release(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	if (count == 0 && !names && pyipc_now_sem_give(live_id(self)) == 0)
		return none();
	return in_python(self, "_py_release", args, count, names);
}

/* Operations made ready: the struct sembufs lie behind the object's head. */
struct operations {
	PyObject_VAR_HEAD
	PyObject *set;
	PyObject *python;
	struct pyipc_sem_op ops[];
};

static PyObject *operations_run(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	struct operations *o = (struct operations *) self;

	if (at_most_a_timeout(args, count, names)
	    && pyipc_now_sem_op(live_id(o->set), o->ops, (uint64_t) Py_SIZE(o)) == 0)
		return none();
	return in_python(o->python, "run", args, count, names);
}

static void operations_dealloc(PyObject *self)
{
	struct operations *o = (struct operations *) self;
	PyTypeObject *type = Py_TYPE(self);

	PyObject_GC_UnTrack(self);
	Py_XDECREF(o->set);
	Py_XDECREF(o->python);
	PyObject_GC_Del(self);
	Py_DECREF(type);
}

static int operations_traverse(PyObject *self, visitproc visit, void *arg)
{
	struct operations *o = (struct operations *) self;

	Py_VISIT(Py_TYPE(self));
	Py_VISIT(o->set);
	Py_VISIT(o->python);
	return 0;
}

/* Operations(set, python, ops): python.run() is what run() stands in for. */
static PyObject *operations_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	PyObject *set, *python;
	const char *ops;
	Py_ssize_t size;
	struct operations *o;

	(void) keywords;
	if (!PyArg_ParseTuple(args, "OOy#", &set, &python, &ops, &size))
		return NULL;
	if (size % (Py_ssize_t) sizeof o->ops[0] != 0)
		return PyErr_Format(PyExc_ValueError, "%zd bytes are not whole operations", size);
	o = (struct operations *) PyType_GenericAlloc(type, size / (Py_ssize_t) sizeof o->ops[0]);
	if (!o)
		return NULL;
	Py_INCREF(set);
	Py_INCREF(python);
	o->set = set;
	o->python = python;
	memcpy(o->ops, ops, (size_t) size);
	return (PyObject *) o;
}

/* ---- message queues ---- */

static PyObject *send(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *given[3];	/* data, type, timeout */
	long long type;

	if (sort_out(args, count, names, 1, known.send, 3, given) && PyBytes_CheckExact(given[0])
	    && plain_number(given[1], 1, &type) && type > 0 && plain_timeout(given[2])
	    && pyipc_now_msg_send(live_id(self), type, PyBytes_AsString(given[0]),
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
	PyObject *given[2];	/* type, timeout */
	long long type;
	int64_t size = -1;

	/* What the most negative number means is for Python to refuse. */
	if (sort_out(args, count, names, 0, known.receive, 2, given) && plain_number(given[0], 0, &type)
	    && type != INT64_MIN && plain_timeout(given[1]))
		size = pyipc_now_msg_receive(live_id(self), &msg.head, PYIPC_MSG_SMALL, type, 0);
	if (size >= 0)
		return pyipc_pair(&known.messages, msg.head.data, size, msg.head.type);
	return in_python(self, "_py_receive", args, count, names);
}

/* ---- segments ---- */

/* What keeps memory mapped, a segment or what a descriptor holds: it is the exporter at the bottom
 * of every view, and unmaps in its destructor.  (A cffi pointer with a destructor cannot take its place:
 * the garbage collector may call that while another finalizer still looks at a view; nor can a cffi
 * buffer be read-only.)
 * A size of 0 means that Python has not looked yet what the segment's size is. */
struct attachment {
	PyObject_HEAD
	char *address;
	int64_t size;
	int is_mapping;		/* by mmap(2); else a segment */
	int read_only;
};

static void attachment_dealloc(PyObject *self)
{
	char *address = ((struct attachment *) self)->address;
	int64_t mapped = ((struct attachment *) self)->is_mapping ? ((struct attachment *) self)->size : 0;
	PyTypeObject *type = Py_TYPE(self);

	PyObject_Free(self);
	Py_DECREF(type);
	Py_BEGIN_ALLOW_THREADS
	(void) (mapped ? pyipc_unmap(address, (uint64_t) mapped) : pyipc_shm_detach(address));
	Py_END_ALLOW_THREADS
}

static PyObject *attach_segment(int id, uint64_t at, int flags)
{
	struct attachment *a;
	int64_t address;

	Py_BEGIN_ALLOW_THREADS
	address = pyipc_shm_attach(id, at, flags);
	Py_END_ALLOW_THREADS
	if (address < 0)
		return PyLong_FromLongLong(address);
	a = (struct attachment *) PyType_GenericAlloc(known.attachment_type, 0);
	if (!a) {
		(void) pyipc_shm_detach((char *) address);
		return NULL;
	}
	a->address = (char *) address;
	a->read_only = (flags & PYIPC_SHM_READ_ONLY) != 0;
	return (PyObject *) a;
}

/* attach(id, address, flags) -> Attachment or -errno; adopt(address) -> Attachment of a range that
 * the core has attached. */
static PyObject *module_attach(PyObject *module, PyObject *args)
{
	unsigned long long at;
	int id, flags;

	(void) module;
	if (!PyArg_ParseTuple(args, "iKi", &id, &at, &flags))
		return NULL;
	return attach_segment(id, at, flags);
}

/* map(fd, size, flags) -> Attachment of that many bytes, or -errno. */
static PyObject *module_map(PyObject *module, PyObject *args)
{
	struct attachment *a;
	unsigned long long size;
	int64_t address;
	int fd, flags;

	(void) module;
	if (!PyArg_ParseTuple(args, "iKi", &fd, &size, &flags))
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	address = pyipc_map(fd, size, flags);
	Py_END_ALLOW_THREADS
	if (address < 0)
		return PyLong_FromLongLong(address);
	a = (struct attachment *) PyType_GenericAlloc(known.attachment_type, 0);
	if (!a) {
		(void) pyipc_unmap((char *) address, size);
		return NULL;
	}
	a->address = (char *) address;
	a->is_mapping = 1;
	a->size = (int64_t) size;
	a->read_only = !(flags & PYIPC_MAP_WRITABLE);
	return (PyObject *) a;
}

static PyObject *module_adopt(PyObject *module, PyObject *address)
{
	void *start = PyLong_AsVoidPtr(address);
	struct attachment *a;

	(void) module;
	if (PyErr_Occurred())
		return NULL;
	a = (struct attachment *) PyType_GenericAlloc(known.attachment_type, 0);
	if (a)
		a->address = start;
	return (PyObject *) a;
}

/* checked(size): from now on, that many bytes may be touched.  Said once. */
static PyObject *attachment_checked(PyObject *self, PyObject *size)
{
	struct attachment *a = (struct attachment *) self;
	long long checked = PyLong_AsLongLong(size);

	if (PyErr_Occurred())
		return NULL;
	if (checked <= 0 || a->size > 0 || !a->address)
		return PyErr_Format(PyExc_ValueError, "that was said before, or cannot be");
	a->size = checked;
	return none();
}

static PyObject *attachment_address(PyObject *self, void *closure)
{
	(void) closure;
	return PyLong_FromVoidPtr(((struct attachment *) self)->address);
}

static int attachment_getbuffer(PyObject *self, struct buffer *view, int flags)
{
	struct attachment *a = (struct attachment *) self;

	if (a->size <= 0 || ((flags & WANTS_WRITABLE) && a->read_only)) {
		view->obj = NULL;
		PyErr_SetString(PyExc_BufferError, "the memory is read-only, or not known yet");
		return -1;
	}
	return export_bytes(view, self, a->address, (Py_ssize_t) a->size, a->read_only, flags);
}

/* A base of classes that show memory to memoryview(), as Python's own __buffer__ does from 3.12 on:
 * what is behind the view that __buffer__() gives becomes the exporter, and outlives the object. */
static int viewed_getbuffer(PyObject *self, struct buffer *view, int flags)
{
	PyObject *given = PyObject_CallMethod(self, "__buffer__", "i", flags);
	PyObject *exporter = given ? PyObject_GetAttrString(given, "obj") : NULL;
	int result = -1;

	view->obj = NULL;
	if (exporter && Py_TYPE(exporter) == known.attachment_type)
		result = attachment_getbuffer(exporter, view, flags);
	else if (exporter)
		PyErr_SetString(PyExc_BufferError, "there is no memory to look at");
	Py_XDECREF(given);
	Py_XDECREF(exporter);
	return result;
}

/* A new reference to the handle's Attachment, or NULL if it has none that may be touched. */
static struct attachment *checked_attachment(PyObject *handle)
{
	PyObject *value = PyObject_GetAttr(handle, known.attachment);

	if (value && Py_TYPE(value) == known.attachment_type && ((struct attachment *) value)->size > 0)
		return (struct attachment *) value;
	PyErr_Clear();
	Py_XDECREF(value);
	return NULL;
}

/* copy_out(address, size): for what Python has checked and keeps mapped. */
static PyObject *module_copy_out(PyObject *module, PyObject *args)
{
	unsigned long long address;
	Py_ssize_t size;

	(void) module;
	if (!PyArg_ParseTuple(args, "Kn", &address, &size))
		return NULL;
	return copy_out((const char *) address, size);
}

static PyObject *read_bytes(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *given[2];	/* size, offset */
	long long size, offset;
	struct attachment *a = NULL;
	PyObject *bytes = NULL;

	if (sort_out(args, count, names, 1, known.read, 2, given) && plain_number(given[0], 0, &size)
	    && plain_number(given[1], 0, &offset))
		a = checked_attachment(self);
	if (a && size >= 0 && offset >= 0 && size <= a->size && offset <= a->size - size) {
		bytes = copy_out(a->address + offset, size);
		Py_DECREF((PyObject *) a);
		return bytes;
	}
	Py_XDECREF((PyObject *) a);
	return in_python(self, "_py_read", args, count, names);
}

static PyObject *write_bytes(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *given[2];	/* data, offset */
	long long offset;
	struct attachment *a = NULL;
	int64_t size;
	int fits;

	if (sort_out(args, count, names, 1, known.write, 2, given) && PyBytes_CheckExact(given[0])
	    && plain_number(given[1], 0, &offset))
		a = checked_attachment(self);
	size = a ? PyBytes_Size(given[0]) : 0;
	fits = a && !a->read_only && offset >= 0 && size <= a->size && offset <= a->size - size;
	if (fits)
		copy(a->address + offset, PyBytes_AsString(given[0]), size);
	Py_XDECREF((PyObject *) a);
	return fits ? none() : in_python(self, "_py_write", args, count, names);
}

/* Python's detach() leaves read_only false, so a detached segment can be attached as it is. */
static PyObject *reattach(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *old = PyObject_GetAttr(self, known.attachment);
	int detached = old == Py_None;
	PyObject *a = NULL;
	int done = 0;

	Py_XDECREF(old);
	PyErr_Clear();
	if (count == 0 && !names && detached && !(a = attach_segment(live_id(self), 0, 0)))
		return NULL;
	if (a && Py_TYPE(a) == known.attachment_type)
		done = PyObject_SetAttr(self, known.attachment, a) == 0;
	if (done && live_id(self) < 0)	/* closed by another thread meanwhile: let go, as close() does */
		done = PyObject_SetAttr(self, known.attachment, Py_None) != 0;
	Py_XDECREF(a);
	PyErr_Clear();
	return done ? none() : in_python(self, "_py_reattach", args, count, names);
}

static PyObject *detach(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *old = PyObject_GetAttr(self, known.attachment);
	struct attachment *a = (struct attachment *) old;
	int plain = old && Py_TYPE(old) == known.attachment_type && !a->read_only && count == 0 && !names;
	int has_memory = plain && a->size > 0;
	int done = plain && PyObject_SetAttr(self, known.attachment, Py_None) == 0
		   && (!has_memory || PyObject_SetAttr(self, known.memory, Py_None) == 0);

	Py_XDECREF(old);
	PyErr_Clear();
	return done ? none() : in_python(self, "_py_detach", args, count, names);
}

/* ---- putting them in place ---- */

static const struct hot_call hot[] = {
	{ "acquire", acquire, "($self, timeout=None, *, count=1, undo=False)" },
	{ "release", release, "($self, count=1, *, undo=False)" },
	{ "send", send, "($self, data, type=1, timeout=None)" },
	{ "receive", receive,
	  "($self, type=0, timeout=None, *, max_size=None, truncate=False, except_type=None, copy=None)" },
	{ "read", read_bytes, "($self, size=None, offset=0)" },
	{ "write", write_bytes, "($self, data, offset=0, *, pad_to=None)" },
	{ "reattach", reattach, "($self, *, read_only=False, address=None)" },
	{ "detach", detach, "($self)" },
	{ 0 },
};

/* A method descriptor for ever: classes do not go away, so neither does its definition. */
static PyObject *descriptor(PyObject *cls, const struct hot_call *hot_call, const char *name, PyObject *python)
{
	PyObject *kept = PyObject_GetAttrString(python, "__doc__");
	PyObject *doc = kept == Py_None ? PyUnicode_FromString("") : kept;	/* None under -OO */
	PyObject *text = doc ? PyUnicode_FromFormat("%s%s\n--\n\n%U", name, hot_call->signature, doc)
			     : NULL;
	PyObject *utf8 = text ? PyUnicode_AsUTF8String(text) : NULL;
	PyObject *result = NULL;
	PyMethodDef *method;

	if (utf8 && (method = PyMem_Malloc(sizeof *method))) {
		memset(method, 0, sizeof *method);
		method->ml_name = name;
		method->ml_meth = (PyCFunction) (void (*)(void)) hot_call->call;
		method->ml_flags = METH_FASTCALL | METH_KEYWORDS;
		method->ml_doc = PyBytes_AsString(utf8);
		Py_INCREF(utf8);
		result = PyDescr_NewMethod((PyTypeObject *) cls, method);
	}
	if (doc != kept)
		Py_XDECREF(kept);
	Py_XDECREF(doc);
	Py_XDECREF(text);
	Py_XDECREF(utf8);
	return result;
}

static const struct hot_call *find(const struct hot_call *calls, const char *name)
{
	while (calls->name && strcmp(calls->name, name))
		calls++;
	return calls->name ? calls : NULL;
}

/* accelerate(cls, name): let C stand in for the common call of cls.name; Python's stays as
 * cls._py_name. */
static PyObject *module_accelerate(PyObject *module, PyObject *args)
{
	PyObject *cls, *python, *fast = NULL, *kept_name = NULL;
	const struct hot_call *const tables[] = { hot, pyipc_channel_calls, pyipc_loan_calls, pyipc_queue_calls,
						  pyipc_value_calls, pyipc_posix_calls, pyipc_compat_calls,
						  pyipc_terminal_calls };
	const struct hot_call *which = NULL;
	const char *key, *name;

	(void) module;
	if (!PyArg_ParseTuple(args, "Os", &cls, &key))
		return NULL;
	for (size_t i = 0; !which && i < sizeof tables / sizeof *tables; i++)
		which = find(tables[i], key);
	if (!which)
		return PyErr_Format(PyExc_ValueError, "there is no hot call named %s", key);
	/* What is before a dot tells calls of one name apart. */
	name = strchr(which->name, '.') ? strchr(which->name, '.') + 1 : which->name;
	python = PyObject_GetAttrString(cls, name);
	kept_name = PyUnicode_FromFormat("_py_%s", name);
	fast = python ? descriptor(cls, which, name, python) : NULL;
	if (fast && kept_name && PyObject_SetAttr(cls, kept_name, python) == 0)
		(void) PyObject_SetAttrString(cls, name, fast);
	Py_XDECREF(python);
	Py_XDECREF(kept_name);
	Py_XDECREF(fast);
	return PyErr_Occurred() ? NULL : none();
}

/* messages(cls, name): the class of what a hot call returns that receives. */
static PyObject *module_messages(PyObject *module, PyObject *args)
{
	PyObject *cls;
	const char *name;

	(void) module;
	if (!PyArg_ParseTuple(args, "Os", &cls, &name))
		return NULL;
	pyipc_pair_class(find(pyipc_posix_calls, name) ? &pyipc_posix_messages : &known.messages, cls);
	return none();
}

static PyMethodDef functions[] = {
	{ "accelerate", module_accelerate, METH_VARARGS, NULL },
	{ "messages", module_messages, METH_VARARGS, NULL },
	{ "attach", module_attach, METH_VARARGS, NULL },
	{ "adopt", module_adopt, METH_O, NULL },
	{ "map", module_map, METH_VARARGS, NULL },
	{ "copy_out", module_copy_out, METH_VARARGS, NULL },
	{ 0 },
};

static PyObject *attachment_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	(void) args;
	(void) keywords;
	return PyErr_Format(PyExc_TypeError, "cannot create %R instances", type);
}

static PyMethodDef attachment_methods[] = {
	{ "checked", attachment_checked, METH_O, NULL },
	{ 0 },
};

static PyGetSetDef attachment_members[] = {
	{ "address", attachment_address, NULL, NULL, NULL },
	{ 0 },
};

static PyType_Slot attachment_slots[] = {
	{ Py_tp_new, attachment_new },
	{ Py_tp_dealloc, attachment_dealloc },
	{ Py_tp_methods, attachment_methods },
	{ Py_tp_getset, attachment_members },
	{ Py_bf_getbuffer, attachment_getbuffer },
	{ 0, NULL },
};

static PyType_Spec attachment_spec = {
	.name = "pyipc._core.Attachment",
	.basicsize = sizeof(struct attachment),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = attachment_slots,
};

static PyType_Slot viewed_slots[] = {
	{ Py_bf_getbuffer, viewed_getbuffer },
	{ 0, NULL },
};

static PyType_Spec viewed_spec = {
	.name = "pyipc._core.Viewed",
	.basicsize = sizeof(PyObject),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.slots = viewed_slots,
};

static PyMethodDef operations_methods[] = {
	{ "run", (PyCFunction) (void (*)(void)) operations_run, METH_FASTCALL | METH_KEYWORDS,
	  "run($self, timeout=None)\n--\n\nDo the operations in one step; see SemaphoreSet.op()." },
	{ 0 },
};

static PyType_Slot operations_slots[] = {
	{ Py_tp_new, operations_new },
	{ Py_tp_dealloc, operations_dealloc },
	{ Py_tp_traverse, operations_traverse },
	{ Py_tp_methods, operations_methods },
	{ 0, NULL },
};

static PyType_Spec operations_spec = {
	.name = "pyipc._core.Operations",
	.basicsize = offsetof(struct operations, ops),
	.itemsize = sizeof(struct pyipc_sem_op),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
	.slots = operations_slots,
};

/* Adds all this to the module that cffi made.  Called once, with the GIL, at import. */
int pyipc_now_add_hot_calls(void)
{
	PyObject *module = PyImport_AddModule("pyipc._core");	/* borrowed */
	PyObject *operations = PyType_FromSpec(&operations_spec);
	PyObject *viewed = PyType_FromSpec(&viewed_spec);

	known.live = PyUnicode_InternFromString("_live");
	known.attachment = PyUnicode_InternFromString("_attachment");
	known.memory = PyUnicode_InternFromString("_memory");
	known.acquire[0] = known.send[2] = known.receive[1] = PyUnicode_InternFromString("timeout");
	known.send[0] = known.write[0] = PyUnicode_InternFromString("data");
	known.send[1] = known.receive[0] = PyUnicode_InternFromString("type");
	known.read[0] = PyUnicode_InternFromString("size");
	known.read[1] = known.write[1] = PyUnicode_InternFromString("offset");
	known.attachment_type = (PyTypeObject *) PyType_FromSpec(&attachment_spec);
	if (!module || !operations || !viewed || !known.attachment_type
	    || PyModule_AddObject(module, "Operations", operations) < 0
	    || PyModule_AddObject(module, "Viewed", viewed) < 0
	    || PyModule_AddFunctions(module, functions) < 0 || pyipc_add_channels(module) < 0
	    || pyipc_add_posix(module) < 0 || pyipc_add_compat() < 0) {
		PyErr_Clear();
		return -ENOMEM;
	}
	return 0;
}

#else

#include "internal.h"

int pyipc_now_add_hot_calls(void)
{
	return -ENOTSUP;
}

#endif
