from __future__ import annotations

import pytest

from pyipc import sysv
from pyipc.sysv.records import QueueStat, SetStat


def test_records_are_compared_and_printed_by_value():
    owner = (7, 1, 2, 3, 4, 0o600)
    one = SetStat(5, owner, count=1, op_time=2, change_time=3)
    assert one == SetStat(5, owner, count=1, op_time=2, change_time=3)
    assert one != SetStat(6, owner, count=1, op_time=2, change_time=3)
    assert one != (5, owner)
    assert repr(one).startswith("SetStat(id=5, key=7, mode=384, uid=1, gid=2, creator_uid=3, creator_gid=4, ")
    assert one.as_dict()["count"] == 1
    with pytest.raises(TypeError):
        hash(one)


def test_records_of_different_kinds_are_never_equal():
    owner = (0, 0, 0, 0, 0, 0)
    assert SetStat(1, owner) != QueueStat(1, owner)


def test_as_dict_holds_every_field_and_nothing_else():
    with sysv.SharedMemory.create(10) as segment, sysv.MessageQueue.create() as queue:
        for stat in (segment.stat(), queue.stat()):
            fields = stat.as_dict()
            annotated = {name for cls in type(stat).__mro__ for name in vars(cls).get("__annotations__", ())}
            assert set(fields) == annotated
            assert all(fields[name] == getattr(stat, name) for name in fields)
            with pytest.raises(AttributeError):
                stat.another = 1
