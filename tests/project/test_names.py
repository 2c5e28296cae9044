"""What is public exists, is said to be public, and tells what it does."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
import types

import pytest

import pyipc

CHAPTERS = [
    "pyipc",
    "pyipc.channels",
    "pyipc.compat.posix_ipc",
    "pyipc.compat.sysv_ipc",
    "pyipc.errors",
    "pyipc.fds",
    "pyipc.fifos",
    "pyipc.memory",
    "pyipc.posix",
    "pyipc.processes",
    "pyipc.signals",
    "pyipc.sockets",
    "pyipc.sync",
    "pyipc.sysv",
    "pyipc.terminals",
]


@pytest.fixture(params=CHAPTERS)
def module(request):
    return importlib.import_module(request.param)


def public(thing):
    return {name for name in vars(thing) if not name.startswith("_")}


def test_every_public_name_exists_and_is_described(module):
    assert inspect.getdoc(module)
    for name in module.__all__:
        assert inspect.getdoc(getattr(module, name)), name


def test_all_is_sorted_and_holds_no_name_twice(module):
    assert list(module.__all__) == sorted(set(module.__all__))


def test_dir_tells_of_names_that_nobody_has_used_yet(module):
    name = module.__name__
    program = f"import {name}; print(*set({name}.__all__) - set(dir({name})))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []


def test_no_public_name_is_missing_from_all(module):
    chapters = {name.rpartition(".")[2] for name in CHAPTERS}
    for name in public(module) - set(module.__all__):
        value = getattr(module, name)
        hidden = isinstance(value, types.ModuleType) and name not in chapters
        # What raises the exceptions is for the rest of the package.
        hidden = hidden or (module is pyipc.errors and inspect.isfunction(value))
        assert hidden or name in ("annotations", "TYPE_CHECKING"), f"{module.__name__}.{name}"


MODULES = [importlib.import_module(name) for name in CHAPTERS]
CLASSES = {
    name: getattr(module, name)
    for module in MODULES
    for name in module.__all__
    if inspect.isclass(getattr(module, name))
}


@pytest.fixture(params=CLASSES.values(), ids=CLASSES)
def cls(request):
    return request.param


def test_every_public_method_is_described(cls):
    for base in cls.__mro__:
        if not base.__module__.startswith("pyipc"):
            continue
        for name in public(base):
            attribute = inspect.getattr_static(cls, name)
            if callable(attribute) or isinstance(attribute, (property, classmethod, staticmethod)):
                assert inspect.getdoc(getattr(cls, name)), f"{cls.__name__}.{name}"


def test_public_classes_say_where_they_are_to_be_found(cls):
    assert cls.__module__.startswith("pyipc.")


def test_hot_methods_keep_their_signature_and_description():
    """Those that C stands in for look like the Python they replace."""
    sysv, sync = pyipc.sysv, pyipc.sync
    doors = pyipc.compat.posix_ipc, pyipc.compat.sysv_ipc
    looked_at = 0
    classes = (sysv.SharedMemory, sysv.Semaphore, sysv.MessageQueue, sync.Counter, sync.Latest)
    of_doors = [cls for door in doors for cls in (door.Semaphore, door.MessageQueue)]
    for cls in (*classes, pyipc.channels.Channel, *of_doors):
        for base in cls.__mro__:
            for name in [name for name in vars(base) if name.startswith("_py_")]:
                fast, slow = getattr(cls, name[4:]), getattr(cls, name)
                assert plain(fast) == plain(slow), name
                assert inspect.getdoc(fast) == inspect.getdoc(slow), name
                looked_at += 1
    if pyipc.backend() == "native":
        from pyipc._backend import native_core

        assert looked_at >= 13 or not native_core.HOT


def plain(function):
    """The parameters without annotations, and without self, which C takes by position alone."""
    _, *parameters = inspect.signature(function).parameters.values()
    return [parameter.replace(annotation=parameter.empty) for parameter in parameters]
