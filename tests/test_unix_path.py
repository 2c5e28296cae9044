"""Binding to a path: who has the name, whom it lets connect, and what the dead leave behind."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import inspect
import os
import random
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import pytest

import pyipc
from pyipc import _unix_path

KINDS = ["stream", "datagram", "packet"]
NOBODY = 65534


# ---- what the other processes use too ----


def unix(kind="stream"):
    kinds = {"stream": socket.SOCK_STREAM, "datagram": socket.SOCK_DGRAM, "packet": socket.SOCK_SEQPACKET}
    return socket.socket(socket.AF_UNIX, kinds[kind])


def open_files():
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that listed them
            found.add((number, os.readlink(f"/proc/self/fd/{number}")))
    return found


def stepping(action, number=None):
    """Call `action()` at that step of the interpreter within the module, or at each."""
    done = 0
    wanted = "line" if sys.version_info[:2] == (3, 12) else "opcode"  # its first releases tell of no other

    def local(frame, event, argument):
        nonlocal done
        if event == wanted:
            done += 1
            if number in (None, done):
                action()
        return local

    def enter(frame, event, argument):
        if frame.f_code.co_filename != _unix_path.__file__:
            return None
        frame.f_trace = local  # before the next line, or a function's first call has no steps (3.13)
        frame.f_trace_opcodes = True
        return local

    sys.settrace(enter)


def leave_a_dead_name(path, mode=0o600):
    with unix() as sock:
        sock.bind(path)
    os.chmod(path, mode)


MODULES = [
    *("contextlib", "errno", "fcntl", "gc", "os", "random", "resource", "select", "signal", "socket", "sys"),
    *("pyipc", "pyipc._unix_path"),
]


def prepared(say, hear, modules, sources, name, arguments, user):
    """Run a function with the modules that it uses, as that user if it is one."""
    import importlib
    import os

    # All of it while the files can still be read.
    names = {module.rpartition(".")[2]: importlib.import_module(module) for module in modules}
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    for source in sources:
        exec(compile(source, name, "exec"), names)
    names[name](say, hear, *arguments)


@pytest.fixture
def other(child):
    """Run a function of a test in a second process."""

    def start(function, *arguments, user=None):
        texts = [unix, open_files, stepping, leave_a_dead_name, function]
        sources = [textwrap.dedent(inspect.getsource(text)) for text in texts]
        return child(prepared, MODULES, sources, function.__name__, arguments, user)

    return start


@pytest.fixture
def plain(other):
    """The same, as a user who may nothing."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    return lambda function, *arguments: other(function, *arguments, user=NOBODY)


@pytest.fixture(params=["as we are", "as a plain user"])
def anyone(request, other):
    """The same, as whoever runs the tests and as a user who may nothing."""
    return other if request.param == "as we are" else request.getfixturevalue("plain")


@pytest.fixture
def place():
    """A directory that everybody may use, whose path is short."""
    place = tempfile.mkdtemp(prefix="pyipc-")
    os.chmod(place, 0o777)
    yield place
    os.chmod(place, 0o700)
    shutil.rmtree(place)


@pytest.fixture
def path(place):
    return f"{place}/sock"


@pytest.fixture
def sock():
    with unix() as sock:
        yield sock


@pytest.fixture
def umask():
    before = os.umask(0o22)
    yield os.umask
    os.umask(before)


def mode_of(path):
    return os.lstat(path).st_mode & 0o7777


def finish(process):
    assert process.end() == 0


# ---- a name of our own ----


def test_a_client_in_another_process_finds_the_server(other, path):
    def ask(say, hear, path, kind):
        with unix(kind) as client:
            client.connect(path)
            client.send(b"question")

    for kind in KINDS:
        backlog = None if kind == "datagram" else 4
        with unix(kind) as server, _unix_path.bind(server, path, backlog=backlog):
            client = other(ask, path, kind)
            server.settimeout(20)
            connection = server if kind == "datagram" else server.accept()[0]
            assert connection.recv(100) == b"question"
            connection.close()
            finish(client)
    assert not os.path.lexists(path)


@pytest.mark.parametrize("form", [str, os.fsencode, Path])
def test_a_path_may_be_text_or_bytes_or_a_path(form, path, sock):
    with _unix_path.bind(sock, form(path)) as bound:
        assert os.path.lexists(path)
        assert bound.path == os.fspath(form(path))
        assert sock.getsockname() == path
        assert repr(bound) == f"<bound path {bound.path!r}>"
    assert repr(bound) == f"<bound path {bound.path!r} removed>"


@pytest.mark.parametrize("mask", [0, 0o22, 0o77, 0o777])
@pytest.mark.parametrize("mode", [0o600, 0o660, 0o777, 0o200, 0])
@pytest.mark.parametrize("kind", KINDS)
def test_the_mode_is_exact_whatever_the_umask(kind, mode, mask, path, umask):
    umask(mask)
    with unix(kind) as sock, _unix_path.bind(sock, path, mode=mode):
        assert mode_of(path) == mode


def test_the_mode_is_0600_unless_said(path, sock, umask):
    umask(0)
    with _unix_path.bind(sock, path):
        assert mode_of(path) == 0o600


def test_it_listens_only_with_a_backlog(path):
    with unix() as server, unix() as client, _unix_path.bind(server, path):
        with pytest.raises(ConnectionRefusedError):
            client.connect(path)
        server.listen()
        client.connect(path)


def test_nothing_but_the_name_is_in_the_directory(place, path, sock):
    with _unix_path.bind(sock, path):
        assert os.listdir(place) == ["sock"]
    assert os.listdir(place) == []


def test_all_of_it_works_as_a_plain_user(plain, place, path):
    def live(say, hear, path):
        for mask in 0, 0o77, 0o777:
            os.umask(mask)
            leave_a_dead_name(path)
            with unix() as server, _unix_path.bind(server, path, mode=0o640, backlog=4):
                assert os.lstat(path).st_mode & 0o7777 == 0o640
                with unix() as client:
                    client.connect(path)
                with unix() as rival:
                    try:
                        _unix_path.bind(rival, path)
                    except pyipc.AlreadyExistsError:
                        say("refused")
            assert not os.path.lexists(path)

    user = plain(live, path)
    assert [user.hear() for _ in range(3)] == ["refused"] * 3
    finish(user)
    assert os.listdir(place) == []


def test_importing_it_brings_nothing_heavy():
    program = (
        "import sys; before = set(sys.modules); import pyipc._unix_path; print(*set(sys.modules) - before)"
    )
    top = os.path.dirname(os.path.dirname(pyipc.__file__))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([top, *filter(None, sys.path)])}
    words = [sys.executable, "-S", "-c", program]
    ran = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    loaded = set(ran.stdout.split())
    assert "pyipc._unix_path" in loaded
    assert not loaded & {"socket", "typing", "enum", "re", "contextlib", "pathlib", "tempfile", "functools"}


# ---- what is refused ----


@pytest.mark.parametrize("wrong", ["", b"", "\0abstract", "a\0b", "directory/", "/"])
def test_what_is_no_path_is_refused(wrong, sock):
    with pytest.raises(ValueError, match="not a path"):
        _unix_path.bind(sock, wrong)
    assert sock.getsockname() == ""


def test_what_is_no_path_at_all_is_a_type_error(sock):
    with pytest.raises(TypeError):
        _unix_path.bind(sock, 7)


@pytest.mark.parametrize(
    "wrong", [{"mode": 0o1600}, {"mode": -1}, {"timeout": -1}, {"timeout": float("nan")}]
)
def test_wrong_arguments_make_no_name(wrong, path, sock):
    with pytest.raises(ValueError, match="must be"):
        _unix_path.bind(sock, path, **wrong)
    assert not os.path.lexists(path)


def test_sockets_of_other_families_are_refused(path):
    with socket.socket(socket.AF_INET) as inet, pytest.raises(ValueError, match="not a Unix socket"):
        _unix_path.bind(inet, path)


def test_a_closed_socket_is_told(path, sock):
    sock.close()
    with pytest.raises(pyipc.ClosedError):
        _unix_path.bind(sock, path)


def test_a_socket_that_is_bound_stays_as_it_is(place, path, sock):
    with _unix_path.bind(sock, path, mode=0o660, backlog=4):
        leave_a_dead_name(f"{place}/dead")
        for name in "new", "dead":
            with pytest.raises(pyipc.IPCError, match=f"bind '{place}/{name}'") as told:
                _unix_path.bind(sock, f"{place}/{name}", mode=0o600)
            assert told.value.errno == errno.EINVAL
        assert sorted(os.listdir(place)) == ["dead", "sock"]
        assert os.fstat(sock.fileno()).st_mode & 0o777 == 0o660
        with unix() as client:
            client.connect(path)


def test_a_directory_that_is_not_there_is_not_found(place, sock):
    with pytest.raises(pyipc.NotFoundError, match=f"{place}/no/sock"):
        _unix_path.bind(sock, f"{place}/no/sock")


def test_a_directory_that_is_none_is_told(place, sock):
    Path(place, "file").touch()
    with pytest.raises(pyipc.IPCError, match="file/sock") as told:
        _unix_path.bind(sock, f"{place}/file/sock")
    assert told.value.errno == errno.ENOTDIR


@pytest.mark.parametrize("mode", [0o755, 0o733])
def test_a_directory_must_be_read_and_written(mode, place, path, plain):
    def attempt(say, hear, path):
        with unix() as sock:
            try:
                _unix_path.bind(sock, path)
            except pyipc.AccessError as problem:
                say((problem.strerror, sock.getsockname(), os.fstat(sock.fileno()).st_mode & 0o777))

    os.chmod(place, mode)
    for names in [], ["sock"]:
        user = plain(attempt, path)
        assert user.hear() == (f"Permission denied: bind {path!r}", "", 0o777)
        finish(user)
        assert os.listdir(place) == names
        if not names:
            leave_a_dead_name(path, 0o666)


# ---- a name that is there ----


def test_what_is_not_a_socket_is_left_alone(place, path):
    leave_a_dead_name(f"{place}/dead")
    with unix() as live:
        live.bind(f"{place}/live")
        Path(place, "file").touch()
        os.mkdir(f"{place}/folder")
        os.mkfifo(f"{place}/fifo")
        for name, target in (
            ("to-dead", "dead"),
            ("to-live", "live"),
            ("to-nothing", "nothing"),
            ("loop", "loop"),
        ):
            os.symlink(target, f"{place}/{name}")
        before = {name: os.lstat(f"{place}/{name}") for name in os.listdir(place)}
        for name in set(before) - {"dead", "live"}:
            with unix() as sock:
                with pytest.raises(pyipc.AlreadyExistsError, match=f"{place}/{name}.*not a socket"):
                    _unix_path.bind(sock, f"{place}/{name}")
                assert sock.getsockname() == ""
        after = {name: os.lstat(f"{place}/{name}") for name in os.listdir(place)}
        assert [(n, s.st_ino, s.st_mode, s.st_ctime_ns) for n, s in before.items()] == [
            (n, s.st_ino, s.st_mode, s.st_ctime_ns) for n, s in after.items()
        ]


@pytest.mark.parametrize(
    "how", ["stream", "stream listens", "packet", "packet listens", "datagram", "connected datagram"]
)
def test_a_live_server_keeps_its_name_and_notices_nothing(how, anyone, place, path):
    def serve(say, hear, path, kind, how):
        server = unix(kind)
        server.bind(path)
        if "listens" in how:
            server.listen(4)
        if "connected" in how:
            friend = unix(kind)
            friend.bind(f"{path}-friend")
            server.connect(f"{path}-friend")
        server.setblocking(False)
        poll = select.poll()
        poll.register(server)
        before = poll.poll(0)
        say("bound")
        hear()
        say(poll.poll(0) == before)
        if "listens" in how:
            try:
                say(server.accept())
            except BlockingIOError:
                say("no connection")
        elif kind == "datagram":
            try:
                say(server.recv(100))
            except BlockingIOError:
                say("no message")
        else:
            say("nobody")
        server.setblocking(True)
        if "listens" in how:
            server, _ = server.accept()
        if how in ("datagram", "stream listens", "packet listens"):
            say(server.recv(100))
        hear()

    kind = how.split()[-1 if "connected" in how else 0]
    server = anyone(serve, path, kind, how)
    assert server.hear() == "bound"
    for mine in KINDS:
        with unix(mine) as sock:
            with pytest.raises(pyipc.AlreadyExistsError, match=f"{path}.*somebody has it bound"):
                _unix_path.bind(sock, path)
            assert sock.getsockname() == ""
    server.say()
    assert server.hear() is True
    assert server.hear() in ("no connection", "no message", "nobody")
    if how in ("datagram", "stream listens", "packet listens"):
        with unix(kind) as client:
            client.connect(path)
            client.send(b"the first")
            assert server.hear() == b"the first"
    server.say()
    finish(server)


@pytest.mark.parametrize("dead", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_dead_name_is_taken_over(kind, dead, path):
    with unix(dead) as old:
        old.bind(path)
    with unix(kind) as sock, _unix_path.bind(sock, path), unix(kind) as client:
        if kind == "datagram":
            client.sendto(b"hello", path)
            assert sock.recv(100) == b"hello"
        else:
            sock.listen()
            client.connect(path)


def test_a_socket_that_one_may_not_connect_to_is_left_alone(path, plain):
    def attempt(say, hear, path):
        with unix() as sock:
            try:
                _unix_path.bind(sock, path)
            except pyipc.AccessError as problem:
                say(str(problem))

    for dead in True, False:
        with unix() as server:
            server.bind(path)
            os.chmod(path, 0o600)
            if dead:
                server.close()
            user = plain(attempt, path)
            answer = user.hear()
            assert path in answer
            assert "no telling" in answer
            finish(user)
        os.unlink(path)  # it is there


def test_a_socket_that_failed_binds_elsewhere_as_if_nothing_had_been(place, path, sock, umask):
    Path(path).touch()
    umask(0)
    with pytest.raises(pyipc.AlreadyExistsError):
        _unix_path.bind(sock, path, mode=0o600)
    sock.bind(f"{place}/elsewhere")
    assert mode_of(f"{place}/elsewhere") == 0o777


def test_a_name_that_changes_after_the_look_is_not_removed(path, sock, monkeypatch):
    """A stranger puts a new server there, between the question to the dead one and its removal."""
    leave_a_dead_name(path)
    check, stranger = _unix_path._check_dead, unix()

    def look_and_lose(*arguments):
        check(*arguments)
        os.unlink(path)
        stranger.bind(path)
        stranger.listen()

    monkeypatch.setattr(_unix_path, "_check_dead", look_and_lose)
    with stranger, unix() as client:
        with pytest.raises(pyipc.AlreadyExistsError, match=path):
            _unix_path.bind(sock, path)
        client.connect(path)


def test_a_name_that_vanishes_after_the_look_is_taken(path, sock, monkeypatch):
    leave_a_dead_name(path)
    check = _unix_path._check_dead
    monkeypatch.setattr(_unix_path, "_check_dead", lambda *a: (check(*a), os.unlink(path)))
    with _unix_path.bind(sock, path):
        assert os.path.lexists(path)


# ---- a failure after bind ----


def test_when_listening_fails_the_name_goes_and_the_socket_stays(place, path):
    with unix("datagram") as sock:
        with pytest.raises(pyipc.IPCError, match=path) as told:
            _unix_path.bind(sock, path, backlog=4)
        assert told.value.errno == errno.EOPNOTSUPP
        assert sock.fileno() >= 0
        assert os.listdir(place) == []


def test_when_the_backlog_is_no_number_the_name_goes(place, path, sock):
    with pytest.raises(TypeError):
        _unix_path.bind(sock, path, backlog="many")
    assert os.listdir(place) == []


def test_when_chmod_fails_the_name_goes(place, path, sock, umask, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(errno.EPERM, "no")

    umask(0o777)
    monkeypatch.setattr(_unix_path.os, "chmod", refuse)
    with pytest.raises(pyipc.AccessError, match=path):
        _unix_path.bind(sock, path)
    monkeypatch.undo()
    assert os.listdir(place) == []


def test_without_descriptors_there_is_no_name_and_the_dead_one_stays(other, place):
    def run_out(say, hear, place):
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        for dead in False, True:
            needed = 3 if dead else 2  # the directory, the name; and one to ask with
            for left in range(needed + 1):
                path = f"{place}/{dead}-{left}"
                if dead:
                    leave_a_dead_name(path)
                sock, held = unix(), []
                try:
                    while True:
                        held.append(os.open("/dev/null", os.O_RDONLY))
                except OSError:
                    pass
                for number in held[:left]:
                    os.close(number)
                try:
                    _unix_path.bind(sock, path).remove()
                    made = True
                except pyipc.LimitError:
                    made = False
                for number in held[left:]:
                    os.close(number)
                sock.close()
                assert made == (left == needed), (dead, left)
                assert os.path.lexists(path) == (dead and not made), (dead, left)
        say("done")

    process = other(run_out, place)
    assert process.hear() == "done"
    finish(process)


def test_when_the_name_cannot_be_opened_after_bind_it_goes(place, path, sock, monkeypatch):
    opens, real = [], _unix_path._open

    def lack(*arguments):
        opens.append(arguments)
        if len(opens) == 3:  # the directory, the old name, the new one
            raise OSError(errno.EMFILE, "none left")
        return real(*arguments)

    monkeypatch.setattr(_unix_path, "_open", lack)
    with pytest.raises(pyipc.LimitError, match=path):
        _unix_path.bind(sock, path)
    assert sock.getsockname() == path
    assert os.listdir(place) == []


@pytest.mark.parametrize("what", ["server", "file"])
def test_a_failure_removes_nothing_of_a_stranger(what, path):
    stranger = unix()

    class Server(socket.socket):
        def listen(self, backlog):
            os.unlink(path)
            stranger.bind(path) if what == "server" else Path(path).touch()
            raise OSError(errno.EIO, "no")

    with stranger, Server(socket.AF_UNIX) as server, pytest.raises(pyipc.IPCError, match=path):
        _unix_path.bind(server, path, backlog=4)
    assert os.path.lexists(path)


@pytest.mark.parametrize("what", ["symlink", "hard link", "file", "nothing"])
def test_what_is_put_in_our_place_does_not_get_our_mode(what, place, path, sock, umask, monkeypatch):
    """Else a stranger who may write in the directory could have root open up a file of root's."""
    umask(0o777)
    victim = unix()
    victim.bind(f"{place}/victim")
    Path(place, "file").touch()
    before = mode_of(f"{place}/victim"), mode_of(f"{place}/file")
    claim = _unix_path._claim

    def claim_and_lose(*arguments):
        claim(*arguments)
        os.unlink(path)
        if what == "symlink":
            os.symlink("victim", path)
        elif what == "hard link":
            os.link(f"{place}/victim", path)
        elif what == "file":
            os.link(f"{place}/file", path)

    monkeypatch.setattr(_unix_path, "_claim", claim_and_lose)
    with victim, pytest.raises(pyipc.IPCError, match=path):
        _unix_path.bind(sock, path, mode=0o666)
    assert (mode_of(f"{place}/victim"), mode_of(f"{place}/file")) == before


def test_a_symlink_that_comes_just_before_chmod_is_not_followed(place, path, sock, umask, monkeypatch):
    umask(0o77)
    Path(place, "victim").touch()
    before, chmod = mode_of(f"{place}/victim"), os.chmod

    def swap_and_chmod(*arguments):
        os.unlink(path)
        os.symlink("victim", path)
        chmod(*arguments)

    monkeypatch.setattr(os, "chmod", swap_and_chmod)
    with _unix_path.bind(sock, path, mode=0o666):
        assert mode_of(f"{place}/victim") == before
    assert sorted(os.listdir(place)) == ["sock", "victim"]


def test_a_directory_that_is_moved_meanwhile_keeps_no_name(place, sock, monkeypatch):
    os.mkdir(f"{place}/here")
    claim = _unix_path._claim

    def move_and_claim(*arguments):
        os.rename(f"{place}/here", f"{place}/there")
        os.mkdir(f"{place}/here")
        claim(*arguments)

    monkeypatch.setattr(_unix_path, "_claim", move_and_claim)
    with pytest.raises(pyipc.AlreadyExistsError, match="replaced meanwhile"):
        _unix_path.bind(sock, f"{place}/here/sock")
    assert os.listdir(f"{place}/here") == os.listdir(f"{place}/there") == []


def test_a_directory_that_is_swapped_afterwards_keeps_no_name_and_loses_none(place, sock, monkeypatch):
    os.mkdir(f"{place}/here")
    os.mkdir(f"{place}/next")
    with unix() as stranger:
        stranger.bind(f"{place}/next/sock")
        stranger.listen(1)
        claim = _unix_path._claim

        def claim_and_swap(*arguments):
            claim(*arguments)
            os.rename(f"{place}/here", f"{place}/before")
            os.rename(f"{place}/next", f"{place}/here")

        monkeypatch.setattr(_unix_path, "_claim", claim_and_swap)
        with pytest.raises(pyipc.AlreadyExistsError, match="replaced meanwhile"):
            _unix_path.bind(sock, f"{place}/here/sock")
        assert os.listdir(f"{place}/before") == []
        with unix() as client:
            client.connect(f"{place}/here/sock")


# ---- who may connect ----


@pytest.mark.parametrize("mask", [0, 0o22, 0o777])
@pytest.mark.parametrize("kind", KINDS)
def test_the_mode_is_never_wider_than_asked(kind, mask, other, path):
    def watch(say, hear, path, kind, mask):
        seen = []

        def look():
            with contextlib.suppress(FileNotFoundError):
                seen.append(os.lstat(path).st_mode & 0o7777)

        os.umask(mask)
        sock = unix(kind)
        stepping(look)
        bound = _unix_path.bind(sock, path, mode=0o640, backlog=None if kind == "datagram" else 1)
        sys.settrace(None)
        say((len(seen), set(seen)))
        bound.remove()

    process = other(watch, path, kind, mask)
    steps, modes = process.hear()
    assert steps > 5
    assert modes == {0o640 & ~mask, 0o640}
    finish(process)


@pytest.mark.parametrize("mode", [0o600, 0o666])
@pytest.mark.parametrize("kind", ["stream", "datagram"])
def test_nobody_connects_whom_the_mode_does_not_let(kind, mode, plain, path, umask):
    def intrude(say, hear, path, kind, mode):
        wanted = 0 if mode == 0o666 else errno.EACCES
        counts = {}
        say("ready")
        while counts.get(wanted, 0) < 100:
            with unix(kind) as client:
                result = client.connect_ex(path)
            counts[result] = counts.get(result, 0) + 1
        open(f"{path}-done", "w").close()
        say(counts)

    umask(0)
    user = plain(intrude, path, kind, mode)
    assert user.hear() == "ready"
    while not os.path.exists(f"{path}-done"):
        backlog = None if kind == "datagram" else 4
        with unix(kind) as server, _unix_path.bind(server, path, mode=mode, backlog=backlog):
            pass
    counts = user.hear()
    finish(user)
    if mode == 0o600:
        assert set(counts) <= {errno.EACCES, errno.ENOENT}
    else:  # so such a client does come in, where it may
        assert counts[0] == 100


# ---- to remove it ----


def test_to_remove_it_again_does_nothing(path, sock):
    bound = _unix_path.bind(sock, path)
    bound.remove()
    with unix() as next_one, _unix_path.bind(next_one, path):
        bound.remove()
        assert os.path.lexists(path)


def test_leaving_by_an_exception_removes_it(path, sock):
    with pytest.raises(KeyError), _unix_path.bind(sock, path):
        raise KeyError
    assert not os.path.lexists(path)


def test_to_drop_it_removes_nothing_and_warns_of_that(path, sock):
    def drop():
        _unix_path.bind(sock, path, backlog=1)
        gc.collect()

    before = open_files()
    with pytest.warns(ResourceWarning, match="was dropped without close"):
        drop()
    assert open_files() == before
    with unix() as client:
        client.connect(path)


@pytest.mark.parametrize("what", ["server", "dead socket", "file", "symlink"])
def test_what_somebody_else_put_there_stays(what, place, path, sock):
    with unix() as stranger:
        with _unix_path.bind(sock, path):
            os.rename(path, f"{place}/ours")
            if what == "server":
                stranger.bind(path)
            elif what == "dead socket":
                leave_a_dead_name(path)
            elif what == "file":
                Path(path).touch()
            else:
                os.symlink("ours", path)
            there = os.lstat(path)
        assert os.path.samestat(os.lstat(path), there)
        assert os.path.lexists(f"{place}/ours")


def test_a_successor_stays_though_it_may_have_the_number_of_our_inode(path):
    """ext4 gives a freed number to the next file; so ours may not be freed before we are done."""
    for _ in range(10):
        with unix() as first, unix() as second:
            bound = _unix_path.bind(first, path)
            number = os.lstat(path).st_ino
            first.close()
            with _unix_path.bind(second, path):
                bound.remove()
                assert os.path.lexists(path)
                assert os.lstat(path).st_ino != number


def test_a_name_that_is_gone_is_no_problem(path, sock):
    with _unix_path.bind(sock, path):
        os.unlink(path)


def test_a_directory_that_is_gone_is_no_problem(place, sock):
    for instead in None, "file", "directory":
        with unix() as sock:
            os.mkdir(f"{place}/sub")
            bound = _unix_path.bind(sock, f"{place}/sub/sock")
            shutil.rmtree(f"{place}/sub")
            if instead == "file":
                Path(place, "sub").touch()
            elif instead == "directory":
                os.mkdir(f"{place}/sub")
                leave_a_dead_name(f"{place}/sub/sock")
            bound.remove()
        if instead == "file":
            os.unlink(f"{place}/sub")
    assert os.listdir(f"{place}/sub") == ["sock"]


def test_the_working_directory_may_change_meanwhile(other, place):
    def wander(say, hear, place):
        os.chdir(place)
        for path in "sock", "./sock", "../" + os.path.basename(place) + "/sock", f"{place}/sock":
            with unix() as sock, _unix_path.bind(sock, path):
                say((path, sock.getsockname(), os.listdir(place)))
                os.chdir("/")
            say(os.listdir(place))
            os.chdir(place)

    process = other(wander, place)
    for _ in range(4):
        path, told, names = process.hear()
        assert (told, names) == (path, ["sock"])
        assert process.hear() == []
    finish(process)


def test_a_forked_child_does_not_remove_it(anyone, path):
    def fork(say, hear, path):
        sock = unix()
        bound = _unix_path.bind(sock, path, backlog=4)
        pid = os.fork()
        if not pid:
            with bound:
                bound.remove()
            os._exit(0)
        say((os.waitpid(pid, 0)[1], os.path.lexists(path)))
        with unix() as client:
            client.connect(path)
        bound.remove()
        say(os.path.lexists(path))

    process = anyone(fork, path)
    assert process.hear() == (0, True)
    assert process.hear() is False
    finish(process)


def test_who_may_not_remove_it_any_more_is_told(other, place):
    """As when a daemon gives up its privileges after it has bound."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")

    def give_up(say, hear, path, user):
        sock = unix()
        bound = _unix_path.bind(sock, path)
        os.setresuid(user, user, user)
        try:
            bound.remove()
        except pyipc.AccessError as problem:
            say((problem.strerror, bound._node.closed))

    os.chmod(place, 0o755)
    process = other(give_up, f"{place}/sock", NOBODY)
    assert process.hear() == (f"Permission denied: remove '{place}/sock'", False)
    finish(process)
    assert os.listdir(place) == ["sock"]


# ---- the lock ----


def hold(say, hear, place):
    directory = os.open(place, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    say("locked")
    hear()


@pytest.fixture
def stranger(anyone):
    """Somebody holds the lock of a directory."""

    def start(place):
        process = anyone(hold, place)
        assert process.hear() == "locked"
        return process

    return start


def test_the_lock_is_held_from_the_first_look_until_it_listens(place, path, monkeypatch):
    calls = []

    def locked():
        directory = os.open(place, os.O_RDONLY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(directory)
        return False

    class Server(socket.socket):
        def bind(self, address):
            calls.append(("bind", locked()))
            super().bind(address)

        def listen(self, backlog):
            calls.append(("listen", locked()))
            super().listen(backlog)

    opened, unlink = _unix_path._open, os.unlink
    monkeypatch.setattr(_unix_path, "_open", lambda *how: (calls.append(("open", locked())), opened(*how))[1])
    monkeypatch.setattr(
        os, "unlink", lambda *how, **at: (calls.append(("unlink", locked())), unlink(*how, **at))
    )
    leave_a_dead_name(path)
    with Server(socket.AF_UNIX) as server:
        bound = _unix_path.bind(server, path, backlog=4)
        assert calls.pop(0) == ("open", False)  # the directory
        assert calls == [(name, True) for name in ("open", "bind", "unlink", "bind", "open", "listen")]
        assert not locked()
        calls.clear()
        bound.remove()
        assert calls == [("open", False), ("unlink", True)]
        assert not locked()


def test_a_lock_that_a_stranger_holds_ends_the_wait(stranger, place, path, sock):
    holder = stranger(place)
    before = time.monotonic()
    with pytest.raises(pyipc.TimedOutError, match=f"lock directory '{place}'"):
        _unix_path.bind(sock, path, timeout=0.2)
    assert 0.2 <= time.monotonic() - before < 10
    with pytest.raises(pyipc.WouldBlockError, match=f"lock directory '{place}'"):
        _unix_path.bind(sock, path, timeout=0)
    assert (os.listdir(place), sock.getsockname()) == ([], "")
    holder.kill()
    with _unix_path.bind(sock, path, timeout=20):
        pass


def test_removal_waits_for_the_lock_too_and_can_be_tried_again(stranger, place, path, sock):
    bound = _unix_path.bind(sock, path)
    holder = stranger(place)
    with pytest.raises(pyipc.TimedOutError, match=f"lock directory '{place}'"):
        bound.remove(timeout=0.05)
    with pytest.raises(pyipc.WouldBlockError):
        bound.remove(timeout=0)
    with pytest.raises(ValueError, match="timeout"):
        bound.remove(timeout=-1)
    assert os.path.lexists(path)
    holder.say()
    bound.remove(timeout=None)
    assert not os.path.lexists(path)


def test_directories_do_not_block_each_other(stranger, place, sock):
    os.mkdir(f"{place}/one")
    os.mkdir(f"{place}/two")
    stranger(f"{place}/one")
    with _unix_path.bind(sock, f"{place}/two/sock", timeout=0):
        pass


def test_a_directory_by_another_name_has_the_same_lock(stranger, place, sock):
    os.mkdir(f"{place}/real")
    os.symlink("real", f"{place}/link")
    with _unix_path.bind(sock, f"{place}/link/sock"):
        assert os.listdir(f"{place}/real") == ["sock"]
        assert sock.getsockname() == f"{place}/link/sock"
    assert os.listdir(f"{place}/real") == []
    stranger(f"{place}/real")
    with unix() as other, pytest.raises(pyipc.WouldBlockError):
        _unix_path.bind(other, f"{place}/link/sock", timeout=0)


def test_a_child_that_was_forked_meanwhile_does_not_keep_the_lock(anyone, place):
    def fork_within(say, hear, place):
        claim, children = _unix_path._claim, []

        def fork_and_claim(*arguments):
            pid = os.fork()
            if not pid:
                signal.pause()
            children.append(pid)
            claim(*arguments)

        _unix_path._claim = fork_and_claim
        with unix() as sock, _unix_path.bind(sock, f"{place}/first", timeout=0):
            _unix_path._claim = claim
            with unix() as second, _unix_path.bind(second, f"{place}/second", timeout=0):
                say(sorted(os.listdir(place)))
        os.kill(children[0], signal.SIGKILL)
        os.waitpid(children[0], 0)

    process = anyone(fork_within, place)
    assert process.hear() == ["first", "second"]
    finish(process)


# ---- many at once, and SIGKILL ----


def test_of_twenty_threads_one_binds(place, path):
    leave_a_dead_name(path)
    gate, answers = threading.Barrier(20), []

    def start():
        with unix() as sock:
            gate.wait()
            try:
                bound = _unix_path.bind(sock, path, timeout=20)
            except pyipc.AlreadyExistsError:
                bound = None
            answers.append(bound)
            gate.wait()
            if bound:
                bound.remove()

    threads = [threading.Thread(target=start) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 20
    assert answers.count(None) == 19
    assert os.listdir(place) == []


def test_of_a_hundred_that_start_at_once_one_binds(anyone, place, path):
    def race(say, hear, path):
        leave_a_dead_name(path)
        gate, gun = os.pipe()
        results, tell = os.pipe()
        pids = []
        for _ in range(100):
            pid = os.fork()
            if not pid:
                os.close(gun)
                sock = unix()
                os.read(gate, 1)
                try:
                    _unix_path.bind(sock, path, backlog=4, timeout=50)
                    os.write(tell, f"{os.getpid()}\n".encode())
                    signal.pause()
                except pyipc.AlreadyExistsError:
                    os.write(tell, b"taken\n")
                os._exit(0)
            pids.append(pid)
        os.close(gun)
        answers = b""
        while answers.count(b"\n") < 100:
            answers += os.read(results, 4096)
        winners = [int(answer) for answer in answers.split() if answer != b"taken"]
        say(len(winners))
        with unix() as client:
            client.connect(path)
        os.kill(winners[0], signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)
        with unix() as sock, _unix_path.bind(sock, path, timeout=0):
            say(os.listdir(os.path.dirname(path)))

    process = anyone(race, path)
    assert process.hear() == 1
    assert process.hear() == ["sock"]
    finish(process)
    assert os.listdir(place) == []


def test_a_hundred_times_killed_and_taken_over(anyone, place, path):
    def succeed(say, hear, path):
        ready, tell = os.pipe()
        for _ in range(100):
            pid = os.fork()
            if not pid:
                sock = unix()
                _unix_path.bind(sock, path, backlog=4, timeout=0)
                os.write(tell, b"x")
                signal.pause()
            os.read(ready, 1)
            with unix() as client:
                client.connect(path)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        say(os.listdir(os.path.dirname(path)))

    process = anyone(succeed, path)
    assert process.hear() == ["sock"]
    finish(process)


@pytest.mark.parametrize("at_first", ["nothing", "a dead name"])
def test_whoever_is_killed_at_any_step_is_in_nobodys_way(at_first, anyone, place, path):
    def kill_at_each_step(say, hear, path, at_first):
        os.umask(0o77)  # so that there is a mode to be set
        place, steps, left = os.path.dirname(path), 0, set()
        while True:
            steps += 1
            if at_first == "a dead name":
                leave_a_dead_name(path)
            pid = os.fork()
            if not pid:
                sock = unix()
                stepping(lambda: os.kill(os.getpid(), signal.SIGKILL), steps)
                _unix_path.bind(sock, path, mode=0o660, backlog=4).remove()
                sys.settrace(None)
                os._exit(0)
            status = os.waitpid(pid, 0)[1]
            left.add(tuple(os.listdir(place)))
            with unix() as sock, _unix_path.bind(sock, path, timeout=0):
                assert os.listdir(place) == ["sock"]
            assert os.listdir(place) == []
            if status != signal.SIGKILL:
                say((status, steps, left))
                return

    process = anyone(kill_at_each_step, path, at_first)
    status, steps, left = process.hear(50)
    assert status == 0
    assert steps > 50
    assert left == {(), ("sock",)}
    finish(process)


# ---- signal handlers that raise ----


@pytest.mark.parametrize("at_first", ["nothing", "a dead name"])
def test_an_exception_at_any_step_leaves_neither_descriptor_nor_name(at_first, anyone, path):
    def interrupt_at_each_step(say, hear, path, at_first):
        def interrupt():
            raise KeyboardInterrupt

        os.umask(0o77)  # so that there is a mode to be set
        steps, done, kept = 0, False, []
        before = open_files()
        while not done:
            steps += 1
            if at_first == "a dead name":
                leave_a_dead_name(path)
            with unix() as sock:
                bound = None
                stepping(interrupt, steps)
                try:
                    bound = _unix_path.bind(sock, path, mode=0o660, backlog=4)
                    bound.remove()
                    done = True
                except KeyboardInterrupt:
                    pass
                sys.settrace(None)
                if bound:
                    bound.remove()
                if sock.getsockname() and os.path.lexists(path):
                    kept.append(steps)
            assert open_files() == before, steps
            with unix() as sock, _unix_path.bind(sock, path, timeout=0):
                pass
        say((steps, kept))

    process = anyone(interrupt_at_each_step, path, at_first)
    steps, kept = process.hear(50)
    assert steps > 50
    assert len(kept) <= 1  # the very step that returns, before which no signal is looked at
    finish(process)


def test_a_signal_handler_that_raises_at_any_time_leaves_nothing(anyone, path):
    def be_interrupted(say, hear, path):
        armed = False  # a signal may come late, when the timer is off already

        def interrupt(number, frame):
            nonlocal armed
            if armed and frame.f_code.co_filename == _unix_path.__file__:
                armed = False
                raise KeyboardInterrupt

        signal.signal(signal.SIGALRM, interrupt)
        chance, kept, interrupted = random.Random(1), None, 0
        before = open_files()
        for _ in range(3000):
            with unix() as sock:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, 400e-6))
                try:
                    bound = _unix_path.bind(sock, path, backlog=4)
                except KeyboardInterrupt as problem:
                    bound, kept = None, problem
                armed = False
                signal.setitimer(signal.ITIMER_REAL, 0)
                if bound:
                    bound.remove()
                    continue
                interrupted += 1
                assert not os.path.lexists(path)
            with unix() as sock, _unix_path.bind(sock, path, timeout=0):  # though we keep the exception
                pass
        kept = bound = None  # noqa: F841  # the last exception goes
        gc.collect()
        assert open_files() == before
        say(interrupted)

    process = anyone(be_interrupted, path)
    assert process.hear(50) > 100
    finish(process)


# ---- long paths ----


@pytest.fixture
def deep(place):
    """A directory whose path is far longer than a socket's address."""
    deep = os.path.join(place, *["d" * 50] * 4)
    os.makedirs(deep)
    os.chmod(deep, 0o777)
    return deep


@pytest.mark.parametrize("kind", ["stream", "packet"])
def test_a_long_path_is_bound_and_connected_to(kind, anyone, deep):
    def ask(say, hear, path, kind):
        directory = os.open(os.path.dirname(path), os.O_RDONLY)
        with unix(kind) as client:
            client.connect(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
            client.send(b"question")

    path = f"{deep}/{'n' * 82}"
    leave_a_long_dead_name(path)
    with unix(kind) as server, _unix_path.bind(server, path, mode=0o666, backlog=4) as bound:
        assert bound.path == path
        assert mode_of(path) == 0o666
        client = anyone(ask, path, kind)
        server.settimeout(20)
        with server.accept()[0] as connection:
            assert connection.recv(100) == b"question"
        finish(client)
        with unix() as rival, pytest.raises(pyipc.AlreadyExistsError):
            _unix_path.bind(rival, path)
    assert os.listdir(deep) == []


def leave_a_long_dead_name(path):
    with unix() as sock:
        _unix_path.bind(sock, path)._node.close()
    assert os.path.lexists(path)


def test_a_failure_on_a_long_path_leaves_no_name(deep):
    with unix("datagram") as sock, pytest.raises(pyipc.IPCError, match=deep):
        _unix_path.bind(sock, f"{deep}/sock", backlog=4)
    assert os.listdir(deep) == []


def test_a_name_that_is_too_long_in_a_long_path_is_refused(deep, sock):
    with pytest.raises(ValueError, match="more than 82 bytes"):
        _unix_path.bind(sock, f"{deep}/{'n' * 83}")
    assert os.listdir(deep) == []


@pytest.mark.parametrize("length", [106, 107, 108])
def test_the_longest_address_is_107_bytes(length, place):
    place = os.path.join(place, "d" * 40)
    os.mkdir(place)
    path = f"{place}/{'n' * (length - len(place) - 1)}"
    with unix() as sock, _unix_path.bind(sock, path, backlog=1):
        assert (sock.getsockname() == path) == (length <= 107)
        assert os.path.lexists(path)


def test_a_short_path_may_be_all_name(other, place):
    def bind_there(say, hear, place):
        os.chdir(place)
        with unix() as sock, _unix_path.bind(sock, "n" * 107):
            say(os.listdir(place))

    process = other(bind_there, place)
    assert process.hear() == ["n" * 107]
    finish(process)
