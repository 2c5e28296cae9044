/* SPDX-License-Identifier: MIT
 *
 * python_fifos.c -- a thin CPython face on reads and writes of fifos.
 *
 * What was read cannot be put back: so it is among what its reader has before any Python runs, and a signal
 * handler that raises loses none of it.
 */
#include <patchlevel.h>		/* PYPY_VERSION */
#include <pyconfig.h>		/* Py_GIL_DISABLED */

#if !defined(PYPY_VERSION) && !defined(Py_GIL_DISABLED)

#include "python_descriptors.h"

enum { MOST_AT_ONCE = 65536 };	/* MOST of fifo.c */

/* Of bytes that were made for more than came. */
static PyObject *first_of(PyObject *bytes, Py_ssize_t size)
{
	PyObject *first;

	if (PyBytes_Size(bytes) == size)
		return bytes;
	first = PyBytes_FromStringAndSize(PyBytes_AsString(bytes), size);
	Py_DECREF(bytes);
	return first;
}

/* fifo_read(fifo, into, size): how many bytes came, which are at the end of this list, or -errno. */
static PyObject *module_fifo_read(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
	PyObject *came;
	Py_ssize_t size;
	int64_t got;

	(void) module;
	if (count != 3 || !is_descriptor(args[0]) || !PyList_Check(args[1])) {
		PyErr_SetString(PyExc_TypeError, "a handle on a fifo, a list and a size");
		return NULL;
	}
	size = PyLong_AsSsize_t(args[2]);
	if (PyErr_Occurred())
		return NULL;
	came = PyBytes_FromStringAndSize(NULL, size < MOST_AT_ONCE ? size : MOST_AT_ONCE);
	if (!came)
		return NULL;
	got = pyipc_now_fifo_read(&((struct descriptor *) args[0])->number, PyBytes_AsString(came),
				  (uint64_t) PyBytes_Size(came));
	came = got > 0 ? first_of(came, (Py_ssize_t) got) : came;
	if (got > 0 && (!came || PyList_Append(args[1], came) < 0))
		got = -ENOMEM;
	Py_XDECREF(came);
	return PyErr_Occurred() ? NULL : PyLong_FromLongLong(got);
}

/* fifo_write(fifo, data): how many bytes went, or -errno. */
static PyObject *module_fifo_write(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
	(void) module;
	return pyipc_write_by(pyipc_now_fifo_write, args, count);
}

static PyMethodDef functions[] = {
	{ "fifo_read", (PyCFunction) (void (*)(void)) module_fifo_read, METH_FASTCALL, NULL },
	{ "fifo_write", (PyCFunction) (void (*)(void)) module_fifo_write, METH_FASTCALL, NULL },
	{ 0 },
};

int pyipc_add_fifos(PyObject *module)
{
	return PyModule_AddFunctions(module, functions);
}

#endif
