/* SPDX-License-Identifier: MIT
 *
 * python_compat.h -- the door of sysv_ipc, for the files that know Python.
 */
#ifndef PYIPC_PYTHON_COMPAT_H
#define PYIPC_PYTHON_COMPAT_H

#include "python_face.h"

extern const struct hot_call pyipc_compat_calls[];

int pyipc_add_compat(void);

#endif
