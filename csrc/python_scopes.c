/* SPDX-License-Identifier: MIT
 *
 * python_scopes.c -- the end of a `with` block that no signal handler can prevent.
 *
 * CPython runs handlers as a Python function begins, before its first statement.  One that raises as __exit__
 * begins ends it there: nothing is restored, and no `try` is early enough to help.  C is not interrupted.  So
 * this __exit__ calls the Python of the scope, `_leave`, until that has set `_left`; what a handler has
 * raised meanwhile is raised afterwards.
 */
#include <patchlevel.h>		/* PYPY_VERSION */
#include <pyconfig.h>		/* Py_GIL_DISABLED */

#if !defined(PYPY_VERSION) && !defined(Py_GIL_DISABLED)

#include "python_face.h"

enum { MOST_TRIES = 1000 };	/* by then something is wrong that is no handler's doing */

struct problem {
	PyObject *type, *value, *trace;
};

/* Whether it has set _left; if that cannot be told, it has not. */
static int has_left(PyObject *self)
{
	PyObject *left = PyObject_GetAttrString(self, "_left");
	int truth = left ? PyObject_IsTrue(left) : 0;

	Py_XDECREF(left);
	PyErr_Clear();
	return truth > 0;
}

static PyObject *leave(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	struct problem first = { 0 };
	PyObject *result;

	for (int tries = 0;; tries++) {
		struct problem found;

		result = in_python(self, "_leave", args, count, names);
		if (result)
			break;
		PyErr_Fetch(&found.type, &found.value, &found.trace);
		if (!first.type) {
			first = found;
		} else {		/* the first is the one that came in the middle of something */
			Py_XDECREF(found.type);
			Py_XDECREF(found.value);
			Py_XDECREF(found.trace);
		}
		if (has_left(self) || tries == MOST_TRIES)
			break;
	}
	if (!first.type)
		return result;
	Py_XDECREF(result);
	PyErr_Restore(first.type, first.value, first.trace);
	return NULL;
}

static PyMethodDef end = { "__exit__", (PyCFunction) (void (*)(void)) leave, METH_FASTCALL | METH_KEYWORDS, NULL };

/* sure_exit(cls): of scopes, which have a method _leave and an attribute _left. */
static PyObject *module_sure_exit(PyObject *module, PyObject *cls)
{
	PyObject *descriptor = PyDescr_NewMethod((PyTypeObject *) cls, &end);
	int result = descriptor ? PyObject_SetAttrString(cls, end.ml_name, descriptor) : -1;

	(void) module;
	Py_XDECREF(descriptor);
	return result < 0 ? NULL : none();
}

static PyMethodDef functions[] = {
	{ "sure_exit", module_sure_exit, METH_O, NULL },
	{ 0 },
};

/* Adds it to the module that cffi made.  Called once, with the GIL, at import. */
int pyipc_now_add_scopes(void)
{
	PyObject *module = PyImport_AddModule("pyipc._core");	/* borrowed */

	if (!module || PyModule_AddFunctions(module, functions) < 0) {
		PyErr_Clear();
		return -ENOMEM;
	}
	return 0;
}

#else

#include "internal.h"

int pyipc_now_add_scopes(void)
{
	return -ENOTSUP;
}

#endif
