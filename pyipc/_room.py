"""How much memory there is: to take more is no error on Linux, it is SIGKILL.

Pages are given out as they are made. When the machine has no more, or the process's memory cgroup
(cgroups(7)) may have no more, the kernel reclaims what it can, and then its out-of-memory killer ends
a process, most likely this one. So what surely does not fit is refused before. What can be reclaimed
or swapped out counts as free, and others may take it meanwhile: this is advice, and refuses too
little rather than too much.
"""

from __future__ import annotations

from errno import ENOMEM

from .errors import error, limit_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_WORTH_ASKING = 1 << 20  # bytes; less is not worth a dozen system calls

_MOUNTS = "/proc/self/mountinfo"
_GROUPS = "/proc/self/cgroup"

# Of one level of either version: its limit, what is in use, and what of that can be reclaimed.
_FILES = {
    "cgroup2": ("memory.max", "memory.current", ("inactive_file", "active_file", "slab_reclaimable")),
    "cgroup": (
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        ("total_inactive_file", "total_active_file"),
    ),
}


def refuse_what_does_not_fit(size: int, doing: str) -> None:
    """Raise if *size* bytes more do not fit into the machine, or into a memory cgroup of this process.

    Raises:
        OutOfMemoryError: The machine.
        LimitError: The cgroup.
    """
    if size < _WORTH_ASKING:
        return
    available, swap = _machine()
    if available is not None and size > available + swap:
        raise error(ENOMEM, f"{doing}: {available + swap} are available")
    for version, directory in _levels():
        limit_file, usage_file, reclaimable = _FILES[version]
        limit = _number(f"{directory}/{limit_file}")
        if limit is None or limit >= 1 << 62:
            continue
        used = (_number(f"{directory}/{usage_file}") or 0) - _reclaimable(directory, reclaimable)
        if used + size > limit + swap:
            raise limit_error(ENOMEM, doing, limit_file, limit, f"{directory}/{limit_file}")


def _levels() -> Iterator[tuple[str, str]]:
    """This process's memory cgroup and those around it, as (version, directory)."""
    try:
        with open(_GROUPS, errors="surrogateescape") as lines:
            groups = [line.rstrip("\n").split(":", 2) for line in lines]
        with open(_MOUNTS, errors="surrogateescape") as lines:
            mounts = [line.split() for line in lines]
    except OSError:
        return
    for fields in mounts:
        version = fields[fields.index("-") + 1]
        if version not in _FILES:
            continue
        root, place = fields[3], fields[4]
        for _, controllers, path in groups:
            ours = "memory" in controllers.split(",") if version == "cgroup" else not controllers
            options = fields[-1].split(",")
            if ours and (version == "cgroup2" or "memory" in options):
                yield from ((version, directory) for directory in _upwards(root, place, path))


def _upwards(root: str, place: str, path: str) -> Iterator[str]:
    """The directories from the cgroup of this *path* up, where the tree from *root* on is at *place*."""
    parts = [part for part in path.split("/") if part]
    top = [part for part in root.split("/") if part]
    if parts[: len(top)] != top:
        return  # a part of the tree that it is not in
    inside = [] if ".." in parts else parts[len(top) :]
    for count in range(len(inside), -1, -1):
        yield "/".join([place, *inside[:count]])


def _number(path: str) -> int | None:
    try:
        with open(path) as file:
            return int(file.read())
    except (OSError, ValueError):  # there is none, or it says "max"
        return None


def _reclaimable(directory: str, names: tuple[str, ...]) -> int:
    try:
        with open(f"{directory}/memory.stat") as lines:
            return sum(int(value) for name, value in map(str.split, lines) if name in names)
    except (OSError, ValueError):
        return 0


def _machine() -> tuple[int | None, int]:
    """Bytes that new pages could have, and bytes of swap space (which the cgroup may not be allowed)."""
    try:
        with open("/proc/meminfo") as lines:
            fields = dict(line.split(":") for line in lines)
        available, swap = (int(fields[name].split()[0]) << 10 for name in ("MemAvailable", "SwapFree"))
    except (OSError, ValueError, KeyError):
        return None, 0
    return available, swap
