/* SPDX-License-Identifier: MIT
 *
 * python_values.h -- counters and the latest value, for the files that know Python.
 */
#ifndef PYIPC_PYTHON_VALUES_H
#define PYIPC_PYTHON_VALUES_H

#include "python_face.h"

extern const struct hot_call pyipc_value_calls[];

#endif
