/* SPDX-License-Identifier: MIT
 *
 * python_pairs.c -- how such a message is made.
 */
#include <patchlevel.h>		/* PYPY_VERSION */
#include <pyconfig.h>		/* Py_GIL_DISABLED */

#if !defined(PYPY_VERSION) && !defined(Py_GIL_DISABLED)

#include "python_pairs.h"

enum { SHORT = 512 };	/* bytes */

/* Of these two, which it takes over. */
static PyObject *pair_of(PyObject *bytes, PyObject *number, PyTypeObject *type)
{
	PyObject *pair = type ? PyType_GenericAlloc(type, 2) : PyTuple_New(2);

	if (pair && bytes && number) {
		(void) PyTuple_SetItem(pair, 0, bytes);
		(void) PyTuple_SetItem(pair, 1, number);
		return pair;
	}
	Py_XDECREF(pair);
	Py_XDECREF(bytes);
	Py_XDECREF(number);
	return NULL;
}

/* May one be made by filling it in?  Not where tuples keep more than their items: newer CPythons keep the
 * hash, too, which only their own constructor knows to leave open. */
static int is_plain(PyTypeObject *type)
{
	PyObject *made = pair_of(PyBytes_FromStringAndSize("?", 1), PyLong_FromLong(1), type);
	PyObject *right = pair_of(PyBytes_FromStringAndSize("?", 1), PyLong_FromLong(1), NULL);
	int plain = made && right && PyObject_Hash(made) == PyObject_Hash(right);

	Py_XDECREF(made);
	Py_XDECREF(right);
	PyErr_Clear();
	return plain;
}

/* It is kept for as long as the process lives. */
void pyipc_pair_class(struct pair_class *ret_pairs, PyObject *type)
{
	Py_INCREF(type);
	ret_pairs->type = (PyTypeObject *) type;
	ret_pairs->is_plain = is_plain(ret_pairs->type);
	Py_CLEAR(ret_pairs->last);
}

/* To make an object and to unmake it costs a tenth of a short message's way.  So the last one is kept, and
 * if nobody else has it any more it is filled in again, as zip() does; what is long is not kept for that. */
static PyObject *short_pair(struct pair_class *pairs, PyObject *bytes, PyObject *number)
{
	PyObject *pair = pairs->last, *old;

	if (pair && Py_REFCNT(pair) == 1 && Py_TYPE(pair) == pairs->type && bytes && number) {
		(void) PyTuple_SetItem(pair, 0, bytes);
		(void) PyTuple_SetItem(pair, 1, number);
		Py_INCREF(pair);
		return pair;
	}
	pair = pair_of(bytes, number, pairs->type);	/* may collect garbage, and so run anything, us too */
	old = pairs->last;
	Py_XINCREF(pair);
	pairs->last = pair;
	Py_XDECREF(old);
	return pair;
}

/* A mere tuple of them. */
PyObject *pyipc_tuple(const char *data, int64_t size, int64_t number)
{
	return pair_of(PyBytes_FromStringAndSize(data, size), PyLong_FromLongLong(number), NULL);
}

PyObject *pyipc_pair(struct pair_class *pairs, const char *data, int64_t size, int64_t number)
{
	PyObject *bytes = PyBytes_FromStringAndSize(data, size);
	PyObject *integer = PyLong_FromLongLong(number);
	PyObject *pair, *result;

	if (pairs->is_plain)
		return size <= SHORT ? short_pair(pairs, bytes, integer) : pair_of(bytes, integer, pairs->type);
	pair = pair_of(bytes, integer, NULL);
	result = pair ? PyObject_CallFunctionObjArgs((PyObject *) pairs->type, pair, NULL) : NULL;
	Py_XDECREF(pair);
	return result;
}

#endif
