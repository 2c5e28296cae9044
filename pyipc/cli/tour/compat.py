"""The stop of the doors: programs that were written for `sysv_ipc` and `posix_ipc`."""

from __future__ import annotations

import os
from contextlib import closing
from importlib import import_module

from pyipc import posix, sysv

from . import compat_partners as others
from .stage import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .stage import Stage

TITLE = "Doors: programs for sysv_ipc and posix_ipc, one line changed"

_PREFIX = f"/pyipc-tour-{os.urandom(4).hex()}-"


def _modules(package: str) -> list[str]:
    """Our door, and what it is the door of, where that is installed."""
    try:
        import_module(package)
    except ImportError:
        return [f"pyipc.compat.{package}"]
    return [f"pyipc.compat.{package}", package]


def open_the_door_of_sysv_ipc(stage: Stage) -> None:
    """Exchange messages, by a key, with a program for sysv_ipc."""
    text = b"hello"
    for module in _modules("sysv_ipc"):
        with sysv.MessageQueue.create(key=int.from_bytes(os.urandom(3), "big") + 1) as queue:
            other = stage.python(others.with_sysv_ipc, module, queue.key)
            other.expect("ready")
            stage.say(other, f"is written for sysv_ipc; it imports {module}")
            queue.send(text, type=1)
            got = queue.receive(type=2, timeout=stage.left())
            stage.check(got == (text.upper(), 2), f"{got} came")
            other.expect("answered")
            other.end()
            stage.say("python", f"sends {text!r} through pyipc.sysv, and gets {got.data!r}")


def open_the_door_of_posix_ipc(stage: Stage) -> None:
    """Let a program for posix_ipc take a permit and send."""
    for module in _modules("posix_ipc"):
        queue = stage.held(posix.MessageQueue.create(f"{_PREFIX}{module}"))
        with closing(posix.Semaphore.create(f"{_PREFIX}{module}", 0)) as semaphore:
            other = stage.python(others.with_posix_ipc, module, queue.name, semaphore.name)
            other.expect("ready")
            stage.say(other, f"is written for posix_ipc; it imports {module}")
            semaphore.release()
            other.expect("sent")
            other.end()
            got = [queue.receive(stage.left()) for _ in range(2)]
            stage.check(got == [(b"at once", 7), (b"whenever", 1)], f"{got} came")
            stage.check(semaphore.value == 1, "the permit did not come back")
            stage.say("python", f"gives a permit, which comes back, and gets {got[0].data!r} first")


STEPS = [
    Step(
        "A program for sysv_ipc",
        "`import pyipc.compat.sysv_ipc as sysv_ipc` is all that such a program has to change.",
        "They are the same objects of the kernel; the package itself, if it is installed, meets us there.",
        open_the_door_of_sysv_ipc,
    ),
    Step(
        "A program for posix_ipc",
        "`import pyipc.compat.posix_ipc as posix_ipc` is all that such a program has to change.",
        "The same objects again, and the same C library's semaphores.",
        open_the_door_of_posix_ipc,
        ("posix.message_queues", "message queues need the compiled core, or the posix-ipc package"),
    ),
]
