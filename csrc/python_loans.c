/* SPDX-License-Identifier: MIT
 *
 * python_loans.c -- what CPython sees of a channel's memory that is lent: messages where they lie, and
 * reservations.
 *
 * The rules are those of hot_calls.c, but for the first: what is done here without waiting may copy a lot,
 * or ask the kernel for memory, and so lets go of the GIL.
 */
#include <patchlevel.h>		/* PYPY_VERSION */
#include <pyconfig.h>		/* Py_GIL_DISABLED */

#if !defined(PYPY_VERSION) && !defined(Py_GIL_DISABLED)

#include <stddef.h>
#include <string.h>

#include "python_channels.h"

static struct {
	PyObject *end, *loan, *redelivered, *size;	/* attributes */
	PyObject *reserve[2], *commit[2], *peek[1];	/* of their arguments */
	PyTypeObject *loan_type, *message_type, *reservation_type;
} known;

/* ---- the owner of an extent ---- */

/* The exporter at the bottom of every view, which gives the memory back in its destructor.  It is there
 * before the call that takes something, which C writes into it: so a signal handler that raises finds it
 * owned. */
struct loan {
	PyObject_HEAD
	PyObject *keeps;	/* the memory */
	struct pyipc_channel *c;
	struct pyipc_loan what;
};

enum { NOTHING = PYIPC_CHANNEL_EXTENTS };

static void loan_dealloc(PyObject *self)
{
	struct loan *l = (struct loan *) self;
	PyTypeObject *type = Py_TYPE(self);

	if (l->c && l->what.extent != NOTHING)
		(void) pyipc_now_channel_drop(l->c, l->what.extent);
	Py_XDECREF(l->keeps);
	PyObject_Free(self);
	Py_DECREF(type);
}

static struct loan *loan_made(PyTypeObject *type, PyObject *keeps, struct pyipc_channel *c)
{
	struct loan *l = (struct loan *) PyType_GenericAlloc(type, 0);

	if (l) {
		Py_INCREF(keeps);
		l->keeps = keeps;
		l->what.extent = NOTHING;
		l->c = c;
	}
	return l;
}

/* Loan(keeps, address of the struct pyipc_channel) */
static PyObject *loan_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	unsigned long long address;
	PyObject *keeps;

	(void) keywords;
	if (!PyArg_ParseTuple(args, "OK", &keeps, &address))
		return NULL;
	return (PyObject *) loan_made(type, keeps, (struct pyipc_channel *) (uintptr_t) address);
}

static int loan_getbuffer(PyObject *self, struct buffer *view, int flags)
{
	struct loan *l = (struct loan *) self;

	return export_bytes(view, self, l->c->memory + l->what.at, (Py_ssize_t) l->what.size, 0, flags);
}

static PyObject *loan_view(PyObject *self, PyObject *unused)
{
	(void) unused;
	return PyMemoryView_FromObject(self);
}

static PyObject *loan_forget(PyObject *self, PyObject *unused)
{
	(void) unused;
	((struct loan *) self)->what.extent = NOTHING;
	return none();
}

/* 0, or -errno. */
static PyObject *loan_acknowledge(PyObject *self, PyObject *unused)
{
	struct loan *l = (struct loan *) self;

	(void) unused;
	return PyLong_FromLong(pyipc_now_channel_acknowledge(l->c, l->what.extent));
}

/* A message that was kept goes to another receiver.  It is forgotten first, since we may be the one who
 * gets it next; and in one call, lest a handler that raises come in between. */
static PyObject *loan_give_back(PyObject *self, PyObject *unused)
{
	struct loan *l = (struct loan *) self;
	uint32_t extent = l->what.extent;

	(void) unused;
	l->what.extent = NOTHING;
	Py_BEGIN_ALLOW_THREADS
	if (pyipc_channel_return(l->c, extent) < 0)
		(void) pyipc_now_channel_drop(l->c, extent);
	Py_END_ALLOW_THREADS
	return none();
}

static PyObject *loan_address(PyObject *self, void *closure)
{
	(void) closure;
	return PyLong_FromVoidPtr(&((struct loan *) self)->what);
}

static PyObject *loan_redelivered(PyObject *self, void *closure)
{
	(void) closure;
	return PyBool_FromLong(((struct loan *) self)->what.redelivered != 0);
}

/* ---- taking and reserving ---- */

static struct loan *loan_by(const struct face *f)
{
	return loan_made(known.loan_type, f->member, f->c);
}

/* A new Message or Reservation, filled in as its __init__ does. */
static PyObject *lent(PyTypeObject *type, PyObject *end, struct loan *l, PyObject *name, PyObject *value)
{
	PyObject *result = value ? PyType_GenericAlloc(type, 0) : NULL;

	if (result && (PyObject_SetAttr(result, known.end, end) < 0
		       || PyObject_SetAttr(result, known.loan, (PyObject *) l) < 0
		       || PyObject_SetAttr(result, name, value) < 0)) {
		Py_DECREF(result);
		result = NULL;
	}
	Py_XDECREF(value);
	return result;
}

PyObject *pyipc_take_loan(const struct face *f, int keep)
{
	struct loan *l = loan_by(f);
	int result = -EAGAIN;

	if (l && pyipc_now_channel_look(f->c, 1)) {
		Py_BEGIN_ALLOW_THREADS
		result = pyipc_channel_take(f->c, keep, 0, &l->what);
		Py_END_ALLOW_THREADS
	}
	if (l && result < 0) {
		Py_DECREF((PyObject *) l);
		l = NULL;
	}
	PyErr_Clear();
	return (PyObject *) l;
}

PyObject *pyipc_loan_bytes(PyObject *loan)
{
	const struct loan *l = (struct loan *) loan;

	return copy_out(l->c->memory + l->what.at, (int64_t) l->what.size);
}

PyObject *pyipc_take_message(PyObject *end, const struct face *f)
{
	struct loan *l = (struct loan *) pyipc_take_loan(f, 1);
	PyObject *message;

	if (!l)
		return NULL;
	message = lent(known.message_type, end, l, known.redelivered, PyBool_FromLong(l->what.redelivered != 0));
	Py_DECREF((PyObject *) l);
	return message;
}

static PyObject *peek(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *given[1];	/* timeout */
	struct face *f = NULL;
	PyObject *message = NULL;

	if (sort_out(args, count, names, 0, known.peek, 1, given) && plain_timeout(given[0]))
		f = pyipc_face_of(self);
	if (f)
		message = pyipc_take_message(self, f);
	Py_XDECREF((PyObject *) f);
	return message || PyErr_Occurred() ? message : in_python(self, "_py_peek", args, count, names);
}

static PyObject *reserve(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *given[2];	/* size, timeout */
	struct face *f = NULL;
	struct loan *l = NULL;
	PyObject *reservation = NULL;
	long long size;
	int result = -EAGAIN;

	if (sort_out(args, count, names, 1, known.reserve, 2, given) && plain_number(given[0], 0, &size)
	    && size >= 0 && plain_timeout(given[1]))
		f = pyipc_face_of(self);
	if (f && (l = loan_by(f))) {
		Py_BEGIN_ALLOW_THREADS
		result = pyipc_channel_reserve(f->c, (uint64_t) size, 0, &l->what);
		Py_END_ALLOW_THREADS
	}
	if (result == 0)
		reservation = lent(known.reservation_type, self, l, known.size, PyLong_FromLongLong(size));
	Py_XDECREF((PyObject *) l);
	Py_XDECREF((PyObject *) f);
	return reservation || PyErr_Occurred() ? reservation : in_python(self, "_py_reserve", args, count, names);
}

/* ---- messages and reservations ---- */

/* A new reference, or NULL: it is done with. */
static struct loan *loan_of(PyObject *self)
{
	PyObject *value = PyObject_GetAttr(self, known.loan);

	if (value && Py_TYPE(value) == known.loan_type)
		return (struct loan *) value;
	PyErr_Clear();
	Py_XDECREF(value);
	return NULL;
}

static PyObject *let_go(PyObject *self)
{
	return PyObject_SetAttr(self, known.loan, Py_None) < 0 ? NULL : none();
}

static PyObject *enter(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	if (count != 0 || names)
		return in_python(self, "_py___enter__", args, count, names);
	Py_INCREF(self);
	return self;
}

/* NULL without an exception: not so simple. */
static PyObject *acknowledge_now(PyObject *self)
{
	struct loan *l = loan_of(self);
	PyObject *result = NULL;

	if (l && pyipc_now_channel_acknowledge(l->c, l->what.extent) == 0)
		result = let_go(self);
	Py_XDECREF((PyObject *) l);
	return result;
}

static PyObject *acknowledge(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *result = count == 0 && !names ? acknowledge_now(self) : NULL;

	return result || PyErr_Occurred() ? result : in_python(self, "_py_ack", args, count, names);
}

/* Of a block that ends without an exception. */
static int plain_exit(PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	return count == 3 && !names && args[0] == Py_None;
}

static PyObject *message_exit(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *result = plain_exit(args, count, names) ? acknowledge_now(self) : NULL;

	return result || PyErr_Occurred() ? result : in_python(self, "_py___exit__", args, count, names);
}

static PyObject *message_del(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *value = PyObject_GetAttr(self, known.loan);
	int done = value == Py_None;

	PyErr_Clear();
	Py_XDECREF(value);
	return done ? none() : in_python(self, "_py___del__", args, count, names);
}

/* NULL without an exception: not so simple.  The pipes are held meanwhile: another thread may close the
 * handle. */
static PyObject *commit_now(PyObject *self, struct loan *l, uint64_t size)
{
	PyObject *end = PyObject_GetAttr(self, known.end);
	struct face *f = end ? pyipc_face_of(end) : NULL;
	struct pyipc_loan what = l->what;
	int result = -EAGAIN;

	if (f && f->c == l->c && pyipc_now_channel_look(f->c, 0)) {
		Py_BEGIN_ALLOW_THREADS
		result = pyipc_channel_commit(f->c, &what, size, 0);
		Py_END_ALLOW_THREADS
	}
	if (result == 0)
		l->what.extent = NOTHING;
	Py_XDECREF((PyObject *) f);
	Py_XDECREF(end);
	PyErr_Clear();
	return result == 0 ? let_go(self) : NULL;
}

static PyObject *commit(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *given[2];	/* size, timeout */
	struct loan *l = NULL;
	long long size;
	PyObject *result = NULL;

	if (sort_out(args, count, names, 0, known.commit, 2, given) && plain_timeout(given[1]))
		l = loan_of(self);
	if (l && plain_number(given[0], (long long) l->what.size, &size) && size >= 0)
		result = commit_now(self, l, (uint64_t) size);
	Py_XDECREF((PyObject *) l);
	return result || PyErr_Occurred() ? result : in_python(self, "_py_commit", args, count, names);
}

static PyObject *reservation_exit(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	struct loan *l = plain_exit(args, count, names) ? loan_of(self) : NULL;
	PyObject *result = l ? commit_now(self, l, l->what.size) : NULL;

	Py_XDECREF((PyObject *) l);
	return result || PyErr_Occurred() ? result : in_python(self, "_py___exit__", args, count, names);
}

/* ---- putting them in place ---- */

/* loans_face(class of messages, of reservations) */
static PyObject *module_loans_face(PyObject *module, PyObject *args)
{
	PyObject *message, *reservation;

	(void) module;
	if (!PyArg_ParseTuple(args, "OO", &message, &reservation))
		return NULL;
	Py_INCREF(message);
	Py_INCREF(reservation);
	known.message_type = (PyTypeObject *) message;
	known.reservation_type = (PyTypeObject *) reservation;
	return none();
}

static PyMethodDef loan_methods[] = {
	{ "view", loan_view, METH_NOARGS, NULL },
	{ "acknowledge", loan_acknowledge, METH_NOARGS, NULL },
	{ "forget", loan_forget, METH_NOARGS, NULL },
	{ "give_back", loan_give_back, METH_NOARGS, NULL },
	{ 0 },
};

static PyGetSetDef loan_members[] = {
	{ "_address", loan_address, NULL, NULL, NULL },
	{ "redelivered", loan_redelivered, NULL, NULL, NULL },
	{ 0 },
};

static PyType_Slot loan_slots[] = {
	{ Py_tp_new, loan_new },
	{ Py_tp_dealloc, loan_dealloc },
	{ Py_tp_methods, loan_methods },
	{ Py_tp_getset, loan_members },
	{ Py_bf_getbuffer, loan_getbuffer },
	{ 0, NULL },
};

static PyType_Spec loan_spec = {
	.name = "pyipc._core.Loan",
	.basicsize = sizeof(struct loan),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = loan_slots,
};

static PyMethodDef functions[] = {
	{ "loans_face", module_loans_face, METH_VARARGS, NULL },
	{ 0 },
};

const struct hot_call pyipc_loan_calls[] = {
	{ "channel.reserve", reserve, "($self, size, timeout=None)" },
	{ "channel.peek", peek, "($self, timeout=None)" },
	{ "message.ack", acknowledge, "($self)" },
	{ "message.__enter__", enter, "($self)" },
	{ "message.__exit__", message_exit, "($self, kind, value, trace)" },
	{ "message.__del__", message_del, "($self)" },
	{ "reservation.commit", commit, "($self, size=None, timeout=None)" },
	{ "reservation.__enter__", enter, "($self)" },
	{ "reservation.__exit__", reservation_exit, "($self, kind, value, trace)" },
	{ 0 },
};

int pyipc_add_loans(PyObject *module)
{
	PyObject *loan = PyType_FromSpec(&loan_spec);

	known.loan_type = (PyTypeObject *) loan;
	known.end = PyUnicode_InternFromString("_end");
	known.loan = PyUnicode_InternFromString("_loan");
	known.redelivered = PyUnicode_InternFromString("redelivered");
	known.size = known.reserve[0] = known.commit[0] = PyUnicode_InternFromString("size");
	known.reserve[1] = known.commit[1] = known.peek[0] = PyUnicode_InternFromString("timeout");
	if (!loan)
		return -1;
	Py_INCREF(loan);
	return PyModule_AddObject(module, "Loan", loan) < 0 ? -1 : PyModule_AddFunctions(module, functions);
}

#endif
