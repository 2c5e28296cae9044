/* SPDX-License-Identifier: MIT
 *
 * python_locks.c -- acquire() and release() of a lock or semaphore, where nothing has to wait.
 *
 * As hot_calls.c, whose rules hold here too.  But to find the lock through its handle would take as long
 * as to acquire it: so each handle has one of these, and its methods in slots of its own.  It keeps the
 * handle's part in the memory, until the handle is closed.
 */
#include <patchlevel.h>		/* PYPY_VERSION */
#include <pyconfig.h>		/* Py_GIL_DISABLED */

#if !defined(PYPY_VERSION) && !defined(Py_GIL_DISABLED)

#include "python_face.h"

struct calls {
	PyObject_HEAD
	struct pyipc_sync *sync;	/* NULL: closed */
	PyObject *member;		/* whose memory that is */
	PyObject *handle;		/* a weak reference */
	int (*try)(struct pyipc_sync *s);
	int (*give)(struct pyipc_sync *s);
};

static struct {
	PyObject *block_and_timeout[2], *calls;		/* names */
	PyTypeObject *type;
} known;

/* With the handle's own method, which starts over. */
static PyObject *by_handle(struct calls *c, const char *name, PyObject *const *args, Py_ssize_t count,
			   PyObject *names)
{
	PyObject *handle = PyWeakref_GetObject(c->handle);	/* borrowed */
	PyObject *method, *result;

	if (!handle || handle == Py_None)
		return PyErr_Format(PyExc_ReferenceError, "the handle is gone");
	Py_INCREF(handle);
	method = PyObject_GetAttrString(handle, name);
	result = method ? start_over(method, args, count, names) : NULL;
	Py_XDECREF(method);
	Py_DECREF(handle);
	return result;
}

/* What makes no difference where nothing has to wait. */
static int plain(PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *given[2];

	if (count == 0 && !names)
		return 1;
	return sort_out(args, count, names, 0, known.block_and_timeout, 2, given)
	       && (!given[0] || given[0] == Py_True || given[0] == Py_False) && plain_timeout(given[1]);
}

static PyObject *acquire(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	struct calls *c = (struct calls *) self;

	if (c->sync && plain(args, count, names) && c->try(c->sync) == 0) {
		Py_INCREF(Py_True);
		return Py_True;
	}
	return by_handle(c, "_py_acquire", args, count, names);
}

static PyObject *release(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	struct calls *c = (struct calls *) self;

	if (c->sync && count == 0 && !names && c->give(c->sync) == 0)
		return none();
	return by_handle(c, "_py_release", args, count, names);
}

/* ---- the same as a `with` block ---- */

/* A new reference, or NULL and an exception. */
static struct calls *calls_of(PyObject *handle)
{
	PyObject *value = PyObject_GetAttr(handle, known.calls);

	if (value && Py_TYPE(value) != known.type) {
		Py_DECREF(value);
		PyErr_SetString(PyExc_TypeError, "this is no handle on a lock");
		return NULL;
	}
	return (struct calls *) value;
}

static PyObject *enter(PyObject *self, PyObject *unused)
{
	struct calls *c = calls_of(self);
	PyObject *result = c ? acquire((PyObject *) c, NULL, 0, NULL) : NULL;

	(void) unused;
	Py_XDECREF((PyObject *) c);
	return result;
}

static PyObject *leave(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	struct calls *c = calls_of(self);
	PyObject *result = c ? release((PyObject *) c, NULL, 0, NULL) : NULL;

	(void) args, (void) count, (void) names;
	Py_XDECREF((PyObject *) c);
	return result;
}

static PyMethodDef block[] = {
	{ "__enter__", enter, METH_NOARGS, NULL },
	{ "__exit__", (PyCFunction) (void (*)(void)) leave, METH_FASTCALL | METH_KEYWORDS, NULL },
	{ 0 },
};

/* lock_block(cls): of its handles, which have a LockCalls in their slot _calls. */
static PyObject *module_lock_block(PyObject *module, PyObject *cls)
{
	(void) module;
	for (PyMethodDef *method = block; method->ml_name; method++) {
		PyObject *descriptor = PyDescr_NewMethod((PyTypeObject *) cls, method);
		int result = descriptor ? PyObject_SetAttrString(cls, method->ml_name, descriptor) : -1;

		Py_XDECREF(descriptor);
		if (result < 0)
			return NULL;
	}
	return none();
}

/* ---- one of these for each handle ---- */

static PyObject *calls_close(PyObject *self, PyObject *unused)
{
	struct calls *c = (struct calls *) self;
	PyObject *member = c->member;

	(void) unused;
	c->sync = NULL;
	c->member = NULL;
	Py_XDECREF(member);
	return none();
}

/* LockCalls(handle, member, address of its struct pyipc_sync). */
static PyObject *calls_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	PyObject *handle, *member, *address;
	struct pyipc_sync *sync;
	struct calls *c;

	(void) keywords;
	if (!PyArg_ParseTuple(args, "OOO", &handle, &member, &address) || !(sync = PyLong_AsVoidPtr(address)))
		return NULL;
	c = (struct calls *) PyType_GenericAlloc(type, 0);
	if (!c)
		return NULL;
	c->handle = PyWeakref_NewRef(handle, NULL);
	if (!c->handle) {
		Py_DECREF((PyObject *) c);
		return NULL;
	}
	Py_INCREF(member);
	c->member = member;
	c->sync = sync;
	c->try = sync->kind == PYIPC_LOCK ? pyipc_now_lock_try : pyipc_now_semaphore_try;
	c->give = sync->kind == PYIPC_LOCK ? pyipc_now_lock_release : pyipc_now_semaphore_release;
	return (PyObject *) c;
}

static void calls_dealloc(PyObject *self)
{
	struct calls *c = (struct calls *) self;
	PyTypeObject *type = Py_TYPE(self);

	Py_XDECREF(c->member);
	Py_XDECREF(c->handle);
	PyObject_Free(self);
	Py_DECREF(type);
}

/* ---- putting them in place ---- */

static PyMethodDef methods[] = {
	{ "acquire", (PyCFunction) (void (*)(void)) acquire, METH_FASTCALL | METH_KEYWORDS,
	  "acquire($self, block=True, timeout=None)\n--\n\n"
	  "Take it; False if that would have to wait, or took longer than *timeout* seconds." },
	{ "release", (PyCFunction) (void (*)(void)) release, METH_FASTCALL | METH_KEYWORDS,
	  "release($self)\n--\n\nGive it back, and wake one who waits for it." },
	{ "close", calls_close, METH_NOARGS, NULL },
	{ 0 },
};

static PyMethodDef functions[] = {
	{ "lock_block", module_lock_block, METH_O, NULL },
	{ 0 },
};

static PyType_Slot slots[] = {
	{ Py_tp_new, calls_new },
	{ Py_tp_dealloc, calls_dealloc },
	{ Py_tp_methods, methods },
	{ 0, NULL },
};

static PyType_Spec spec = {
	.name = "pyipc._core.LockCalls",
	.basicsize = sizeof(struct calls),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = slots,
};

/* Adds all this to the module that cffi made.  Called once, with the GIL, at import. */
int pyipc_now_add_lock_calls(void)
{
	PyObject *module = PyImport_AddModule("pyipc._core");	/* borrowed */
	PyObject *type = PyType_FromSpec(&spec);

	known.block_and_timeout[0] = PyUnicode_InternFromString("block");
	known.block_and_timeout[1] = PyUnicode_InternFromString("timeout");
	known.calls = PyUnicode_InternFromString("_calls");
	known.type = (PyTypeObject *) type;
	if (!module || !type || PyModule_AddFunctions(module, functions) < 0
	    || PyModule_AddObject(module, "LockCalls", type) < 0) {
		PyErr_Clear();
		return -ENOMEM;
	}
	return 0;
}

#else

#include "internal.h"

int pyipc_now_add_lock_calls(void)
{
	return -ENOTSUP;
}

#endif
