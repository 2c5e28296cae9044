/* SPDX-License-Identifier: MIT
 *
 * python_connections.c -- a thin CPython face on what servers do for each connection; hot_calls.c says by
 * which rules.
 *
 * A page that is written after a fork costs a fault, on either side, and calls that are found by names, by
 * way of objects that are here and there, write to many pages: each object counts who refers to it.
 */
#include <patchlevel.h>		/* PYPY_VERSION */
#include <pyconfig.h>		/* Py_GIL_DISABLED */

#if !defined(PYPY_VERSION) && !defined(Py_GIL_DISABLED)

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "python_descriptors.h"

/* connection_finish(connection): 0 or -errno. */
static PyObject *module_connection_finish(PyObject *module, PyObject *connection)
{
	int number = PyObject_AsFileDescriptor(connection);
	int result;

	(void) module;
	if (number < 0) {
		PyErr_Clear();	/* it is closed */
		return PyLong_FromLong(-EBADF);
	}
	Py_BEGIN_ALLOW_THREADS
	result = pyipc_connection_finish(number);
	Py_END_ALLOW_THREADS
	return PyLong_FromLong(result);
}

static int append(PyObject *list, int number)
{
	PyObject *value = PyLong_FromLong(number);
	int result = value ? PyList_Append(list, value) : -1;

	Py_XDECREF(value);
	return result;
}

/* There was no memory to tell who it is: a child that believes to be its parent would be one more server. */
static PyObject *undo(pid_t child)
{
	if (child == 0)
		_exit(1);
	(void) kill(child, SIGKILL);
	(void) waitpid(child, NULL, 0);
	return NULL;
}

/* fork(born): 0 or -errno; what is there by then is in the list: the pid, and in the parent a pidfd. */
static PyObject *module_fork(PyObject *module, PyObject *born)
{
	int32_t pidfd = -1;
	int result, error;
	pid_t pid;

	(void) module;
	if (!PyList_Check(born)) {
		PyErr_SetString(PyExc_TypeError, "a list");
		return NULL;
	}
	PyOS_BeforeFork();
	pid = fork();
	error = errno;
	if (pid == 0)
		PyOS_AfterFork_Child();
	else
		PyOS_AfterFork_Parent();
	if (pid == -1)
		return PyLong_FromLong(-error);
	if (append(born, (int) pid) == -1)
		return undo(pid);
	if (pid == 0)
		return PyLong_FromLong(0);
	result = pyipc_now_pidfd_open((int) pid, &pidfd);
	if (result == 0 && append(born, pidfd) == -1) {
		(void) pyipc_fd_close(&pidfd);
		return NULL;	/* who has the list sees to the child */
	}
	return PyLong_FromLong(result);
}

static PyMethodDef functions[] = {
	{ "connection_finish", module_connection_finish, METH_O, NULL },
	{ "fork", module_fork, METH_O, NULL },
	{ 0 },
};

int pyipc_add_connections(PyObject *module)
{
	return PyModule_AddFunctions(module, functions);
}

#endif
