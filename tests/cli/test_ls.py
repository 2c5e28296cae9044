"""`pyipc ls`: what it lists, beside what the kernel and ipcs(1) list."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess

import pytest

import pyipc
from pyipc import fifos, memory, posix, sysv
from pyipc.cli.objects.processes import lives

IN_USE, IDLE, ORPHAN = "in use", "idle", "orphan"
KINDS = {"sysv shm": ("shm", "shmid"), "sysv sem": ("sem", "semid"), "sysv msg": ("msg", "msqid")}


def of_the_kernel(table, id):
    with open(f"/proc/sysvipc/{table}") as lines:
        names = next(lines).split()
        return {int(row[id]): row for row in (dict(zip(names, line.split())) for line in lines)}


@pytest.fixture
def many(key):
    """Some objects of each kind of System V, some of them with keys."""
    with (
        sysv.SharedMemory.create(2000) as segment,
        sysv.SharedMemory.create(5000, key=key, mode=0o640) as other,
        contextlib.closing(sysv.Semaphore.create(1)) as set,
        sysv.MessageQueue.create() as queue,
    ):
        queue.send(b"one")
        queue.send(b"and two")
        yield segment, other, set, queue


@pytest.mark.parametrize("kind", KINDS)
def test_system_v_agrees_with_the_kernel_object_for_object(many, listed, kind):
    table, id = KINDS[kind]
    rows = of_the_kernel(table, id)
    found = {id: one for (_, id), one in listed("--kind", kind).items()}
    assert found.keys() == rows.keys()
    for id, one in found.items():
        assert one["uid"] == int(rows[id]["uid"])
        assert one["mode"] == int(rows[id]["perms"], 8) & 0o777
        assert one["key"] == int(rows[id]["key"])


@pytest.mark.skipif(not shutil.which("ipcs"), reason="ipcs is not installed")
@pytest.mark.parametrize(("kind", "option"), [("sysv shm", "-m"), ("sysv sem", "-s"), ("sysv msg", "-q")])
def test_system_v_agrees_with_ipcs(many, listed, kind, option):
    lines = subprocess.run(["ipcs", option], capture_output=True, text=True, check=True).stdout.splitlines()
    ids = {int(line.split()[1]) for line in lines if line.startswith("0x")}
    assert {id for _, id in listed("--kind", kind)} == ids


def test_what_system_v_objects_hold(many, listed):
    segment, other, set, queue = many
    found = listed()
    assert found["sysv shm", segment.id]["size"] == 2000
    assert found["sysv shm", segment.id]["maker"] == os.getpid()
    assert os.getpid() in found["sysv shm", segment.id]["holders"]
    assert found["sysv shm", other.id]["verdict"] == IN_USE
    assert found["sysv sem", set.id]["count"] == 1
    assert (found["sysv msg", queue.id]["count"], found["sysv msg", queue.id]["size"]) == (2, 10)


def test_who_waits_for_a_semaphore(child, listed, until):
    if pyipc.backend() != "native":
        pytest.skip("the fallback tries and naps: nobody is seen to wait")
    with contextlib.closing(sysv.Semaphore.create(0)) as semaphore:

        def wait(say, hear, id):
            from pyipc import sysv

            sysv.Semaphore.attach(id).acquire()

        other = child(wait, semaphore.id)
        until(lambda: semaphore.waiters == 1)
        one = listed()["sysv sem", semaphore.id]
        assert (one["waiters"], one["verdict"]) == (1, IN_USE)
        semaphore.release()
        assert other.end() == 0
        one = listed()["sysv sem", semaphore.id]
        assert (one["waiters"], one["verdict"]) == (0, IDLE)


def test_posix_objects_agree_with_the_file_system(listed):
    name = f"/pyipc-ls-{os.getpid()}"
    with posix.SharedMemory.create(name, 3000, mode=0o640):
        found = listed()
        files = {f"/{entry}" for entry in os.listdir("/dev/shm") if os.path.isfile(f"/dev/shm/{entry}")}
        shm = {id for kind, id in found if kind == "posix shm"}
        sem = {f"/sem.{id[1:]}" for kind, id in found if kind == "posix sem"}
        assert shm | sem == files
        one = found["posix shm", name]
        assert (one["size"], one["mode"], one["verdict"]) == (3000, 0o640, IN_USE)
        assert one["holders"] == [os.getpid()]


def test_a_named_semaphore_has_its_value(listed):
    if not pyipc.capabilities()["posix.semaphores"]:
        pytest.skip("this backend has no named semaphores")
    name = f"/pyipc-ls-{os.getpid()}"
    with contextlib.closing(posix.Semaphore.create(name, initial=3)):  # not `with`, which takes it
        one = listed("--kind", "posix sem")["posix sem", name]
        assert (one["count"], one["waiters"], one["verdict"]) == (3, 0, IN_USE)


def test_a_memfd_has_its_holders(child, listed):
    def hold(say, hear, pid, number):
        import os

        with open(f"/proc/{pid}/fd/{number}", "rb"):
            say(os.getpid())
            hear()

    with memory.Memory(8192) as mine:
        other = child(hold, os.getpid(), mine.fileno())
        pid = other.hear()
        inode = os.fstat(mine.fileno()).st_ino
        one = listed("--kind", "memfd")["memfd", f"pyipc:{inode}"]
        assert one["holders"] == sorted([os.getpid(), pid])
        assert (one["size"], one["verdict"], one["removable"]) == (8192, IN_USE, False)
        other.say(None)
        other.end()


def test_a_channel_tells_how_many_wait_in_it(listed):
    if pyipc.backend() != "native":
        pytest.skip("this backend has no channels")
    from pyipc import channels

    with channels.Channel() as channel:
        for text in (b"one", b"two", b"three"):
            channel.send(text)
        assert channel.recv() == b"one"
        (one,) = [one for one in listed("--kind", "channel").values() if os.getpid() in one["holders"]]
        assert (one["count"], one["verdict"]) == (2, IN_USE)


def test_a_channel_of_which_only_the_descriptor_is_left(child, listed):
    """Somebody has it open, but nobody takes part: nobody will ever receive from it."""
    if pyipc.backend() != "native":
        pytest.skip("this backend has no channels")
    from pyipc import channels

    with channels.Channel() as channel:
        number = os.dup(channel._part().life.fileno())
        inode = os.fstat(number).st_ino
    try:
        with open(f"/proc/self/fd/{number}", "rb") as again:
            os.close(number)
            number = -1
            (one,) = [one for (_, id), one in listed("--kind", "channel").items() if id.endswith(f":{inode}")]
            assert one["verdict"] == ORPHAN
            assert one["holders"] == [os.getpid()]
            assert not one["removable"]
            assert again
    finally:
        if number >= 0:
            os.close(number)


def test_unix_sockets_with_paths_and_abstract_names(tmp_path, listed):
    path, name = f"{tmp_path}/sock", f"pyipc-ls-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
        one.bind(path)
        one.listen()
        other.bind(f"\0{name}")
        found = listed("--kind", "unix socket")
        assert found["unix socket", path]["holders"] == [os.getpid()]
        assert found["unix socket", path]["verdict"] == IN_USE
        assert found["unix socket", f"@{name}"]["verdict"] == IN_USE
    assert ("unix socket", f"@{name}") not in listed()


def test_a_dead_socket_and_a_fifo_where_such_are_left(listed):
    dead, path = f"/tmp/pyipc-ls-dead-{os.getpid()}", f"/tmp/pyipc-ls-fifo-{os.getpid()}"
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(dead)
            assert listed()["unix socket", dead]["verdict"] == IN_USE
        assert listed()["unix socket", dead]["verdict"] == ORPHAN
        os.mkfifo(path)
        assert listed()["fifo", path]["verdict"] == IDLE
        with fifos.Fifo.open(path) as fifo, fifo.reader(keep_alive=True):
            assert listed()["fifo", path]["holders"] == [os.getpid()]
    finally:
        os.unlink(dead)
        os.unlink(path)


def test_a_segment_is_an_orphan_once_its_maker_is_dead_and_nobody_has_it(child, listed, key):
    def make(say, hear, key):
        import os
        import signal

        from pyipc import sysv

        segment = sysv.SharedMemory.create(100, key=key, persist=True)
        say(segment.id)
        hear()
        segment.detach()
        say("detached")
        hear()
        os.kill(os.getpid(), signal.SIGKILL)

    other = child(make, key)
    id = other.hear()
    try:
        assert listed()["sysv shm", id]["verdict"] == IN_USE
        other.say(None)
        other.hear()
        assert listed()["sysv shm", id]["verdict"] == IDLE
        other.say(None)
        other.kill()
        other.end()
        assert listed()["sysv shm", id]["verdict"] == ORPHAN
        assert list(listed("--orphans", "--kind", "sysv shm")) == [("sysv shm", id)]
    finally:
        with sysv.SharedMemory.attach(id) as segment:
            segment.remove()


def test_who_has_the_makers_pid_now_is_not_the_maker():
    assert lives(os.getpid(), 2**31)
    assert not lives(os.getpid(), 1)  # made before this process began
    assert not lives(2**22 + 1, 2**31)


def test_a_table_for_people(many, run):
    ran = run("ls")
    head, *lines = ran.stdout.splitlines()
    assert head.split()[:3] == ["KIND", "ID", "KEY"]
    assert "\033" not in ran.stdout
    (line,) = [line for line in lines if line.startswith("sysv shm") and "2.0K" in line]
    assert line.endswith(IN_USE)


def test_a_name_cannot_move_the_cursor(run):
    name = f"/pyipc\033[2J\n{os.getpid()}"
    with posix.SharedMemory.create(name, 1):
        ran = run("ls", "--kind", "posix shm")
        assert "\033" not in ran.stdout
        assert rf"/pyipc\x1b[2J\n{os.getpid()}" in ran.stdout
        assert name in {one["id"] for one in json.loads(run("ls", "--json").stdout)}


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_on_a_terminal_each_row_is_a_line(many, on_terminal, columns):
    name = f"/pyipc-{'long' * 40}-{os.getpid()}"
    with posix.SharedMemory.create(name, 1):
        text = on_terminal(columns, "ls", "--kind", "posix shm", "--kind", "sysv shm", "--kind", "sysv msg")
        assert "\033[32min use\033[0m" in text
        head, *lines, last = re.sub(r"\033\[\d*m", "", text).splitlines()
        assert all(len(line) <= columns for line in lines)
        assert all(line.endswith(("in use", "idle", "orphan")) for line in lines)
        assert "WAIT" not in head  # nothing stands there
        (line,) = [line for line in lines if "/pyipc-" in line]
        assert line.split()[2].endswith(f"{os.getpid()}"[-3:])
        assert "…" in line
        assert re.match(rf"{len(lines)} objects of .* bytes: \d+ in use, \d+ idle, \d+ orphan$", last)
