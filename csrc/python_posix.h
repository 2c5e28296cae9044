/* SPDX-License-Identifier: MIT
 *
 * python_posix.h -- POSIX semaphores and queues, for the files that know Python.
 */
#ifndef PYIPC_PYTHON_POSIX_H
#define PYIPC_PYTHON_POSIX_H

#include "python_pairs.h"

extern const struct hot_call pyipc_posix_calls[];
extern struct pair_class pyipc_posix_messages;

int pyipc_add_posix(PyObject *module);

#endif
