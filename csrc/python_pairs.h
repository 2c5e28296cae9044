/* SPDX-License-Identifier: MIT
 *
 * python_pairs.h -- a message as Python has it: its bytes and a number, in a class of Python's own.
 */
#ifndef PYIPC_PYTHON_PAIRS_H
#define PYIPC_PYTHON_PAIRS_H

#include "python_face.h"

struct pair_class {
	PyTypeObject *type;
	int is_plain;		/* one can be made by filling it in */
	PyObject *last;		/* the last one that was short, or NULL */
};

void pyipc_pair_class(struct pair_class *ret_pairs, PyObject *type);
PyObject *pyipc_tuple(const char *data, int64_t size, int64_t number);
PyObject *pyipc_pair(struct pair_class *pairs, const char *data, int64_t size, int64_t number);

#endif
