"""What `pyipc doctor` looks at; each check names what it found, and what would mend it."""

from __future__ import annotations

import os
import re
import resource
from glob import glob

import pyipc

from .. import sysv
from ..errors import IPCError
from .table import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_NEARLY = 0.8  # of a limit: time to say so
_SMALL_SHM = 64 << 20  # what Docker gives, unless it is told otherwise
_OLDEST = (4, 18)
_PIDFDS = (5, 4)


class Finding:
    """What one check has to say.

    Attributes:
        status: "ok"; "note": worth knowing; "warning": some programs will fail; "problem": many will.
        what: What was looked at.
        found: How it is.
        mend: What to do, or "".
    """

    __slots__ = ("found", "mend", "status", "what")

    def __init__(self, status: str, what: str, found: str, mend: str = "") -> None:
        self.status = status
        self.what = what
        self.found = found
        self.mend = mend

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return {name: getattr(self, name) for name in ("status", "what", "found", "mend")}


def all_checks() -> Iterator[Finding]:
    """Everything, in the order in which it matters."""
    for check in (
        *(_kernel, _backend, _shared_memory, _queues, _system_v, _descriptors, _processes, _locked_memory),
        *(_remove_ipc, _ptrace, _memfd_noexec, _container),
    ):
        yield from check()


def _read(path: str) -> str | None:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return None


# ---- what we run on ----


def _kernel() -> Iterator[Finding]:
    release = os.uname().release
    numbers = re.match(r"(\d+)\.(\d+)", release)
    version = tuple(map(int, numbers.groups())) if numbers else (0, 0)
    if version < _OLDEST:
        yield Finding("problem", "kernel", f"Linux {release}", "pyipc needs Linux 4.18 or newer")
    elif version < _PIDFDS:
        yield Finding("warning", "kernel", f"Linux {release}: no pidfds", "Linux 5.4 has them")
    else:
        yield Finding("ok", "kernel", f"Linux {release}")


def _backend() -> Iterator[Finding]:
    backend = pyipc.backend()
    lacking = sorted(name for name, there in pyipc.capabilities().items() if not there)
    if backend == "native":
        yield Finding("ok", "backend", "the compiled core")
    else:
        yield Finding(
            "warning",
            "backend",
            f"the fallback, without {', '.join(lacking) or 'nothing'}",
            "install a wheel, or build with a C compiler; unset PYIPC_BACKEND",
        )
    if backend == "native" and lacking:
        yield Finding("note", "this kernel lacks", ", ".join(lacking))


# ---- memory, queues, semaphores ----


def _shared_memory() -> Iterator[Finding]:
    path = "/dev/shm"
    try:
        facts, room = os.stat(path), os.statvfs(path)
    except OSError as problem:
        yield Finding(
            "problem", path, problem.strerror or "not there", f"mount -t tmpfs -o mode=1777 tmpfs {path}"
        )
        return
    total, free = room.f_blocks * room.f_frsize, room.f_bavail * room.f_frsize
    if not os.path.ismount(path):
        yield Finding(
            "warning", path, "a plain folder: what is there is on a disk", f"mount -t tmpfs tmpfs {path}"
        )
    elif facts.st_mode & 0o1777 != 0o1777:
        yield Finding("warning", path, f"its mode is {facts.st_mode & 0o7777:04o}", f"chmod 1777 {path}")
    elif total <= _SMALL_SHM:
        yield Finding(
            "warning",
            path,
            f"only {size(total)}",
            "docker run --shm-size=1g, or mount -o remount,size=1g /dev/shm",
        )
    elif free < (1 - _NEARLY) * total:
        yield Finding("warning", path, f"{size(free)} left of {size(total)}", "pyipc ls --kind 'posix shm'")
    else:
        yield Finding("ok", path, f"{size(free)} free of {size(total)}")


def _queues() -> Iterator[Finding]:
    path = "/dev/mqueue"
    if not os.path.ismount(path):
        yield Finding(
            "note", path, "not mounted: queues work, but nobody can list them", f"mount -t mqueue none {path}"
        )
        return
    folder = "/proc/sys/fs/mqueue"
    most, longest, deepest = (_read(f"{folder}/{name}") for name in ("queues_max", "msgsize_max", "msg_max"))
    try:
        count = len(os.listdir(path))
    except OSError:
        count = 0
    yield _use(
        "POSIX queues",
        count,
        int(most or 0),
        f"{folder}/queues_max",
        f"messages of {longest} bytes, {deepest} each",
    )


def _system_v() -> Iterator[Finding]:
    folder = "/proc/sys/kernel"
    try:
        segments, sets, queues = sysv.segments(), sysv.semaphore_sets(), sysv.message_queues()
    except (OSError, IPCError) as problem:
        yield Finding("problem", "System V", f"{problem}", "a kernel with CONFIG_SYSVIPC")
        return
    semaphores = (_read(f"{folder}/sem") or "0 0 0 0").split()
    yield _use("System V segments", len(segments), int(_read(f"{folder}/shmmni") or 0), f"{folder}/shmmni")
    yield _use("System V semaphore sets", len(sets), int(semaphores[3]), f"{folder}/sem, its fourth number")
    yield _use("System V queues", len(queues), int(_read(f"{folder}/msgmni") or 0), f"{folder}/msgmni")


def _use(what: str, count: int, most: int, where: str, more: str = "") -> Finding:
    found = f"{count} of {most}" + (f", {more}" if more else "")
    if most and count >= most:
        return Finding("problem", what, found, f"raise {where}, or remove some: pyipc rm --orphans")
    if most and count > _NEARLY * most:
        return Finding("warning", what, found, f"raise {where}, or remove some: pyipc rm --orphans")
    return Finding("ok", what, found)


# ---- limits of this process ----


def _descriptors() -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = f"{soft} of {hard}" if hard != resource.RLIM_INFINITY else f"{soft}"
    if soft < 1024:
        yield Finding("warning", "RLIMIT_NOFILE", found, "ulimit -n 4096, or LimitNOFILE= of the unit")
    else:
        yield Finding("ok", "RLIMIT_NOFILE", found)


def _processes() -> Iterator[Finding]:
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    most = _read("/sys/fs/cgroup/pids.max")
    if most and most.isdecimal() and int(most) < 128:
        yield Finding(
            "warning", "pids.max of the cgroup", most, "docker run --pids-limit, or TasksMax= of the unit"
        )
    if 0 <= soft < 128 and os.geteuid() != 0:
        yield Finding("warning", "RLIMIT_NPROC", str(soft), "ulimit -u")


def _locked_memory() -> Iterator[Finding]:
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if 0 <= soft < 64 << 10 and os.geteuid() != 0:
        yield Finding("note", "RLIMIT_MEMLOCK", size(soft), "only for locked segments: ulimit -l")


# ---- who else has a word ----


def _remove_ipc() -> Iterator[Finding]:
    if not os.path.isdir("/run/systemd/seats"):  # of logind, which is what removes them
        return
    setting = "yes"
    for path in ("/etc/systemd/logind.conf", *sorted(glob("/etc/systemd/logind.conf.d/*.conf"))):
        for line in (_read(path) or "").splitlines():
            name, _, value = line.partition("=")
            if name.strip() == "RemoveIPC":
                setting = value.strip().lower()
    if setting in ("yes", "true", "1", "on"):
        yield Finding(
            "warning",
            "RemoveIPC of logind",
            "on: what a user made is removed when its last session ends, also under running services",
            "RemoveIPC=no in /etc/systemd/logind.conf, or run services as system users",
        )


def _ptrace() -> Iterator[Finding]:
    scope = _read("/proc/sys/kernel/yama/ptrace_scope")
    if scope not in (None, "0"):
        yield Finding("note", "Yama's ptrace_scope", f"{scope}: descriptors cannot be taken by pidfd_getfd")


def _memfd_noexec() -> Iterator[Finding]:
    if _read("/proc/sys/vm/memfd_noexec") == "2":
        yield Finding("note", "vm.memfd_noexec", "2: memory that may be executed is refused; pyipc's is not")


def _container() -> Iterator[Finding]:
    most = _read("/sys/fs/cgroup/memory.max")
    if most and most.isdecimal():
        yield Finding("note", "memory.max of the cgroup", f"{size(int(most))}: shared memory counts")
    status = dict(
        line.split(":\t", 1) for line in (_read("/proc/self/status") or "").splitlines() if ":\t" in line
    )
    if status.get("Seccomp") == "2":
        yield Finding("note", "seccomp", "a filter is on: what it refuses counts as absent")
    if os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv"):
        yield Finding(
            "note", "container", "System V and POSIX objects are its own, unless --ipc=host or a shared pod"
        )
