from __future__ import annotations

import os
from errno import E2BIG, EACCES, EAGAIN, EEXIST, EIDRM, EINVAL, ENOENT, ENOTSUP, EPERM

import pytest

from pyipc._backend import load

PRIVATE = 0
NOBODY = 65534
PAST = 0


@pytest.fixture
def msgmax():
    with open("/proc/sys/kernel/msgmax") as limit:
        return int(limit.read())


def test_one_sends_what_the_other_receives_and_removes(pair, key, row):
    maker, other = pair
    id = maker.msg_create(key, 0o640)
    assert (row("msg", id)["key"], row("msg", id)["perms"]) == (key, 0o640)
    assert other.now_msg_find(key) == id
    assert maker.now_msg_send(id, 3, b"three") == maker.now_msg_send(id, 1, b"") == 0
    assert (row("msg", id)["qnum"], row("msg", id)["cbytes"], row("msg", id)["lspid"]) == (2, 5, os.getpid())
    assert other.now_msg_receive(id, 100, 0, 0) == (b"three", 3)
    assert other.now_msg_receive(id, 100, 0, 0) == (b"", 1)
    assert other.now_msg_receive(id, 100, 0, 0) == -EAGAIN
    assert other.msg_remove(id) == 0
    assert row("msg", id) is None
    assert maker.now_msg_find(key) == -ENOENT


def test_receivers_choose_by_type(pair, key):
    maker, other = pair
    id = maker.msg_create(key, 0o600)
    for type in (5, 3, 5, 2**31 - 1):
        assert maker.now_msg_send(id, type, b"%d" % type) == 0
    assert other.now_msg_receive(id, 100, 4, 0) == -EAGAIN
    assert other.now_msg_receive(id, 100, -2, 0) == -EAGAIN
    assert other.now_msg_receive(id, 100, -5, 0) == (b"3", 3)
    assert other.now_msg_receive(id, 100, 2**31 - 1, 0) == (b"2147483647", 2**31 - 1)
    assert other.now_msg_receive(id, 100, -(2**31), 0) == (b"5", 5)
    assert other.now_msg_receive(id, 100, 0, 0) == (b"5", 5)
    assert other.msg_remove(id) == 0


@pytest.mark.parametrize("private", [False, True], ids=["by key", "private"])
@pytest.mark.parametrize("size", [0, 1, 99, 8191])
def test_a_longer_message_stays(backend, key, size, private):
    id = backend.msg_create(PRIVATE if private else key, 0o600)
    data = os.urandom(size + 1)
    assert backend.now_msg_send(id, 1, data) == 0
    assert backend.now_msg_receive(id, size, 0, 0) == -E2BIG
    assert backend.msg_receive(id, size, 0, 0, PAST) == -E2BIG
    assert backend.now_msg_receive(id, size + 1, 0, 0) == (data, 1)
    assert backend.msg_remove(id) == 0


def test_a_full_queue_takes_no_more(pair, key, msgmax):
    maker, other = pair
    id = maker.msg_create(key, 0o600)
    assert other.now_msg_set(id, -1, -1, -1, 100) == 0
    assert maker.now_msg_send(id, 1, bytes(60)) == 0
    assert maker.now_msg_send(id, 1, bytes(41)) == other.now_msg_send(id, 1, bytes(41)) == -EAGAIN
    assert other.now_msg_send(id, 1, bytes(40)) == 0
    assert maker.now_msg_stat(id)[1:4] == (100, 2, 100)
    assert other.msg_remove(id) == 0


def test_messages_have_a_longest(pair, key, msgmax):
    maker, other = pair
    id = maker.msg_create(key, 0o600)
    data = os.urandom(msgmax)
    assert other.msg_send(id, 1, data, PAST) == 0
    assert maker.now_msg_receive(id, msgmax, 0, 0) == (data, 1)
    assert other.msg_send(id, 1, bytes(msgmax + 1), PAST) == -EINVAL
    assert other.msg_send(id, 1, bytes(1 << 20), PAST) == -EINVAL
    assert other.msg_remove(id) == 0


def test_a_type_is_above_zero(backend):
    id = backend.msg_create(PRIVATE, 0o600)
    assert backend.now_msg_send(id, 0, b"") == backend.now_msg_send(id, -1, b"") == -EINVAL
    assert backend.msg_remove(id) == 0


def test_types_of_more_than_32_bits_are_sent_or_refused_never_cut(backend, key, row):
    id = backend.msg_create(key, 0o600)
    type = (1 << 32) + 5
    result = backend.now_msg_send(id, type, b"x")
    if result == 0:
        assert backend.now_msg_receive(id, 9, 5, 0) == -EAGAIN
        assert backend.now_msg_receive(id, 9, type, 0) == (b"x", type)
    else:
        assert result == backend.msg_send(id, type, b"x", PAST) == -ENOTSUP
        assert backend.now_msg_receive(id, 9, type, 0) == backend.now_msg_receive(id, 9, -type, 0) == -ENOTSUP
        assert row("msg", id)["qnum"] == 0
    assert backend.msg_remove(id) == 0


def test_a_type_of_64_bits_from_elsewhere_arrives_whole(both, key):
    native, fallback = load("native"), load("fallback")
    id = native.msg_create(key, 0o600)
    assert native.now_msg_send(id, 1 << 40, b"x") == 0
    assert fallback.now_msg_receive(id, 9, 0, 0) == (b"x", 1 << 40)
    assert fallback.msg_remove(id) == 0


def test_ways_to_receive_are_had_or_refused_and_lose_nothing(backend, key, row):
    able = backend.capabilities()
    id = backend.msg_create(key, 0o600)
    assert backend.now_msg_send(id, 7, b"seven") == 0
    for name, flag, type in (
        ("sysv.receive_copy", backend.MSG_COPY, 0),
        ("sysv.receive_except", backend.MSG_EXCEPT, 8),
        ("sysv.receive_truncated", backend.MSG_TRUNCATE, 0),
    ):
        size = 2 if name == "sysv.receive_truncated" else 100
        result = backend.now_msg_receive(id, size, type, flag)
        if not able[name]:
            assert result == backend.msg_receive(id, size, type, flag, PAST) == -ENOTSUP
        elif row("msg", id)["qnum"] == 0:
            assert result == (b"seven"[:size], 7)
            assert backend.now_msg_send(id, 7, b"seven") == 0
    assert row("msg", id)["qnum"] == 1
    assert backend.msg_remove(id) == 0


def test_private_queues_are_new_each_time_and_used_by_both(pair):
    maker, other = pair
    ids = [maker.msg_create(PRIVATE, 0o600) for _ in range(3)]
    assert len(set(ids)) == 3
    if other is maker or maker.NAME == "fallback":
        assert other.now_msg_send(ids[1], 1, b"x") == 0
        assert [maker.now_msg_receive(id, 9, 0, 0) for id in ids] == [-EAGAIN, (b"x", 1), -EAGAIN]
    else:  # it has no key to open it by
        assert other.now_msg_send(ids[1], 1, b"x") == other.now_msg_stat(ids[1]) == -ENOTSUP
    assert [other.msg_remove(id) for id in ids] == [0, 0, 0]


def test_a_taken_key_exists(pair, key):
    maker, other = pair
    id = maker.msg_create(key, 0)
    assert maker.msg_create(key, 0o600) == other.msg_create(key, 0o600) == -EEXIST
    assert other.msg_remove(id) == 0


def test_what_was_removed_is_gone_for_both(pair, key):
    maker, other = pair
    id = maker.msg_create(key, 0o600)
    for backend in pair:  # so that each of them may have kept something
        assert backend.now_msg_send(id, 1, b"x") == 0
        assert backend.now_msg_receive(id, 10, 0, 0) == (b"x", 1)
    assert maker.msg_remove(id) == 0
    for backend in pair:
        assert backend.msg_remove(id) == -EIDRM
        assert backend.now_msg_send(id, 1, b"x") == backend.msg_send(id, 1, bytes(9000), PAST) == -EIDRM
        assert backend.now_msg_receive(id, 10, 0, 0) == backend.msg_receive(id, 77, 0, 0, PAST) == -EIDRM
        assert backend.now_msg_stat(id) == backend.now_msg_set(id, -1, -1, 0o600, -1) == -EIDRM
        assert backend.now_msg_send(-1, 1, b"x") == backend.now_msg_stat(-1) == -EIDRM
    again = other.msg_create(key, 0o600)
    assert again != id
    assert maker.now_msg_send(again, 1, b"y") == 0
    assert maker.now_msg_send(id, 1, b"x") == -EIDRM
    assert maker.msg_remove(again) == 0


def test_stat_is_what_the_kernel_lists(pair, key, row):
    maker, other = pair
    id = maker.msg_create(key, 0o640)
    maker.now_msg_send(id, 1, b"four")
    owner = (key, os.geteuid(), os.getegid(), os.geteuid(), os.getegid(), 0o640)
    listed = [row("msg", id)[name] for name in ("stime", "rtime", "ctime", "lspid", "lrpid")]
    most = maker.now_msg_stat(id)[3]
    assert maker.now_msg_stat(id) == other.now_msg_stat(id) == (owner, 4, 1, most, *listed)
    with open("/proc/sys/kernel/msgmnb") as limit:
        assert most == int(limit.read())
    assert other.msg_remove(id) == 0


def test_owner_group_mode_and_bound_are_changed_each_alone_or_together(pair, key):
    if os.geteuid() != 0:
        pytest.skip("only root can give its objects away")
    maker, other = pair
    id = maker.msg_create(key, 0o600)
    assert other.now_msg_set(id, -1, -1, 0o604, -1) == 0
    assert other.now_msg_set(id, 5, -1, -1, -1) == 0
    assert maker.now_msg_stat(id)[0] == (key, 5, 0, 0, 0, 0o604)
    assert other.now_msg_set(id, 6, 7, 0, 77) == 0
    assert (maker.now_msg_stat(id)[0], maker.now_msg_stat(id)[3]) == ((key, 6, 7, 0, 0, 0), 77)
    assert other.now_msg_set(id, 2**32 - 1, -1, -1, -1) == -EINVAL
    assert maker.msg_remove(id) == 0


def test_a_user_without_rights_is_refused_alike(privileged, pair, key, forked):
    maker, other = pair
    id = maker.msg_create(key, 0o600)

    def attempts():
        return [
            other.now_msg_find(key) == id,
            other.now_msg_send(id, 1, b"x"),
            other.now_msg_receive(id, 9, 0, 0),
            other.now_msg_stat(id),
            other.now_msg_set(id, -1, -1, 0o666, -1),
            other.msg_remove(id),
            other.msg_create(key, 0o600),
        ]

    assert forked(attempts, user=NOBODY)() == [True, *[-EACCES] * 4, -EPERM, -EEXIST]
    assert maker.msg_remove(id) == 0


def test_a_user_who_may_read_reads_and_no_more(privileged, pair, key, forked):
    maker, other = pair
    id = maker.msg_create(key, 0o604)
    assert maker.now_msg_send(id, 1, b"read") == 0

    def attempts():
        return [
            other.now_msg_receive(id, 9, 0, 0),
            other.now_msg_stat(id)[2],
            other.now_msg_send(id, 1, b"x"),
            other.now_msg_set(id, -1, -1, 0o666, -1),
            other.now_msg_set(id, -1, -1, -1, 1),
        ]

    assert forked(attempts, user=NOBODY)() == [(b"read", 1), 0, -EACCES, -EPERM, -EPERM]
    assert maker.msg_remove(id) == 0


def test_the_bound_may_not_be_raised_by_everybody(backend, key, forked):
    def attempts():
        id = backend.msg_create(key, 0o600)
        return [backend.now_msg_set(id, -1, -1, -1, most) for most in (1 << 30, 100)] + [
            backend.msg_remove(id)
        ]

    assert forked(attempts, user=NOBODY)() == [-EPERM, 0, 0]


def test_many_sizes_and_queues_are_told_apart(pair):
    """More than anything that is kept for speed holds."""
    maker, other = pair
    keys = range(0x52000001, 0x52000001 + 20)
    ids = [maker.msg_create(key, 0o600) for key in keys]
    for size in range(0, 400, 7):
        for id in ids[:3]:
            assert maker.now_msg_send(id, 1, bytes(size)) == 0
            assert other.now_msg_receive(id, size - 1, 0, 0) == -E2BIG if size else True
            assert other.now_msg_receive(id, size, 0, 0) == (bytes(size), 1)
    assert {other.msg_remove(id) for id in ids} == {0}
