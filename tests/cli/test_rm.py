"""`pyipc rm`: what goes, and what stays."""

import json
import os
import socket

import pytest

from pyipc import posix, sysv

LIVE = 50
DEAD = 7


@pytest.fixture
def left_behind(child):
    """Segments and sockets whose maker was killed; their ids and paths."""

    def make(say, hear, count, folder):
        import os
        import signal
        import socket

        from pyipc import sysv

        ids = []
        for _ in range(count):
            segment = sysv.SharedMemory.create(100, key=None, persist=True)
            ids.append(segment.id)
            segment.detach()
        path = f"{folder}/pyipc-rm-{os.getpid()}"
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(path)
            say((ids, path))
            hear()
            os.kill(os.getpid(), signal.SIGKILL)

    other = child(make, DEAD, "/tmp")
    ids, path = other.hear()
    other.say(None)
    other.end()
    yield ids, path
    for id in set(ids) & {segment.id for segment in sysv.segments()}:
        with sysv.SharedMemory.attach(id) as segment:
            segment.remove()
    if os.path.exists(path):
        os.unlink(path)


def test_orphans_go_and_only_they(left_behind, run, listed):
    """Beside 50 that live, of several kinds, held and idle.

    Of one kind, which is the suite's alone: in /tmp are dead sockets of other people's, and of other suites.
    """
    dead, path = left_behind
    live = [sysv.SharedMemory.create(100) for _ in range(LIVE)]
    idle = sysv.SharedMemory.create(100, key=os.getpid(), persist=True)
    idle.detach()
    queue = sysv.MessageQueue.create()
    name = f"/pyipc-rm-{os.getpid()}"
    try:
        with posix.SharedMemory.create(name, 1):
            before = set(listed())
            ran = run("rm", "--orphans", "--yes", "--json", "--kind", "sysv shm")
            assert ran.returncode == 0, ran.stderr
            gone = {(one["kind"], one["id"]) for one in json.loads(ran.stdout)}
            assert gone >= {("sysv shm", id) for id in dead}
            assert before - set(listed()) >= gone
            ids = {segment.id for segment in sysv.segments()}
            assert not ids & set(dead)
            assert ids >= {idle.id, *(segment.id for segment in live)}
            assert os.path.exists(path)
            assert queue.id in {one.id for one in sysv.message_queues()}
    finally:
        queue.close()
        idle.remove()
        idle.close()
        for segment in live:
            segment.close()


def test_it_shows_first_and_a_dry_run_removes_nothing(left_behind, run):
    dead, path = left_behind
    ran = run("rm", "--orphans", "--dry-run")
    assert ran.returncode == 0
    assert path in ran.stdout
    assert set(dead) <= {segment.id for segment in sysv.segments()}
    assert os.path.exists(path)


def test_nobody_to_ask_is_no(left_behind, run):
    _, path = left_behind
    ran = run("rm", path)
    assert ran.returncode == 1
    assert "--yes" in ran.stderr
    assert os.path.exists(path)


@pytest.mark.parametrize(("answer", "goes"), [("y", True), ("n", False), ("", False)])
def test_whoever_is_asked_decides(left_behind, answer, goes):
    from pyipc import terminals

    _, path = left_behind
    words = (os.sys.executable, "-m", "pyipc", "rm", path)
    with terminals.spawn(*words) as terminal:
        terminal.expect("Remove it", timeout=30)
        terminal.send_line(answer)
        terminal.expect(terminals.EOF, timeout=30)
        assert terminal.wait(30).code == int(not goes)
    assert os.path.exists(path) is not goes


def test_what_is_in_use_stays_unless_forced(run):
    with sysv.SharedMemory.create(100, persist=True) as segment:
        ran = run("rm", segment.id, "--kind", "sysv shm", "--yes")
        assert ran.returncode == 1
        assert str(os.getpid()) in ran.stderr
        assert segment.id in {one.id for one in sysv.segments()}
        assert run("rm", segment.id, "--kind", "sysv shm", "--yes", "--force").returncode == 0
    assert segment.id not in {one.id for one in sysv.segments()}


def test_an_id_of_several_kinds_has_to_be_told_apart(run):
    with sysv.MessageQueue.create() as queue:
        segments = []
        try:
            while queue.id not in {segment.id for segment in segments} and len(segments) < 100:
                segments.append(sysv.SharedMemory.create(1))
            if queue.id not in {segment.id for segment in segments}:
                pytest.skip("ids of this machine are far apart by now")
            ran = run("rm", queue.id, "--yes")
            assert ran.returncode == 1
            assert "--kind" in ran.stderr
            assert queue.id in {one.id for one in sysv.message_queues()}
        finally:
            for segment in segments:
                segment.close()


def test_a_socket_that_came_back_to_life_stays(left_behind, monkeypatch):
    """Between the look and the removal somebody has taken the name over."""
    from pyipc import _unix_path
    from pyipc.cli.objects import everything

    _, path = left_behind
    (found,) = [one for one in everything() if one.id == path]
    with socket.socket(socket.AF_UNIX) as sock, _unix_path.bind(sock, path):
        with pytest.raises(FileExistsError):
            found.remove()
        assert os.path.exists(path)


def test_another_file_of_that_name_stays(tmp_path):
    from pyipc.cli.objects.removal import remove_file
    from pyipc.errors import IPCError

    path = tmp_path / "file"
    path.write_text("one")
    seen = os.lstat(path)
    path.rename(tmp_path / "kept")  # so that its inode is not given again
    path.write_text("another")
    with pytest.raises(IPCError, match="another"):
        remove_file(str(path), seen)
    assert path.read_text() == "another"


def test_nothing_of_that_name(run):
    ran = run("rm", "/no/such/thing", "--yes")
    assert ran.returncode == 1
    assert "/no/such/thing" in ran.stderr


@pytest.mark.parametrize("arguments", [(), ("--orphans", "1")])
def test_either_ids_or_orphans(run, arguments):
    assert run("rm", *arguments).returncode == 2


def test_what_is_taken_up_while_somebody_thinks_stays(left_behind):
    from pyipc import terminals

    (taken, *others), _ = left_behind
    with terminals.spawn(os.sys.executable, "-m", "pyipc", "rm", *map(str, (taken, others[0]))) as terminal:
        terminal.expect("Remove these", timeout=30)
        with sysv.SharedMemory.attach(taken):
            terminal.send_line("y")
            terminal.expect(f"{taken} stays: it is in use", timeout=30)
            terminal.expect(terminals.EOF, timeout=30)
    left = {segment.id for segment in sysv.segments()}  # it would have gone with who had it attached
    assert taken in left
    assert others[0] not in left
