/* SPDX-License-Identifier: MIT
 *
 * python_messages.c -- what comes over a socket, as Python objects, and the common form of fds.send()
 * and fds.receive().
 *
 * A received descriptor must have its owner before any Python code can run: a signal handler may
 * raise right after the call that brought it.  Here recvmsg(2) and the making of the handles are one
 * call.  (Through cffi the same costs half a microsecond for each descriptor; where this file cannot
 * serve, on PyPy and without a GIL, native_passing.py does it so.)
 */
#include <patchlevel.h>		/* PYPY_VERSION */
#include <pyconfig.h>		/* Py_GIL_DISABLED */

#if !defined(PYPY_VERSION) && !defined(Py_GIL_DISABLED)

#include <stddef.h>
#include <sys/socket.h>

#include "python_descriptors.h"

/* Handles of this type for all that came; each leaves the message as it gets its handle. */
static PyObject *handles(struct pyipc_message *message, PyTypeObject *type)
{
	PyObject *list = PyList_New(message->count);

	for (int i = 0; list && i < message->count; i++) {
		PyObject *handle = with_number(type, -1);

		if (!handle || PyList_SetItem(list, i, handle) < 0) {
			Py_CLEAR(list);
			break;
		}
		((struct descriptor *) handle)->number = taken(&message->fds[i]);
	}
	if (list)
		message->count = 0;
	return list;
}

static PyObject *pidfd_of(struct pyipc_message *message, PyTypeObject *type)
{
	PyObject *handle = message->pidfd < 0 ? none() : with_number(type, -1);

	if (message->pidfd < 0)
		return handle;
	if (handle)
		((struct descriptor *) handle)->number = taken(&message->pidfd);
	return handle;
}

static PyObject *credentials_of(const struct pyipc_message *message)
{
	const struct pyipc_credentials *c = &message->credentials;

	return message->has_credentials ? Py_BuildValue("iII", c->pid, c->uid, c->gid) : none();
}

static PyObject *address_of(const struct pyipc_message *message)
{
	if (message->address_size == 0)
		return none();
	return PyBytes_FromStringAndSize(message->address, message->address_size);
}

/* What receive() gives: see now_receive() in _backend/protocol.py. */
static PyObject *all_of(PyObject *data, int64_t size, struct pyipc_message *message, PyTypeObject *type)
{
	PyObject *parts[] = {
		data,
		PyLong_FromLongLong(size),
		message->lost ? PyList_New(0) : handles(message, type),
		message->lost ? none() : credentials_of(message),
		message->lost ? none() : pidfd_of(message, type),
		address_of(message),
		message->lost ? Py_BuildValue("ii", message->lost, message->count) : none(),
	};
	enum { PARTS = sizeof parts / sizeof parts[0] };
	PyObject *all = PyTuple_New(PARTS);
	int complete = all != NULL;

	for (int i = 0; i < PARTS; i++) {
		complete = complete && parts[i];
		if (all && parts[i])
			(void) PyTuple_SetItem(all, i, parts[i]);
		else
			Py_XDECREF(parts[i]);
	}
	if (complete)
		return all;
	Py_XDECREF(all);
	return NULL;
}

/* Room for a message before its size is known; the GIL is held from recvmsg(2) to the copy.  Where no
 * bytes ever come, its pages are never touched. */
static struct {
	char *start;
	Py_ssize_t size;
} room;

static int has_room(Py_ssize_t size)
{
	char *more = size <= room.size ? room.start : PyMem_Realloc(room.start, (size_t) size);

	if (!more) {
		(void) PyErr_NoMemory();
		return 0;
	}
	room.start = more;
	room.size = size <= room.size ? room.size : size;
	return 1;
}

/* A message, of at most size bytes: its bytes in *ret_data, unless the answer is -errno. */
static int64_t take(int sock, Py_ssize_t size, struct pyipc_message *message, PyObject **ret_data)
{
	int64_t got = has_room(size) ? pyipc_now_receive(sock, room.start, (uint64_t) size, message) : -ENOMEM;

	if (got >= 0)
		*ret_data = PyBytes_FromStringAndSize(room.start, got < size ? (Py_ssize_t) got : size);
	return got;
}

/* What has found no owner; the peer chooses how long that takes (SO_LINGER). */
static void close_rest(struct pyipc_message *message)
{
	if (message->count == 0 && message->pidfd < 0)
		return;
	Py_BEGIN_ALLOW_THREADS
	(void) pyipc_message_close(message);
	Py_END_ALLOW_THREADS
}

/* receive(sock, size, type of handles) */
static PyObject *module_receive(PyObject *module, PyObject *args)
{
	struct pyipc_message message;
	PyObject *type, *data = NULL, *all = NULL;
	Py_ssize_t size;
	int64_t got;
	int sock;

	(void) module;
	if (!PyArg_ParseTuple(args, "inO", &sock, &size, &type))
		return NULL;
	if (size < 0 || !PyType_Check(type) || !PyType_IsSubtype((PyTypeObject *) type, pyipc_descriptor_type))
		return PyErr_Format(PyExc_TypeError, "wanted a size and a type of handles");
	no_message(&message);
	got = take(sock, size, &message, &data);
	if (data)
		all = all_of(data, got, &message, (PyTypeObject *) type);
	else if (!PyErr_Occurred())
		all = PyLong_FromLongLong(got);
	close_rest(&message);
	return all;
}

/* send(sock, data, numbers, credentials or None, address or None) */
static PyObject *module_send(PyObject *module, PyObject *args)
{
	struct pyipc_credentials credentials;
	PyObject *numbers, *who;
	int32_t fds[PYIPC_MOST_FDS];
	const char *data, *address;
	Py_ssize_t size, address_size, count;
	int sock;

	(void) module;
	if (!PyArg_ParseTuple(args, "iy#O!Oz#", &sock, &data, &size, &PyList_Type, &numbers, &who, &address,
			      &address_size))
		return NULL;
	if (who != Py_None && !PyArg_ParseTuple(who, "iII", &credentials.pid, &credentials.uid, &credentials.gid))
		return NULL;
	count = PyList_Size(numbers);
	if (count > PYIPC_MOST_FDS || address_size > PYIPC_MOST_ADDRESS)
		return PyLong_FromLong(-EINVAL);
	for (Py_ssize_t i = 0; i < count; i++) {
		fds[i] = (int32_t) PyLong_AsLong(PyList_GetItem(numbers, i));
		if (fds[i] == -1 && PyErr_Occurred())
			return NULL;
	}
	return PyLong_FromLongLong(pyipc_now_send(sock, data, (uint64_t) size, fds, (int) count,
						  who == Py_None ? NULL : &credentials, address,
						  address ? (int) address_size : 0));
}

/* close_all(handles): those of a list, letting go of the GIL once for many. */
static PyObject *module_close_all(PyObject *module, PyObject *list)
{
	struct pyipc_message closing;

	(void) module;
	no_message(&closing);
	if (!PyList_Check(list))
		return PyErr_Format(PyExc_TypeError, "wanted a list of handles");
	for (Py_ssize_t next = 0; next < PyList_Size(list);) {
		while (next < PyList_Size(list) && closing.count < PYIPC_MOST_FDS) {
			PyObject *handle = PyList_GetItem(list, next++);

			if (is_descriptor(handle))
				closing.fds[closing.count++] = taken(&((struct descriptor *) handle)->number);
		}
		Py_BEGIN_ALLOW_THREADS
		(void) pyipc_message_close(&closing);
		Py_END_ALLOW_THREADS
	}
	return none();
}

/* ---- the common form of fds.send() and fds.receive() (design/hot-calls.md) ---- */

/* What Python has told, and names of arguments and attributes. */
static struct {
	PyObject *python_send, *python_receive;	/* what C stands in for */
	PyTypeObject *socket, *handle, *message;
	PyObject *family_of, *kind_of;	/* of a socket.socket, an int without the enum */
	PyObject *fileno_of, *fileno;	/* the method of a socket.socket, and its name */
	PyObject *finish;		/* makes a Message of what is not plain */
	PyObject *not_sent, *not_received;	/* raise what errno says */
	Py_ssize_t from_stream, longest;
	PyObject *send[4], *receive[3];
	PyObject *data, *fds, *peer, *address;
} face;

static long asked(PyObject *function, PyObject *sock)
{
	PyObject *answer = PyObject_CallFunctionObjArgs(function, sock, NULL);
	long number = answer ? PyLong_AsLong(answer) : -1;

	Py_XDECREF(answer);
	return number;
}

/* The number of a socket.socket whose fileno() is the ordinary one, which runs no Python and raises
 * nothing; else -1.  What other objects do in theirs, they should do once: in Python. */
static int socket_number(PyObject *sock)
{
	PyObject *method;
	int ordinary;

	if (!PyObject_TypeCheck(sock, face.socket))
		return -1;
	method = PyObject_GetAttr((PyObject *) Py_TYPE(sock), face.fileno);
	ordinary = method == face.fileno_of;
	Py_XDECREF(method);
	return ordinary ? (int) asked(face.fileno_of, sock) : -1;
}

/* The number of a descriptor that is given as an int, a handle or a socket; else -1. */
static int number_in(PyObject *thing)
{
	long number;

	if (is_descriptor(thing))
		return ((struct descriptor *) thing)->number;
	if (!PyLong_CheckExact(thing))
		return socket_number(thing);
	number = PyLong_AsLong(thing);
	return number >= 0 && number <= INT32_MAX ? (int) number : -1;
}

/* How many there are in a list or tuple, all of them open as far as they know; else -1. */
static int numbers_in(PyObject *things, int32_t *ret_fds)
{
	int is_list = PyList_CheckExact(things);
	Py_ssize_t count = is_list ? PyList_Size(things) : PyTuple_CheckExact(things) ? PyTuple_Size(things) : -1;

	if (count > PYIPC_MOST_FDS)
		return -1;
	for (Py_ssize_t i = 0; i < count; i++) {
		PyObject *thing = is_list ? PyList_GetItem(things, i) : PyTuple_GetItem(things, i);

		ret_fds[i] = thing ? number_in(thing) : -1;
		if (ret_fds[i] < 0)
			return -1;
	}
	return (int) count;
}

/* Up to this size a Unix stream takes all of it or nothing, so that it can be sent again. */
enum { WHOLE = 2048 };

/* May a call that gave this be made again, in Python?  A socket tells some errors once. */
static int changed_nothing(int64_t result)
{
	return result == -EAGAIN || result == -EINTR;
}

static PyObject *fast_send(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	PyObject *given[4];		/* sock, data, descriptors, timeout */
	int32_t fds[PYIPC_MOST_FDS];
	int64_t sent = -EAGAIN;
	Py_ssize_t size = 0;
	int sock = -1, fd_count = 0;

	(void) module;
	if (sort_out(args, count, names, 2, face.send, 4, given) && PyBytes_CheckExact(given[1])
	    && plain_timeout(given[3])) {
		size = PyBytes_Size(given[1]);
		sock = socket_number(given[0]);
		fd_count = given[2] ? numbers_in(given[2], fds) : 0;
	}
	if (sock >= 0 && size > 0 && size <= WHOLE && fd_count >= 0 && asked(face.family_of, given[0]) == AF_UNIX)
		sent = pyipc_now_send(sock, PyBytes_AsString(given[1]), (uint64_t) size, fds, fd_count, NULL, NULL, 0);
	PyErr_Clear();
	if (sent == size)
		return none();
	if (changed_nothing(sent))
		return start_over(face.python_send, args, count, names);
	return PyObject_CallFunction(face.not_sent, "LOOO", (long long) sent, given[0], given[1],
				     given[2] ? given[2] : Py_None);
}

/* A Message of these, which it takes over. */
static PyObject *message_of(PyObject *data, PyObject *fds, PyObject *address)
{
	PyObject *message = PyType_GenericAlloc(face.message, 0);

	if (!message || !data || !fds || !address || PyObject_SetAttr(message, face.data, data) < 0
	    || PyObject_SetAttr(message, face.fds, fds) < 0 || PyObject_SetAttr(message, face.peer, Py_None) < 0
	    || PyObject_SetAttr(message, face.address, address) < 0)
		Py_CLEAR(message);
	Py_XDECREF(data);
	Py_XDECREF(fds);
	Py_XDECREF(address);
	return message;
}

static PyObject *finished(PyObject *data, int64_t size, struct pyipc_message *message)
{
	PyObject *all = all_of(data, size, message, face.handle);
	PyObject *result = all ? PyObject_CallFunctionObjArgs(face.finish, all, NULL) : NULL;

	Py_XDECREF(all);
	return result;
}

static PyObject *fast_receive(PyObject *module, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	struct pyipc_message message;
	PyObject *given[3];		/* sock, max_size, timeout */
	PyObject *data = NULL, *result;
	Py_ssize_t most = 0;
	int64_t got = -EAGAIN;
	int sock = -1;

	(void) module;
	no_message(&message);
	if (sort_out(args, count, names, 1, face.receive, 3, given) && (!given[1] || given[1] == Py_None)
	    && plain_timeout(given[2]))
		sock = socket_number(given[0]);
	if (sock >= 0) {
		most = asked(face.kind_of, given[0]) == PYIPC_STREAM ? face.from_stream : face.longest;
		got = take(sock, most, &message, &data);
	}
	if (got < 0) {			/* nothing was taken */
		PyErr_Clear();
		if (changed_nothing(got))
			return start_over(face.python_receive, args, count, names);
		return PyObject_CallFunction(face.not_received, "LO", (long long) got, given[0]);
	}
	if (!data || got > most || message.lost || message.has_credentials || message.pidfd >= 0)
		result = data ? finished(data, got, &message) : NULL;
	else
		result = message_of(data, handles(&message, face.handle), address_of(&message));
	close_rest(&message);
	return result;
}

/* Message.close(): what is left of its descriptors, and the pidfd of who sent it. */
static PyObject *message_close(PyObject *self, PyObject *unused)
{
	PyObject *list = PyObject_GetAttr(self, face.fds);
	PyObject *peer = PyObject_GetAttr(self, face.peer);
	PyObject *result = list && peer ? module_close_all(NULL, list) : NULL;

	(void) unused;
	if (result && peer != Py_None) {
		Py_DECREF(result);
		result = PyObject_CallMethod(peer, "close", NULL);
	}
	Py_XDECREF(list);
	Py_XDECREF(peer);
	return result;
}

static PyObject *message_enter(PyObject *self, PyObject *unused)
{
	(void) unused;
	Py_INCREF(self);
	return self;
}

/* They are the same in Python; here, a `with` costs no frames. */
static PyMethodDef message_methods[] = {
	{ "close", message_close, METH_NOARGS,
	  "close($self)\n--\n\nClose the descriptors that nobody has closed, detached or taken over." },
	{ "__enter__", message_enter, METH_NOARGS, NULL },
	{ "__exit__", message_close, METH_VARARGS, NULL },
};

static int add_message_methods(void)
{
	for (size_t i = 0; i < sizeof message_methods / sizeof message_methods[0]; i++) {
		PyObject *method = PyDescr_NewMethod(face.message, &message_methods[i]);

		if (!method || PyObject_SetAttrString((PyObject *) face.message, message_methods[i].ml_name, method) < 0)
			return -1;
		Py_DECREF(method);
	}
	return 0;
}

static struct {
	PyMethodDef definition;
	PyObject **python;
} fast_calls[] = {
	{ { "send", (PyCFunction) (void (*)(void)) fast_send, METH_FASTCALL | METH_KEYWORDS, NULL }, &face.python_send },
	{ { "receive", (PyCFunction) (void (*)(void)) fast_receive, METH_FASTCALL | METH_KEYWORDS, NULL },
	  &face.python_receive },
};

static int learn_names(void)
{
	static const struct {
		PyObject **place;
		const char *name;
	} names[] = {
		{ &face.send[0], "sock" }, { &face.send[1], "data" }, { &face.send[2], "descriptors" },
		{ &face.send[3], "timeout" },
		{ &face.receive[0], "sock" }, { &face.receive[1], "max_size" }, { &face.receive[2], "timeout" },
		{ &face.fileno, "fileno" }, { &face.data, "data" }, { &face.fds, "fds" }, { &face.peer, "peer" },
		{ &face.address, "address" },
	};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (!(*names[i].place = PyUnicode_InternFromString(names[i].name)))
			return -1;
	return 0;
}

/* messages_face(Message, Handle, socket, its fileno, family_of, kind_of, finish, not_sent,
 * not_received, from_stream, longest) */
static PyObject *module_messages_face(PyObject *module, PyObject *args)
{
	(void) module;
	if (!PyArg_ParseTuple(args, "OOOOOOOOOnn", &face.message, &face.handle, &face.socket, &face.fileno_of,
			      &face.family_of, &face.kind_of, &face.finish, &face.not_sent, &face.not_received,
			      &face.from_stream, &face.longest))
		return NULL;
	Py_INCREF(args);		/* keeps them all, for ever */
	return learn_names() < 0 || add_message_methods() < 0 ? NULL : none();
}

/* stand_in(python function, its module, documentation that begins with a signature): C in its place.
 * Its self is the module, as of any function of a module written in C: so it can be pickled. */
static PyObject *module_stand_in(PyObject *module, PyObject *args)
{
	PyObject *python, *home, *name, *where, *text, *result = NULL;

	(void) module;
	if (!PyArg_ParseTuple(args, "OOS", &python, &home, &text))
		return NULL;
	name = PyObject_GetAttrString(python, "__name__");
	where = PyObject_GetAttrString(python, "__module__");
	for (size_t i = 0; name && where && i < sizeof fast_calls / sizeof fast_calls[0]; i++) {
		PyMethodDef *definition = &fast_calls[i].definition;

		if (PyUnicode_CompareWithASCIIString(name, definition->ml_name) != 0)
			continue;
		Py_INCREF(text);	/* kept for ever, as the function is */
		definition->ml_doc = PyBytes_AsString(text);
		Py_INCREF(python);
		*fast_calls[i].python = python;
		result = PyCFunction_NewEx(definition, home, where);
	}
	Py_XDECREF(name);
	Py_XDECREF(where);
	if (!result && !PyErr_Occurred())
		return PyErr_Format(PyExc_ValueError, "nothing stands in for %R", python);
	return result;
}

static PyMethodDef functions[] = {
	{ "receive", module_receive, METH_VARARGS, NULL },
	{ "send", module_send, METH_VARARGS, NULL },
	{ "close_all", module_close_all, METH_O, NULL },
	{ "messages_face", module_messages_face, METH_VARARGS, NULL },
	{ "stand_in", module_stand_in, METH_VARARGS, NULL },
	{ 0 },
};

/* Adds all this to the module that cffi made. */
int pyipc_add_messages(PyObject *module)
{
	return PyModule_AddFunctions(module, functions);
}

#endif
