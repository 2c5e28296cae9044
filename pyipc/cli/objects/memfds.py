"""Memory without a name, which lives as long as its holders; and the channels that live in some of it."""

from __future__ import annotations

import os
from fcntl import F_WRLCK, fcntl
from struct import Struct

from .found import IN_USE, ORPHAN, Found

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .processes import Processes

# csrc/channel_layout.h: magic, major, kind; and where the two counts are.
_MAGIC = 0x3143437970690A89
_HEAD = Struct("<QII")
_SENT, _RECEIVED, _LEAST = 256, 512, 520
_COUNT = Struct("<Q")

# The lock of each member is a byte of the file (csrc/roster.c).
_F_OFD_GETLK = 36
_LOCK = Struct("hhqqi4x")
_F_UNLCK = 2
_SLOTS = 1024


def objects(processes: Processes) -> Iterator[Found]:
    """All memfds that some process has open, as far as /proc shows."""
    for (device, inode), (path, name) in processes.memfds.items():
        holders = processes.files[device, inode]
        found = Found("memfd", f"{name}:{inode}", IN_USE, holders=holders)
        try:
            with open(path, "rb", buffering=0) as file:
                facts = os.fstat(file.fileno())
                if (facts.st_dev, facts.st_ino) != (device, inode):
                    continue  # another has its number by now
                found.uid, found.mode = facts.st_uid, facts.st_mode & 0o777
                found.size, found.changed = 512 * facts.st_blocks, int(facts.st_ctime)
                _look_for_a_channel(file.fileno(), found)
        except OSError:
            continue  # its holder has gone, or does not show it
        yield found


def _look_for_a_channel(number: int, found: Found) -> None:
    head = os.pread(number, _LEAST, 0)
    if len(head) < _LEAST or _HEAD.unpack_from(head)[0] != _MAGIC:
        return
    found.kind = "channel"
    sent, received = (_COUNT.unpack_from(head, at)[0] for at in (_SENT, _RECEIVED))
    found.count, found.moved = max(0, sent - received), sent
    if not _members(number):
        found.verdict = ORPHAN  # somebody has it open, but nobody who takes part


def _members(number: int) -> int:
    """How many take part: so many bytes are locked."""
    count = at = 0
    while at < _SLOTS:
        asked = _LOCK.pack(F_WRLCK, os.SEEK_SET, at, _SLOTS - at, 0)
        kind, _, start, length, _ = _LOCK.unpack(fcntl(number, _F_OFD_GETLK, asked))
        if kind == _F_UNLCK:
            break
        count += 1
        at = start + max(1, length)
    return count
