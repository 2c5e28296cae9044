/* SPDX-License-Identifier: MIT
 *
 * python_queues.c -- what CPython sees of a queue: put() and get() where nothing has to wait; hot_calls.c
 * says why, and by which rules.
 */
#include <patchlevel.h>		/* PYPY_VERSION */
#include <pyconfig.h>		/* Py_GIL_DISABLED */

#if !defined(PYPY_VERSION) && !defined(Py_GIL_DISABLED)

#include "python_channels.h"

static struct {
	PyObject *channel;				/* attribute */
	PyObject *put[3], *get[2];			/* of their arguments */
	PyObject *dumps, *loads, *loads_in_place;	/* of channels/objects.py, and the pickle of bytes */
} known;

static int plain_block(PyObject *block)
{
	return !block || block == Py_True || block == Py_False;
}

/* A new reference, or NULL without an exception. */
static PyObject *channel_of(PyObject *queue)
{
	PyObject *channel = PyObject_GetAttr(queue, known.channel);

	PyErr_Clear();
	return channel;
}

/* What was pickled is not pickled again. */
static PyObject *put_pickled(PyObject *self, PyObject *channel, PyObject *pickled, PyObject *block, PyObject *timeout)
{
	PyObject *data = PyTuple_GetItem(pickled, 0), *buffers = PyTuple_GetItem(pickled, 1);	/* borrowed */
	struct face *f = buffers && PyList_Size(buffers) == 0 ? pyipc_face_of(channel) : NULL;
	int sent = f && pyipc_send_one(f->c, data) == 1;

	Py_XDECREF((PyObject *) f);
	if (sent)
		return none();
	PyErr_Clear();
	return PyObject_CallMethod(self, "_put_pickled", "OOOO", data, buffers, block ? block : Py_True,
				   timeout ? timeout : Py_None);
}

static PyObject *put(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *given[3];	/* obj, block, timeout */
	PyObject *channel = NULL, *pickled, *result;

	if (sort_out(args, count, names, 1, known.put, 3, given) && given[0] && plain_block(given[1])
	    && plain_timeout(given[2]))
		channel = channel_of(self);
	if (!channel)
		return in_python(self, "_py_put", args, count, names);
	pickled = PyObject_CallFunctionObjArgs(known.dumps, given[0], NULL);
	result = pickled ? put_pickled(self, channel, pickled, given[1], given[2]) : NULL;
	Py_XDECREF(pickled);
	Py_DECREF(channel);
	return result;
}

static PyObject *get(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *given[2];	/* block, timeout */
	PyObject *channel = NULL, *data = NULL, *result;
	struct face *f = NULL;

	if (sort_out(args, count, names, 0, known.get, 2, given) && plain_block(given[0]) && plain_timeout(given[1]))
		channel = channel_of(self);
	if (channel)
		f = pyipc_face_of(channel);
	if (f)
		data = pyipc_receive_data(channel, f, given[0] == Py_False ? Py_False : given[1]);
	Py_XDECREF((PyObject *) f);
	Py_XDECREF(channel);
	if (!data)
		return PyErr_Occurred() ? NULL : in_python(self, "_py_get", args, count, names);
	result = PyObject_CallFunctionObjArgs(PyBytes_CheckExact(data) ? known.loads : known.loads_in_place, data, NULL);
	Py_DECREF(data);
	return result;
}

/* objects_face(dumps, loads of bytes, loads in place) */
static PyObject *module_objects_face(PyObject *module, PyObject *args)
{
	(void) module;
	if (!PyArg_ParseTuple(args, "OOO", &known.dumps, &known.loads, &known.loads_in_place))
		return NULL;
	Py_INCREF(known.dumps);
	Py_INCREF(known.loads);
	Py_INCREF(known.loads_in_place);
	return none();
}

static PyMethodDef functions[] = {
	{ "objects_face", module_objects_face, METH_VARARGS, NULL },
	{ 0 },
};

const struct hot_call pyipc_queue_calls[] = {
	{ "queue.put", put, "($self, obj, block=True, timeout=None)" },
	{ "queue.get", get, "($self, block=True, timeout=None)" },
	{ 0 },
};

int pyipc_add_queues(PyObject *module)
{
	known.channel = PyUnicode_InternFromString("_channel");
	known.put[0] = PyUnicode_InternFromString("obj");
	known.put[1] = known.get[0] = PyUnicode_InternFromString("block");
	known.put[2] = known.get[1] = PyUnicode_InternFromString("timeout");
	return PyModule_AddFunctions(module, functions);
}

#endif
