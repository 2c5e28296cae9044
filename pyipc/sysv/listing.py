"""What the kernel holds, whoever made it: /proc/sysvipc, which everybody may read (proc(5))."""

from __future__ import annotations

from .records import QueueStat, SegmentStat, SetStat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._backend.protocol import Owner


def _rows(table: str) -> list[dict[str, str]]:
    with open(f"/proc/sysvipc/{table}") as lines:
        names = next(lines).split()
        return [dict(zip(names, line.split())) for line in lines]


def _owner(row: dict[str, str]) -> Owner:
    uid, gid, creator_uid, creator_gid = (int(row[name]) for name in ("uid", "gid", "cuid", "cgid"))
    return int(row["key"]), uid, gid, creator_uid, creator_gid, int(row["perms"], 8) & 0o777


def segments() -> list[SegmentStat]:
    """Every segment of this IPC namespace."""
    return [
        SegmentStat(
            int(row["shmid"]),
            _owner(row),
            size=int(row["size"]),
            attach_count=int(row["nattch"]),
            attach_time=int(row["atime"]),
            detach_time=int(row["dtime"]),
            change_time=int(row["ctime"]),
            creator_pid=int(row["cpid"]),
            last_pid=int(row["lpid"]),
            resident=int(row["rss"]),
            swapped=int(row["swap"]),
        )
        for row in _rows("shm")
    ]


def semaphore_sets() -> list[SetStat]:
    """Every semaphore set of this IPC namespace."""
    return [
        SetStat(
            int(row["semid"]),
            _owner(row),
            count=int(row["nsems"]),
            op_time=int(row["otime"]),
            change_time=int(row["ctime"]),
        )
        for row in _rows("sem")
    ]


def message_queues() -> list[QueueStat]:
    """Every message queue of this IPC namespace."""
    return [
        QueueStat(
            int(row["msqid"]),
            _owner(row),
            bytes=int(row["cbytes"]),
            messages=int(row["qnum"]),
            max_bytes=None,
            send_time=int(row["stime"]),
            receive_time=int(row["rtime"]),
            change_time=int(row["ctime"]),
            last_send_pid=int(row["lspid"]),
            last_receive_pid=int(row["lrpid"]),
        )
        for row in _rows("msg")
    ]
