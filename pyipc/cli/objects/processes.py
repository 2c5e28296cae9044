"""Who has what: one walk through /proc (proc(5))."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from stat import S_ISFIFO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# address, permissions, offset, device, inode, and how the path of what is worth a look begins
_MAPPED = re.compile(
    rb"^\S+ \S+ \S+ ([0-9a-f]+):([0-9a-f]+) (\d+) +(/dev/shm/|/dev/mqueue/|/memfd:|/SYSV)", re.MULTILINE
)
_SYSV = b"/SYSV"
_MEMFD = "/memfd:"


class Processes:
    """The processes that there are, and what each has open or mapped.

    Attributes:
        files: Who has a file, by its device and inode.
        sockets: Who has a socket, by its inode.
        segments: Who has a System V segment attached, by its id.
        memfds: A process and a path in /proc to each memfd, by its device and inode.
        fifos: The path of each named FIFO that is open somewhere.
        blind: Whether there are processes that cannot be looked into from here.
    """

    def __init__(self) -> None:
        self.files: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
        self.sockets: defaultdict[int, set[int]] = defaultdict(set)
        self.segments: defaultdict[int, set[int]] = defaultdict(set)
        self.memfds: dict[tuple[int, int], tuple[str, str]] = {}
        self.fifos: dict[tuple[int, int], str] = {}
        self.blind = False
        for pid in self._pids():
            try:
                self._look_at_descriptors(pid)
                self._look_at_maps(pid)
            except PermissionError:
                self.blind = True
            except OSError:
                continue  # it has ended

    def _pids(self) -> Iterator[int]:
        for name in os.listdir("/proc"):
            if name.isdecimal():
                yield int(name)

    def _look_at_descriptors(self, pid: int) -> None:
        folder = os.open(f"/proc/{pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for number in os.listdir(folder):
                try:
                    link = os.readlink(number, dir_fd=folder)
                    if link.startswith("socket:["):
                        self.sockets[int(link[8:-1])].add(pid)
                    elif link.startswith("/"):
                        self._look_at_file(pid, number, link, folder)
                except PermissionError:
                    raise
                except OSError:
                    continue  # it was closed meanwhile
        finally:
            os.close(folder)

    def _look_at_file(self, pid: int, number: str, link: str, folder: int) -> None:
        facts = os.stat(number, dir_fd=folder)
        which = facts.st_dev, facts.st_ino
        self.files[which].add(pid)
        if link.startswith(_MEMFD):
            if which not in self.memfds:
                name = link[len(_MEMFD) :].removesuffix(" (deleted)")
                self.memfds[which] = f"/proc/{pid}/fd/{number}", name
        elif S_ISFIFO(facts.st_mode):
            self.fifos.setdefault(which, link)

    def _look_at_maps(self, pid: int) -> None:
        with open(f"/proc/{pid}/maps", "rb", buffering=0) as lines:
            text = lines.readall()
        for major, minor, inode, path in _MAPPED.findall(text):
            if path == _SYSV:
                self.segments[int(inode)].add(pid)  # its id is the number of its inode
            else:
                self.files[os.makedev(int(major, 16), int(minor, 16)), int(inode)].add(pid)


def began(pid: int) -> float | None:
    """When a process began, in seconds since 1970; None if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        with open("/proc/stat", "rb") as lines:
            boot = next(int(line.split()[1]) for line in lines if line.startswith(b"btime"))
    except OSError:
        return None
    if fields[0] in (b"Z", b"X"):
        return None
    return boot + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def lives(pid: int, made: int) -> bool:
    """Whether it is still the process that had this pid when something was *made* (in seconds since 1970)."""
    start = began(pid)
    return start is not None and start <= made + 1  # whole seconds, and a clock that was set meanwhile
