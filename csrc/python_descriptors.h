/* SPDX-License-Identifier: MIT
 *
 * python_descriptors.h -- the owner of a descriptor, for the files that make some.
 */
#ifndef PYIPC_PYTHON_DESCRIPTORS_H
#define PYIPC_PYTHON_DESCRIPTORS_H

#include "python_face.h"

struct descriptor {
	PyObject_HEAD
	int32_t number;		/* -1: none; set as soon as the object is there, for 0 is one */
};

extern PyTypeObject *pyipc_descriptor_type;

int pyipc_add_messages(PyObject *module);
int pyipc_add_terminals(PyObject *module);
int pyipc_add_connections(PyObject *module);
int pyipc_add_fifos(PyObject *module);

extern const struct hot_call pyipc_terminal_calls[];

static inline int is_descriptor(PyObject *object)
{
	return PyObject_TypeCheck(object, pyipc_descriptor_type);
}

/* NAME(handle, bytes), by this call: what it says. */
PyObject *pyipc_write_by(int64_t (*write_some)(const int32_t *fd, const char *data, uint64_t size),
			 PyObject *const *args, Py_ssize_t count);

/* With the GIL held, an exchange need not be atomic, which costs six times as much. */
static inline int taken(int32_t *number)
{
	int old = *number;

	*number = -1;
	return old;
}

static inline PyObject *with_number(PyTypeObject *type, int number)
{
	struct descriptor *d = (struct descriptor *) PyType_GenericAlloc(type, 0);

	if (d)
		d->number = number;
	return (PyObject *) d;
}

#endif
