/* SPDX-License-Identifier: MIT
 *
 * python_channels.h -- channels, for the files that know Python.
 */
#ifndef PYIPC_PYTHON_CHANNELS_H
#define PYIPC_PYTHON_CHANNELS_H

#include "python_face.h"

/* What C knows of a handle, while it is open. */
struct face {
	PyObject_HEAD
	PyObject *member;	/* keeps the memory */
	PyObject *pipes;
	struct pyipc_channel *c;
};

/* A new reference, or NULL: the handle is closed. */
struct face *pyipc_face_of(PyObject *handle);

/* The next message, as a Loan, or as a Message of this handle; NULL if there is none at once, or it cannot
 * be taken for any other reason. */
PyObject *pyipc_take_loan(const struct face *f, int keep);
PyObject *pyipc_take_message(PyObject *end, const struct face *f);

/* A copy of what a Loan has. */
PyObject *pyipc_loan_bytes(PyObject *loan);

/* 1 if it was sent, without waiting.  What does not fit into a slot is sent without the GIL. */
int64_t pyipc_send_one(struct pyipc_channel *c, PyObject *message);

/* The next message: bytes, or its memory; NULL without an exception to start over in Python.  It waits here
 * only if the timeout is NULL or None. */
PyObject *pyipc_receive_data(PyObject *channel, struct face *f, PyObject *timeout);

extern const struct hot_call pyipc_channel_calls[], pyipc_loan_calls[], pyipc_queue_calls[];

int pyipc_add_channels(PyObject *module);
int pyipc_add_loans(PyObject *module);
int pyipc_add_queues(PyObject *module);

#endif
