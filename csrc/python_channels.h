/* SPDX-License-Identifier: MIT
 *
 * python_channels.h -- channels, for the files that know Python.
 */
#ifndef PYIPC_PYTHON_CHANNELS_H
#define PYIPC_PYTHON_CHANNELS_H

#include "python_face.h"

extern const struct hot_call pyipc_channel_calls[];

int pyipc_add_channels(PyObject *module);

#endif
