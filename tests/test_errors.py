from __future__ import annotations

import errno
import os
import pickle

import pytest

import pyipc
from pyipc import errors

BUILTIN = {
    pyipc.AlreadyExistsError: FileExistsError,
    pyipc.NotFoundError: FileNotFoundError,
    pyipc.AccessError: PermissionError,
    pyipc.WouldBlockError: BlockingIOError,
    pyipc.TimedOutError: TimeoutError,
    pyipc.ClosedError: ValueError,
    pyipc.OutOfMemoryError: MemoryError,
    pyipc.UnsupportedError: NotImplementedError,
}


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EEXIST, pyipc.AlreadyExistsError),
        (errno.ENOENT, pyipc.NotFoundError),
        (errno.EACCES, pyipc.AccessError),
        (errno.EPERM, pyipc.AccessError),
        (errno.EAGAIN, pyipc.WouldBlockError),
        (errno.ETIMEDOUT, pyipc.TimedOutError),
        (errno.EIDRM, pyipc.RemovedError),
        (errno.EBADF, pyipc.ClosedError),
        (errno.ENOMEM, pyipc.OutOfMemoryError),
        (errno.ENOSYS, pyipc.UnsupportedError),
        (errno.ENOTSUP, pyipc.UnsupportedError),
        (errno.ENOSPC, pyipc.LimitError),
        (errno.EMFILE, pyipc.LimitError),
        (errno.EFBIG, pyipc.IPCError),
    ],
)
def test_each_errno_has_its_exception(number, kind):
    problem = errors.error(number, "do something to <object>")
    assert type(problem) is kind
    assert problem.errno == number
    assert "do something to <object>" in str(problem)
    assert problem.strerror


@pytest.mark.parametrize("kind", BUILTIN)
def test_each_is_the_builtin_exception_too(kind):
    assert issubclass(kind, pyipc.IPCError)
    assert issubclass(kind, OSError)
    assert issubclass(kind, BUILTIN[kind])


def test_every_exception_is_an_ipc_error():
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), pyipc.IPCError)
        assert getattr(pyipc, name) is getattr(errors, name)


def test_check_gives_back_what_is_no_error():
    assert errors.check(0, "x") == 0
    assert errors.check(7, "x") == 7
    with pytest.raises(pyipc.AccessError, match="open it"):
        errors.check(-errno.EACCES, "open it")


def test_a_limit_error_names_the_limit_its_value_and_the_file():
    problem = errors.limit_error(errno.ENOSPC, "create it", "SHMMNI", 4096, "/proc/sys/kernel/shmmni")
    assert isinstance(problem, pyipc.LimitError)
    assert (problem.limit, problem.value, problem.path) == ("SHMMNI", 4096, "/proc/sys/kernel/shmmni")
    assert os.strerror(errno.ENOSPC) in str(problem)
    assert "create it (the limit SHMMNI is 4096, raised in /proc/sys/kernel/shmmni)" in str(problem)


def test_a_limit_of_unknown_value_says_no_value():
    problem = errors.limit_error(errno.ENOSPC, "create it", "SEMMNU", None, None)
    assert "(the limit SEMMNU)" in str(problem)


def test_errors_survive_pickling_with_what_they_know():
    problem = errors.limit_error(errno.ENOSPC, "create it", "SHMMNI", 4096, "/proc/sys/kernel/shmmni")
    copy = pickle.loads(pickle.dumps(problem))
    assert (type(copy), copy.errno, str(copy)) == (type(problem), problem.errno, str(problem))
    assert (copy.limit, copy.value, copy.path) == (problem.limit, problem.value, problem.path)
