"""Programs in processes of their own, call by call; the program and /proc say what it is."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time
from errno import (
    EACCES,
    EAGAIN,
    EBADF,
    ECHILD,
    EMFILE,
    ENOENT,
    ENOEXEC,
    ENOTDIR,
    ENOTSUP,
    ENOTTY,
    EPERM,
    ETIMEDOUT,
)

import pytest

FOREVER = 2**63 - 1
SAME = {
    "variables": b"PATH=/usr/bin:/bin\0",
    "directory": None,
    "moves": {},
    "flags": 0,
    "process_group": -1,
    "umask": -1,
    "uid": -1,
    "gid": -1,
    "groups": None,
}


@pytest.fixture
def owner(backend):
    class Owner(backend.Descriptor):
        __slots__ = ()

        def _refuse(self):
            raise ValueError("it owns nothing")

        def __repr__(self):
            return f"<owner of {self._number}>"

    owned = Owner.__new__(Owner)
    yield owned
    owned._close()


def text(*strings):
    return b"".join(string + b"\0" for string in strings)


def start(backend, owner, script, paths=(b"/bin/sh",), **changes):
    words = text(b"sh", b"-c", script.encode())
    return backend.spawn(owner, text(*paths), words, **{**SAME, **changes})


def end_of(backend, owner, record=None):
    record = backend.child_record() if record is None else record
    deadline = time.monotonic_ns() + 20 * 10**9
    while (result := backend.child_wait(owner, record, deadline)) < 0:
        assert result == -4  # EINTR: a second has gone by
    return backend.now_child_exit(record)


def what_it_says(backend, owner, script, **changes):
    read, write = os.pipe()
    try:
        changes.setdefault("moves", {})[1] = write
        pid = start(backend, owner, script, **changes)
        assert isinstance(pid, int), pid
        os.close(write)
        write = -1
        text = b""
        while part := os.read(read, 65536):
            text += part
        assert end_of(backend, owner) == (pid, 0, 0, False)
        owner._close()
        return text.decode().split("\n")[:-1]
    finally:
        os.close(read)
        if write >= 0:
            os.close(write)


def test_it_runs_and_its_end_is_kept(backend, owner):
    record = backend.child_record()
    assert backend.now_child_exit(record) == -EAGAIN
    pid = start(backend, owner, "exit 7")
    assert pid > 0
    assert owner._number >= 0
    assert not os.get_inheritable(owner._number)
    assert end_of(backend, owner, record) == (pid, 7, 0, False)
    assert backend.now_child_exit(record) == (pid, 7, 0, False)
    assert backend.now_child_reap(owner, backend.child_record()) == -ECHILD


def test_one_that_runs_has_no_end_yet(backend, owner):
    record = backend.child_record()
    pid = start(backend, owner, "exec sleep 100")
    assert backend.now_child_reap(owner, record) == -EAGAIN
    assert backend.child_wait(owner, record, time.monotonic_ns() + 10**7) == -ETIMEDOUT
    assert backend.now_child_exit(record) == -EAGAIN
    os.kill(pid, signal.SIGTERM)
    assert end_of(backend, owner, record) == (pid, -1, signal.SIGTERM, False)


def test_who_was_reaped_by_another_has_no_end(backend, owner):
    record = backend.child_record()
    os.waitpid(start(backend, owner, "exit 3"), 0)
    assert backend.now_child_reap(owner, record) == -ECHILD
    assert backend.child_wait(owner, record, FOREVER) == -ECHILD
    assert backend.now_child_exit(record) == -EAGAIN


def test_what_it_is_told(backend, owner):
    changes = {"variables": text(b"A=1 =2", b"B=", b"PATH=/bin"), "umask": 0o123, "directory": b"/proc"}
    read = what_it_says(backend, owner, 'echo "$A|$B|$PATH"; umask; pwd', **changes)
    assert read == ["1 =2||/bin", "0123", "/proc"]


def test_the_first_that_is_there_is_run(backend, owner):
    missing, below = b"/no/such/place", b"/etc/passwd/below"
    assert start(backend, owner, "exit 1", [missing, below, b"/etc/passwd", b"/bin/sh"]) > 0
    end_of(backend, owner)
    owner._close()
    for paths, error in (
        ([missing], ENOENT),
        ([], ENOENT),
        ([b"/etc/passwd", missing], EACCES),
        ([b"/tmp"], EACCES),
    ):
        assert start(backend, owner, "exit 1", paths) == (-error, "exec")
        assert owner._number < 0


def test_a_file_that_is_no_program(backend, owner, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    file.chmod(0o755)
    assert start(backend, owner, "exit 1", [os.fsencode(file), b"/bin/sh"]) == (-ENOEXEC, "exec")


def test_it_has_what_it_was_given_and_nothing_else(backend, owner, tmp_path):
    with open(tmp_path / "file", "w+") as file:
        for number in range(50, 90):
            os.dup2(file.fileno(), number)  # inheritable
        try:
            script = "cd /proc/$$/fd; readlink 0; test -e 50 || echo no 50; set -- *; echo $#"
            said = what_it_says(backend, owner, script, moves={0: file.fileno(), 70: 70})
        finally:
            for number in range(50, 90):
                os.close(number)
    assert said[:2] == [str(tmp_path / "file"), "no 50"]
    assert 4 <= int(said[2]) <= 5  # the shell's look takes one of its own


def test_a_number_may_become_another(backend, owner, tmp_path):
    with open(tmp_path / "file", "w+") as file:
        moves = {9: file.fileno()}
        result = start(backend, owner, "test /proc/self/fd/9 -ef /proc/self/fd/9", moves=moves)
        if result == (-ENOTSUP, "descriptors"):
            pytest.skip("this backend gives no descriptor another number")
        assert end_of(backend, owner)[1] == 0


@pytest.mark.parametrize("moves", [{0: 1, 1: 0}, {0: 1, 1: 2, 2: 0}, {1: 2, 2: 1}])
def test_the_three_may_change_places(backend, owner, forked, moves, tmp_path):
    def change():
        for number in range(3):
            place = os.open(tmp_path / str(number), os.O_RDWR | os.O_CREAT)
            os.dup2(place, number)
        script = f'a=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2); echo "$a" >{tmp_path}/said'
        pid = start(backend, owner, script, moves=moves)
        os.waitpid(pid, 0)
        return [line[-1] for line in (tmp_path / "said").read_text().split("\n")[:-1]]

    assert forked(change)() == [str(moves.get(number, number)) for number in range(3)]


def test_where_we_have_none_it_has_dev_null(backend, owner, forked, tmp_path):
    def close_them():
        for number in range(3):
            os.close(number)
        script = f'a=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2); echo "$a" >{tmp_path}/said'
        pid = start(backend, owner, script)
        os.waitpid(pid, 0)
        return (tmp_path / "said").read_text().split()

    assert forked(close_them)() == ["/dev/null"] * 3


def test_sessions_and_groups(backend, owner):
    ids = "cut -d' ' -f5,6 /proc/$$/stat; echo $$"
    group, me = what_it_says(backend, owner, ids)
    assert group == f"{os.getpgrp()} {os.getsid(0)}"
    group, me = what_it_says(backend, owner, ids, process_group=0)
    assert group == f"{me} {os.getsid(0)}"
    group, me = what_it_says(backend, owner, ids, flags=backend.SPAWN_NEW_SESSION)
    assert group == f"{me} {me}"


def test_a_terminal_of_its_own(backend, owner):
    master, slave = os.openpty()
    try:
        flags = backend.SPAWN_NEW_SESSION | backend.SPAWN_OWN_TERMINAL
        said = what_it_says(
            backend, owner, "ps -o tty= -p $$; : </dev/tty && echo yes", moves={0: slave}, flags=flags
        )
        assert said[-1] == "yes"
        read, write = os.pipe()
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, read)
            stack.callback(os.close, write)
            assert start(backend, owner, "", moves={0: read}, flags=flags) == (-ENOTTY, "terminal")
    finally:
        os.close(master)
        os.close(slave)


def test_each_step_that_fails_says_so(backend, owner):
    assert start(backend, owner, "", directory=b"/no/such") == (-ENOENT, "directory")
    assert start(backend, owner, "", directory=b"/etc/passwd") == (-ENOTDIR, "directory")
    assert start(backend, owner, "", process_group=1) == (-EPERM, "group")
    assert start(backend, owner, "", moves={0: 777}) == (-EBADF, "descriptors")
    assert owner._number < 0


def test_no_room_for_descriptors(backend, owner):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    start(backend, owner, "exit 0")  # imports what it imports
    end_of(backend, owner)
    owner._close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1, hard))
    taken = []
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(2))
        assert start(backend, owner, "") == (-EMFILE, "clone")
        assert start(backend, owner, "", directory=b"/") == (-EMFILE, "clone")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for number in taken:
            os.close(number)
    assert owner._number < 0


def test_it_becomes_another_user(backend, owner, privileged):
    read = what_it_says(
        backend, owner, "id -u; id -g; id -G; grep -c '\t65534\t65534\t65534\t65534' /proc/self/status",
        uid=65534, gid=65534, groups=[5, 9],
    )  # fmt: skip
    assert read == ["65534", "65534", "65534 5 9", "2"]
    assert os.getuid() == 0
    assert os.stat("/proc/self").st_uid == 0


def test_a_plain_user_may_not(backend, owner, forked):
    def wants_to_be_root():
        return (
            start(backend, owner, "", uid=0),
            start(backend, owner, "", gid=0),
            start(backend, owner, "", groups=[0]),
        )

    assert forked(wants_to_be_root, user=65534)() == ((-EPERM, "user"),) * 3


def test_it_has_no_mask_and_what_python_ignores_is_default(backend, owner):
    old = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGRTMIN + 1])
    try:
        said = what_it_says(backend, owner, "grep -E 'Sig(Blk|Ign)' /proc/self/status")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
    masks = {line[:6]: int(line[8:], 16) for line in said}
    assert masks["SigBlk"] == 0
    assert not masks["SigIgn"] & (1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1)


def test_it_dies_with_its_parent(backend, owner, forked):
    read, write = os.pipe()

    def parent():
        pid = start(backend, owner, "exec sleep 100", moves={1: write}, flags=backend.SPAWN_DIE_WITH_PARENT)
        return isinstance(pid, int) and os.kill(os.getpid(), signal.SIGKILL)

    ended = forked(parent)
    os.close(write)
    assert os.read(read, 1) == b""  # nobody has the other end any more
    os.close(read)
    with contextlib.suppress(AssertionError):  # it has no answer: it was killed
        ended()
