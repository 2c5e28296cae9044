"""Programs in processes of their own, over the compiled core; see native.py."""

from __future__ import annotations

from _thread import allocate_lock
from os import getpid

from .native_core import ffi, lib
from .native_descriptors import cell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .protocol import Exit

__all__ = (
    "SPAWN_DIE_WITH_PARENT",
    "SPAWN_NEW_SESSION",
    "SPAWN_OWN_TERMINAL",
    "child_record",
    "child_wait",
    "now_child_exit",
    "now_child_reap",
    "spawn",
)

SPAWN_NEW_SESSION = lib.PYIPC_SPAWN_NEW_SESSION
SPAWN_OWN_TERMINAL = lib.PYIPC_SPAWN_OWN_TERMINAL
SPAWN_DIE_WITH_PARENT = lib.PYIPC_SPAWN_DIE_WITH_PARENT

_STEPS = {
    lib.PYIPC_SPAWN_CLONE: "clone",
    lib.PYIPC_SPAWN_DESCRIPTORS: "descriptors",
    lib.PYIPC_SPAWN_SESSION: "session",
    lib.PYIPC_SPAWN_GROUP: "group",
    lib.PYIPC_SPAWN_TERMINAL: "terminal",
    lib.PYIPC_SPAWN_USER: "user",
    lib.PYIPC_SPAWN_DIRECTORY: "directory",
    lib.PYIPC_SPAWN_PARENT: "parent",
    lib.PYIPC_SPAWN_EXEC: "exec",
}


_PLAN = ffi.typeof("struct pyipc_spawn *")
_RECORD = ffi.typeof("struct pyipc_exit *")
_POINTERS = ffi.typeof("char *[]")
_NUMBERS = ffi.typeof("int32_t[]")


def spawn(
    into: Any,
    paths: bytes,
    words: bytes,
    variables: bytes,
    directory: bytes | None,
    moves: dict[int, int],
    flags: int,
    process_group: int,
    umask: int,
    uid: int,
    gid: int,
    groups: Sequence[int] | None,
) -> int | tuple[int, str]:
    # What a struct points to must be kept by somebody: these, until the call is over.
    path_count, word_count, variable_count = paths.count(b"\0"), words.count(b"\0"), variables.count(b"\0")
    room = ffi.new(_POINTERS, path_count + word_count + variable_count + 3)
    sources = targets = listed = place = ffi.NULL
    if moves:
        sources, targets = ffi.new(_NUMBERS, [*moves.values()]), ffi.new(_NUMBERS, [*moves])
    if groups:
        listed = ffi.new("uint32_t[]", groups)
    if directory is not None:
        place = ffi.from_buffer(directory + b"\0")
    # In the order of its fields: by name, each is looked up, and little of that is in the caches here.
    plan = ffi.new(
        _PLAN,
        (
            ffi.from_buffer(paths),
            ffi.from_buffer(words),
            ffi.from_buffer(variables),
            path_count,
            word_count,
            variable_count,
            room,
            place,
            sources,
            targets,
            len(moves),
            flags,
            process_group,
            umask,
            uid,
            gid,
            listed,
            -1 if groups is None else len(groups),
        ),
    )
    if uid >= 0 or gid >= 0:
        with _one_at_a_time():
            result: int = lib.pyipc_spawn(plan, cell(into))
    else:
        result = lib.pyipc_spawn(plan, cell(into))
    return result if result > 0 else (result, _STEPS[plan.step])


# Two threads whose children change their users would each find the process as the other's child has just
# made it, undumpable, and leave it so. By process: a child of fork(2) may get a lock that nobody releases.
_locks: dict[int, Any] = {}


def _one_at_a_time() -> Any:
    return _locks.get(getpid()) or _locks.setdefault(getpid(), allocate_lock())


def child_record() -> Any:
    return ffi.new(_RECORD)


def child_wait(child: Any, record: Any, deadline: int) -> int:
    return lib.pyipc_child_wait(cell(child), deadline, record)


def now_child_reap(child: Any, record: Any) -> int:
    return lib.pyipc_now_child_reap(cell(child), record)


def now_child_exit(record: Any) -> int | Exit:
    pid = lib.pyipc_now_child_exit(record)
    return pid if pid < 0 else (pid, record.code, record.signal, bool(record.dumped))
