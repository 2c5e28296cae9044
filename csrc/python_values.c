/* SPDX-License-Identifier: MIT
 *
 * python_values.c -- a thin CPython face on counters and on the latest value; hot_calls.c says why, and
 * by which rules.
 *
 * The handle has an int, where the counter or the state of the cell lies: 0 once it is closed, and
 * before that memory goes.  Who may let go of the GIL holds the handle's part in it meanwhile.
 */
#include <patchlevel.h>		/* PYPY_VERSION */
#include <pyconfig.h>		/* Py_GIL_DISABLED */

#if !defined(PYPY_VERSION) && !defined(Py_GIL_DISABLED)

#include "python_values.h"

/* Names that never change once they are made. */
static PyObject *known(const char *name, PyObject **kept)
{
	if (!*kept)
		*kept = PyUnicode_InternFromString(name);
	return *kept;
}

static void *address_of(PyObject *handle)
{
	static PyObject *kept;
	PyObject *name = known("_address", &kept);
	PyObject *value = name ? PyObject_GetAttr(handle, name) : NULL;
	void *address = value ? PyLong_AsVoidPtr(value) : NULL;

	Py_XDECREF(value);
	if (!address)
		PyErr_Clear();
	return address;
}

/* Its state stays for as long as we have it. */
static PyObject *part_of(PyObject *handle)
{
	static PyObject *kept;
	PyObject *name = known("_member", &kept);
	PyObject *part = name ? PyObject_GetAttr(handle, name) : NULL;

	if (!part)
		PyErr_Clear();
	return part;
}

/* A number for the answer, unless the call has to start over. */
static PyObject *number_or(int64_t number, PyObject *self, const char *name, PyObject *const *args, Py_ssize_t count,
			   PyObject *names)
{
	return number >= 0 ? PyLong_FromLongLong(number) : in_python(self, name, args, count, names);
}

static PyObject *add(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	int64_t *counters = address_of(self);
	long long n;

	if (counters && count <= 1 && !names && plain_number(count ? args[0] : NULL, 1, &n))
		return PyLong_FromLongLong(pyipc_now_counter_add(counters, 0, n));
	return in_python(self, "_py_add", args, count, names);
}

static PyObject *set(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	struct pyipc_cell *c = address_of(self);
	int64_t version = -EAGAIN;

	if (c && count == 1 && !names && PyBytes_CheckExact(args[0]) && PyBytes_Size(args[0]) <= COPY_WITH_GIL)
		version = pyipc_now_cell_set(c, PyBytes_AsString(args[0]), (uint64_t) PyBytes_Size(args[0]));
	return number_or(version, self, "_py_set", args, count, names);
}

/* The version; negative too if the newest value has another size by now. */
static int64_t copy_value(const struct pyipc_cell *c, PyObject *bytes)
{
	char *into = PyBytes_AsString(bytes);
	uint64_t room = (uint64_t) PyBytes_Size(bytes), size = 0;
	int64_t version;

	if (room <= COPY_WITH_GIL) {
		version = pyipc_now_cell_get(c, into, room, &size);
	} else {
		Py_BEGIN_ALLOW_THREADS
		version = pyipc_cell_get(c, into, room, &size);
		Py_END_ALLOW_THREADS
	}
	return size == room ? version : -EAGAIN;
}

/* To make an object may run the garbage collector, and so any Python code: it may close the handle. */
static PyObject *value_of(const struct pyipc_cell *c)
{
	int64_t size = pyipc_now_cell_size(c), version = -1;
	PyObject *bytes = size >= 0 ? PyBytes_FromStringAndSize(NULL, size) : NULL;
	PyObject *pair = bytes ? PyTuple_New(2) : NULL;
	PyObject *number = NULL;

	if (pair && (version = copy_value(c, bytes)) >= 0)
		number = PyLong_FromLongLong(version);
	if (number) {
		(void) PyTuple_SetItem(pair, 0, bytes);
		(void) PyTuple_SetItem(pair, 1, number);
		return pair;
	}
	Py_XDECREF(bytes);
	Py_XDECREF(pair);
	PyErr_Clear();
	return NULL;
}

static PyObject *get(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *part = count == 0 && !names ? part_of(self) : NULL;
	struct pyipc_cell *c = part ? address_of(self) : NULL;
	PyObject *pair = c ? value_of(c) : NULL;

	Py_XDECREF(part);
	return pair ? pair : in_python(self, "_py_get", args, count, names);
}

const struct hot_call pyipc_value_calls[] = {
	{ "counter.add", add, "($self, n=1)" },
	{ "latest.set", set, "($self, data, timeout=None)" },
	{ "latest.get", get, "($self)" },
	{ 0 },
};

#endif
