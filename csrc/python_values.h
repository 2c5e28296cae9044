/* SPDX-License-Identifier: MIT
 *
 * python_values.h -- the calls of python_values.c, which hot_calls.c puts in place.
 */
#ifndef PYIPC_PYTHON_VALUES_H
#define PYIPC_PYTHON_VALUES_H

#include "python_face.h"

PyObject *pyipc_python_add(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names);
PyObject *pyipc_python_set(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names);
PyObject *pyipc_python_get(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names);

#endif
