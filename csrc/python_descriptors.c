/* SPDX-License-Identifier: MIT
 *
 * python_descriptors.c -- the owner of a descriptor as a CPython type, a base of handles.
 *
 * A signal handler may raise between any two calls, so to close, to give away and to take over are
 * one each.  Where this file cannot serve, on PyPy and without a GIL, native_descriptors.py does it.
 */
#include <patchlevel.h>		/* PYPY_VERSION */
#include <pyconfig.h>		/* Py_GIL_DISABLED */

#if !defined(PYPY_VERSION) && !defined(Py_GIL_DISABLED)

#include "python_descriptors.h"

PyTypeObject *pyipc_descriptor_type;

static PyObject *descriptor_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	(void) args;
	(void) keywords;
	return with_number(type, -1);
}

static int close_without_gil(int32_t *number)
{
	int32_t closing = taken(number);
	int result = 0;

	if (closing >= 0) {
		Py_BEGIN_ALLOW_THREADS
		result = pyipc_fd_close(&closing);
		Py_END_ALLOW_THREADS
	}
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
	return PyLong_FromLong(taken(&((struct descriptor *) self)->number));
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

/* ---- putting them in place ---- */

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

PyObject *pyipc_write_by(int64_t (*write_some)(const int32_t *fd, const char *data, uint64_t size),
			 PyObject *const *args, Py_ssize_t count)
{
	if (count != 2 || !is_descriptor(args[0]) || !PyBytes_Check(args[1])) {
		PyErr_SetString(PyExc_TypeError, "a handle, and bytes");
		return NULL;
	}
	return PyLong_FromLongLong(write_some(&((struct descriptor *) args[0])->number, PyBytes_AsString(args[1]),
					      (uint64_t) PyBytes_Size(args[1])));
}

/* Adds all this to the module that cffi made.  Called once, with the GIL, at import. */
int pyipc_now_add_descriptors(void)
{
	PyObject *module = PyImport_AddModule("pyipc._core");	/* borrowed */
	PyObject *type = PyType_FromSpec(&descriptor_spec);

	pyipc_descriptor_type = (PyTypeObject *) type;
	if (!module || !type || pyipc_add_messages(module) < 0 || pyipc_add_terminals(module) < 0
	    || pyipc_add_connections(module) < 0 || pyipc_add_fifos(module) < 0) {
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
