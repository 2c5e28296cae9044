/* SPDX-License-Identifier: MIT
 *
 * python_terminals.c -- a thin CPython face on pseudo-terminals; hot_calls.c says why, and by which rules.
 *
 * What was read cannot be put back.  So no Python runs from the read on until the match has what it takes
 * and the output the rest: the match is made before.
 */
#define _GNU_SOURCE		/* memmem() */
#include <patchlevel.h>		/* PYPY_VERSION */
#include <pyconfig.h>		/* Py_GIL_DISABLED */

#if !defined(PYPY_VERSION) && !defined(Py_GIL_DISABLED)

#include "python_descriptors.h"

enum { MOST_READ = 32768 };	/* _MOST_READ of native_terminals.py */

/* Names that never change once they are made. */
static struct {
	PyObject *pattern, *timeout;
	PyObject *acquire, *release;
	PyObject *end, *lock, *log, *master, *match_type, *soon, *start, *text, *unread;
	PyObject *groups, *index, *names;	/* of a match */
	PyObject *nothing, *zero;
} known;

/* ---- reading ---- */

static int read_from(PyObject *master, char *room)
{
	return pyipc_now_pty_read(&((struct descriptor *) master)->number, room, MOST_READ);
}

/* pty_read(master): the bytes, or -errno. */
static PyObject *module_pty_read(PyObject *module, PyObject *master)
{
	char room[MOST_READ];
	int got;

	(void) module;
	if (!is_descriptor(master)) {
		PyErr_SetString(PyExc_TypeError, "a handle on a terminal");
		return NULL;
	}
	got = read_from(master, room);
	return got < 0 ? PyLong_FromLong(got) : PyBytes_FromStringAndSize(room, got);
}

/* pty_write(master, data): how much, or -errno. */
static PyObject *module_pty_write(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
	(void) module;
	return pyipc_write_by(pyipc_now_pty_write, args, count);
}

/* ---- Output.expect(), of a literal that comes while we look for it ---- */

/* Whether it is so; not if that cannot be told. */
static int is(PyObject *self, PyObject *name, PyObject *expected)
{
	PyObject *value = PyObject_GetAttr(self, name);

	Py_XDECREF(value);	/* the object itself has it, or everybody does */
	return value == expected;
}

/* The output that nobody has taken, if there is none. */
static PyObject *nothing_unread(PyObject *self)
{
	PyObject *unread = PyObject_GetAttr(self, known.unread);

	if (unread && PyByteArray_CheckExact(unread) && PyByteArray_Size(unread) == 0)
		return unread;
	Py_XDECREF(unread);
	return NULL;
}

/* One that its __init__ has not seen, which would be a frame of Python. */
static PyObject *empty_match(PyObject *self)
{
	PyObject *type = PyObject_GetAttr(self, known.match_type);
	newfunc make = type ? (newfunc) PyType_GetSlot((PyTypeObject *) type, Py_tp_new) : NULL;
	PyObject *match = make ? make((PyTypeObject *) type, known.nothing, NULL) : NULL;

	Py_XDECREF(type);
	return match;
}

static int64_t deadline_of(PyObject *timeout)
{
	double seconds = !timeout || timeout == Py_None ? 1e9 : PyFloat_AsDouble(timeout);

	return seconds < 1e9 ? monotonic_ns() + (int64_t) (seconds * PYIPC_SECOND) : INT64_MAX;
}

static int looks_and_sees(PyObject *self, PyObject *master, PyObject *timeout)
{
	int number = ((struct descriptor *) master)->number;
	int64_t deadline_ns = deadline_of(timeout);
	int seen;

	Py_BEGIN_ALLOW_THREADS
	seen = pyipc_pty_look(number, deadline_ns);
	Py_END_ALLOW_THREADS
	if (!seen)		/* that was long enough: Python shall sleep */
		(void) PyObject_SetAttr(self, known.soon, Py_False);
	return seen;
}

/* Nobody is between a read and what belongs to it, and nobody has to know of ours. */
static int is_undisturbed(PyObject *self, PyObject *lock, PyObject *unread)
{
	PyObject *taken = PyObject_CallMethodObjArgs(lock, known.acquire, Py_False, NULL);
	PyObject *let_go;

	Py_XDECREF(taken);
	if (taken != Py_True)
		return 0;
	let_go = PyObject_CallMethodObjArgs(lock, known.release, NULL);
	Py_XDECREF(let_go);
	return let_go && is(self, known.unread, unread) && PyByteArray_Size(unread) == 0
	       && is(self, known.log, Py_None);
}

static int set_number(PyObject *match, PyObject *name, Py_ssize_t value)
{
	PyObject *number = PyLong_FromSsize_t(value);
	int result = number ? PyObject_SetAttr(match, name, number) : -1;

	Py_XDECREF(number);
	return result;
}

static int fill(PyObject *match, const char *text, Py_ssize_t start, Py_ssize_t end)
{
	PyObject *bytes = PyBytes_FromStringAndSize(text, end);
	int result = bytes ? PyObject_SetAttr(match, known.text, bytes) : -1;

	Py_XDECREF(bytes);
	if (result < 0 || PyObject_SetAttr(match, known.index, known.zero) < 0
	    || PyObject_SetAttr(match, known.groups, known.nothing) < 0
	    || PyObject_SetAttr(match, known.names, Py_None) < 0 || set_number(match, known.start, start) < 0)
		return -1;
	return set_number(match, known.end, end);
}

/* 1 if the match has it; whatever does not belong to it is unread. */
static int read_into(PyObject *match, PyObject *master, PyObject *pattern, PyObject *unread)
{
	char room[MOST_READ];
	Py_ssize_t size = PyBytes_Size(pattern), end = 0;
	Py_ssize_t got = read_from(master, room);
	const char *found;

	if (got <= 0)
		return 0;
	found = memmem(room, (size_t) got, PyBytes_AsString(pattern), (size_t) size);
	if (found && fill(match, room, found - room, found - room + size) == 0)
		end = found - room + size;
	if (got > end) {
		if (PyByteArray_Resize(unread, got - end) < 0)
			return 0;
		memcpy(PyByteArray_AsString(unread), room + end, (size_t) (got - end));
	}
	return end > 0;
}

static PyObject *found_at_once(PyObject *self, PyObject *pattern, PyObject *timeout)
{
	PyObject *unread = is(self, known.soon, Py_True) ? nothing_unread(self) : NULL;
	PyObject *master = unread ? PyObject_GetAttr(self, known.master) : NULL;
	PyObject *lock = master ? PyObject_GetAttr(self, known.lock) : NULL;
	PyObject *match = lock && is_descriptor(master) ? empty_match(self) : NULL;
	/* A handler of a signal that has come meanwhile may raise: better now than when the match is made. */
	int done = match && looks_and_sees(self, master, timeout) && PyErr_CheckSignals() == 0
		   && is_undisturbed(self, lock, unread) && read_into(match, master, pattern, unread);

	Py_XDECREF(unread);
	Py_XDECREF(master);
	Py_XDECREF(lock);
	if (done)
		return match;
	Py_XDECREF(match);
	return NULL;
}

static PyObject *expect(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *const known_names[] = { known.pattern, known.timeout };
	PyObject *given[2], *match = NULL;

	if (sort_out(args, count, names, 1, known_names, 2, given) && PyBytes_CheckExact(given[0])
	    && PyBytes_Size(given[0]) > 0 && plain_timeout(given[1])
	    && (!given[1] || PyObject_IsTrue(given[1]) || given[1] == Py_None))
		match = found_at_once(self, given[0], given[1]);
	if (match || PyErr_Occurred())
		return match;
	return in_python(self, "_py_expect", args, count, names);
}

const struct hot_call pyipc_terminal_calls[] = {
	{ "terminal.expect", expect, "($self, pattern, timeout=None, *, window=4096)" },
	{ 0 },
};

static PyMethodDef functions[] = {
	{ "pty_read", module_pty_read, METH_O, NULL },
	{ "pty_write", (PyCFunction) (void (*)(void)) module_pty_write, METH_FASTCALL, NULL },
	{ 0 },
};

int pyipc_add_terminals(PyObject *module)
{
	known.pattern = PyUnicode_InternFromString("pattern");
	known.timeout = PyUnicode_InternFromString("timeout");
	known.acquire = PyUnicode_InternFromString("acquire");
	known.release = PyUnicode_InternFromString("release");
	known.end = PyUnicode_InternFromString("_end");
	known.lock = PyUnicode_InternFromString("_lock");
	known.log = PyUnicode_InternFromString("log_received");
	known.master = PyUnicode_InternFromString("_master");
	known.match_type = PyUnicode_InternFromString("_match_type");
	known.soon = PyUnicode_InternFromString("_soon");
	known.start = PyUnicode_InternFromString("_start");
	known.text = PyUnicode_InternFromString("_text");
	known.unread = PyUnicode_InternFromString("_unread");
	known.groups = PyUnicode_InternFromString("groups");
	known.index = PyUnicode_InternFromString("index");
	known.names = PyUnicode_InternFromString("_names");
	known.nothing = PyTuple_New(0);
	known.zero = PyLong_FromLong(0);
	return PyModule_AddFunctions(module, functions);
}

#endif
