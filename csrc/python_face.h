/* SPDX-License-Identifier: MIT
 *
 * python_face.h -- what the files that know Python share: CPython's stable ABI, and how a call of the
 * common form is told from others.
 */
#ifndef PYIPC_PYTHON_FACE_H
#define PYIPC_PYTHON_FACE_H

#define Py_LIMITED_API 0x03090000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <string.h>

#include "internal.h"

/* In CPython since 3.7 and unchanged; a part of the stable ABI, by name, only from 3.10 on. */
#ifndef METH_FASTCALL
#define METH_FASTCALL 0x0080
#endif

typedef PyObject *(*fast_call)(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names);

/* Copies up to this size keep the GIL: _COPY_WITH_GIL in _backend/native_*.py. */
enum { COPY_WITH_GIL = 65536 };

static inline void copy(char *to, const char *from, int64_t size)
{
	if (size <= COPY_WITH_GIL) {
		memcpy(to, from, (size_t) size);
		return;
	}
	Py_BEGIN_ALLOW_THREADS
	memcpy(to, from, (size_t) size);
	Py_END_ALLOW_THREADS
}

static inline PyObject *copy_out(const char *from, int64_t size)
{
	PyObject *bytes = PyBytes_FromStringAndSize(NULL, size);

	if (bytes)
		copy(PyBytes_AsString(bytes), from, size);
	return bytes;
}

static inline PyObject *none(void)
{
	Py_INCREF(Py_None);
	return Py_None;
}

/* Start over in Python, with the same arguments. */
static inline PyObject *start_over(PyObject *python, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	Py_ssize_t named = names ? PyTuple_Size(names) : 0;
	PyObject *positional = PyTuple_New(count);
	PyObject *keywords = named ? PyDict_New() : NULL;
	PyObject *result = NULL;

	if (!positional || (named && !keywords))
		goto done;
	for (Py_ssize_t i = 0; i < count; i++) {
		Py_INCREF(args[i]);
		if (PyTuple_SetItem(positional, i, args[i]) < 0)
			goto done;
	}
	for (Py_ssize_t i = 0; i < named; i++)
		if (PyDict_SetItem(keywords, PyTuple_GetItem(names, i), args[count + i]) < 0)
			goto done;
	result = PyObject_Call(python, positional, keywords);
done:
	Py_XDECREF(positional);
	Py_XDECREF(keywords);
	return result;
}

/* Start over in Python: the method _py_NAME, with the same arguments. */
static inline PyObject *in_python(PyObject *self, const char *name, PyObject *const *args, Py_ssize_t count,
				  PyObject *names)
{
	PyObject *method = PyObject_GetAttrString(self, name);
	PyObject *result = method ? start_over(method, args, count, names) : NULL;

	Py_XDECREF(method);
	return result;
}

/* Sort the arguments into ret_given, by position or by name; 0 if one of them is not among the
 * first few that a plain call may have (most of them), or was not given though it is needed. */
static inline int sort_out(PyObject *const *args, Py_ssize_t count, PyObject *names, Py_ssize_t needed,
		    PyObject *const *known_names, Py_ssize_t most, PyObject **ret_given)
{
	Py_ssize_t named = names ? PyTuple_Size(names) : 0;
	Py_ssize_t place;

	if (count < needed || count > most)
		return 0;
	for (place = 0; place < most; place++)
		ret_given[place] = place < count ? args[place] : NULL;
	for (Py_ssize_t i = 0; i < named; i++) {
		for (place = count; place < most; place++)
			if (PyTuple_GetItem(names, i) == known_names[place])
				break;
		if (place == most)
			return 0;
		ret_given[place] = args[count + i];
	}
	return 1;
}

/* A timeout that Python would accept, and that does not matter as long as nothing has to wait. */
static inline int plain_timeout(PyObject *timeout)
{
	if (!timeout || timeout == Py_None)
		return 1;
	if (PyLong_CheckExact(timeout)) {
		long long seconds = PyLong_AsLongLong(timeout);

		if (seconds != -1 || !PyErr_Occurred())
			return seconds >= 0;
		PyErr_Clear();
		return 0;
	}
	return PyFloat_CheckExact(timeout) && PyFloat_AsDouble(timeout) >= 0;
}

/* An int that fits, or its default if none was given; 0 if it is something else. */
static inline int plain_number(PyObject *value, long long by_default, long long *ret_number)
{
	*ret_number = by_default;
	if (!value)
		return 1;
	if (!PyLong_CheckExact(value))
		return 0;
	*ret_number = PyLong_AsLongLong(value);
	if (*ret_number != -1 || !PyErr_Occurred())
		return 1;
	PyErr_Clear();
	return 0;
}

/* Heap types may export buffers since 3.9, and Py_buffer has not changed since 3.3, but
 * the limited API has it, by name, only from 3.11 on.  This is its layout. */
#ifndef Py_bf_getbuffer
#define Py_bf_getbuffer 1
#endif
enum { WANTS_WRITABLE = 0x1, WANTS_FORMAT = 0x4, WANTS_SHAPE = 0x8, WANTS_STRIDES = 0x18 };
struct buffer {
	void *buf;
	PyObject *obj;
	Py_ssize_t len, itemsize;
	int readonly, ndim;
	char *format;
	Py_ssize_t *shape, *strides, *suboffsets;
	void *internal;
};

static inline int export_bytes(struct buffer *view, PyObject *self, char *bytes, Py_ssize_t size, int read_only,
			       int flags)
{
	Py_INCREF(self);
	*view = (struct buffer){
		.buf = bytes,
		.obj = self,
		.len = size,
		.itemsize = 1,
		.readonly = read_only,
		.ndim = 1,
		.format = flags & WANTS_FORMAT ? (char *) "B" : NULL,	/* never written */
	};
	if (flags & WANTS_SHAPE)
		view->shape = &view->len;
	if ((flags & WANTS_STRIDES) == WANTS_STRIDES)
		view->strides = &view->itemsize;
	return 0;
}

/* C that stands in for the common form of a method. */
struct hot_call {
	const char *name;
	fast_call call;
	const char *signature;
};

#endif
