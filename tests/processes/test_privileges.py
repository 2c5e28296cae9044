"""Becoming another user for good, as /proc/self/status has it: run as root, and as a plain user."""

from __future__ import annotations

import grp
import os
import pwd

import pytest

import pyipc
from pyipc import _privileges, processes

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def drop_and_look(self, *who):
    """What the kernel says, and what can still be done."""
    try:
        processes.drop_privileges(*who)
    except OSError as problem:
        self.say((type(problem).__name__, str(problem)))
        return
    with open("/proc/self/status") as lines:
        facts = dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)
    back = []
    for call in lambda: os.setuid(0), lambda: os.seteuid(0), lambda: os.setgid(0), lambda: os.setgroups([0]):
        try:
            call()
            back.append(True)
        except PermissionError:
            back.append(False)
    ids = [[int(number) for number in facts[name].split()] for name in ("Uid", "Gid", "Groups")]
    self.say((*ids, int(facts["CapEff"], 16), int(facts["CapPrm"], 16), back))


@pytest.fixture
def dropped(fork):
    def ask(*who):
        child = fork(drop_and_look, *who)
        answer = child.hear()
        assert child.end() == 0
        return answer

    return ask


NO_WAY_BACK = [False] * 4


@needs_root
def test_a_name_brings_its_own_groups_and_leaves_nothing_of_root(dropped):
    entry = pwd.getpwnam("nobody")
    groups = sorted(set(os.getgrouplist("nobody", entry.pw_gid)))
    uids, gids, found, *caps, back = dropped("nobody")
    assert uids == [entry.pw_uid] * 4
    assert gids == [entry.pw_gid] * 4
    assert sorted(found) == groups
    assert (caps, back) == ([0, 0], NO_WAY_BACK)


@needs_root
def test_numbers_are_taken_as_they_are(dropped):
    uids, gids, found, *caps, back = dropped(12345, 23456, [34567, 45678, 34567])
    assert (uids, gids, sorted(found)) == ([12345] * 4, [23456] * 4, [34567, 45678])
    assert (caps, back) == ([0, 0], NO_WAY_BACK)


@needs_root
def test_a_stranger_to_the_password_database_has_no_groups_but_the_one(dropped):
    uids, gids, found, *_ = dropped(12345, 23456)
    assert (uids, gids, found) == ([12345] * 4, [23456] * 4, [])


@needs_root
def test_a_group_alone_changes_the_group_alone(dropped):
    name = grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name
    uids, gids, found, *_ = dropped(None, name)
    assert (uids, gids, sorted(found)) == ([0] * 4, [grp.getgrnam(name).gr_gid] * 4, sorted(os.getgroups()))


def test_who_is_that_already_needs_no_right_to_be(fork):
    def already(self):
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        before = os.getresuid(), os.getresgid(), os.getgroups()
        processes.drop_privileges(os.getuid(), os.getgid(), os.getgroups())
        self.say(before == (os.getresuid(), os.getresgid(), os.getgroups()))

    child = fork(already)
    assert child.hear() is True
    assert child.end() == 0


def refuse(self, who):
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    drop_and_look(self, *who)


@pytest.mark.parametrize(
    ("who", "step"),
    [
        ((1, NOBODY, []), "supplementary groups|become"),  # whichever is not so already
        ((None, 1), "become group 1"),
        ((None, None, [1]), "supplementary groups"),
        ((0, 0), "supplementary groups|become"),
    ],
)
def test_a_plain_user_is_refused_and_told_which_step(fork, who, step):
    import re

    child = fork(refuse, who)
    kind, text = child.hear()
    assert kind == "AccessError"
    assert re.search(step, text)
    assert child.end() == 0


@needs_root
def test_root_that_could_be_had_back_is_an_error(fork):
    """PR_SET_SECUREBITS: SECBIT_NO_SETUID_FIXUP keeps the capabilities when the user changes."""

    def keep_capabilities(self):
        import ctypes

        if ctypes.CDLL(None).prctl(28, 1 << 2, 0, 0, 0) != 0:
            self.say("cannot")
            return
        drop_and_look(self, NOBODY, NOBODY, [])

    child = fork(keep_capabilities)
    answer = child.hear()
    assert child.end() == 0
    if answer == "cannot":
        pytest.skip("no such securebits here")
    kind, text = answer
    assert kind == "AccessError"
    assert "root could be had back" in text


@pytest.mark.parametrize(
    "who",
    [("no such user",), (None, "no such group"), (None, None, ["no such group"]), (-1, 0), (1 << 32, 0)],
)
def test_nobody_and_nowhere_are_value_errors(who):
    before = os.getresuid(), os.getresgid()
    with pytest.raises(ValueError, match=r"no such|number"):
        processes.drop_privileges(*who)
    assert (os.getresuid(), os.getresgid()) == before


def test_a_number_that_nobody_knows_needs_a_group():
    with pytest.raises(ValueError, match="which group"):
        processes.drop_privileges(3999999999)


@pytest.mark.parametrize("who", [(1.5, 0), (True, 0), (None, b"root"), (None, None, 7)])
def test_what_is_no_user_is_a_type_error(who):
    with pytest.raises(TypeError):
        processes.drop_privileges(*who)


def test_nothing_to_drop_is_nothing():
    before = os.getresuid(), os.getresgid(), os.getgroups()
    processes.drop_privileges()
    assert (os.getresuid(), os.getresgid(), os.getgroups()) == before
    assert _privileges.resolve(None, None, None) == (-1, -1, None)
    assert issubclass(pyipc.AccessError, PermissionError)
