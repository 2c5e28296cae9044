"""This program again: what the child has, what it must not do, and that it always ends."""

from __future__ import annotations

import contextlib
import os
import pwd
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import pytest

import pyipc
from pyipc import processes
from pyipc.processes import fork_pipe

pytestmark = pytest.mark.timeout(30)


def out(*values):
    os.write(1, repr(values).encode())


def heard(mode, function, *arguments, **options):
    with fork_pipe(mode, function, *arguments, **options) as kid:
        return eval(kid.read(None, 20))


# ---- the three modes ----


def test_what_the_child_writes_we_read():
    def child(count):
        for number in range(count):
            print("line", number)

    with fork_pipe("r", child, 3) as kid:
        assert isinstance(kid, processes.Reader)
        assert list(kid) == [b"line 0\n", b"line 1\n", b"line 2\n"]
    assert [child.exit.status for child in kid.children] == [0]


def test_what_we_write_the_child_reads(tmp_path):
    def child():
        with open(tmp_path / "safe", "w") as file:
            for line in sys.stdin:
                file.write(line.upper())

    with fork_pipe("w", child) as kid:
        assert isinstance(kid, processes.Writer)
        kid.write("one\n")
        kid.write_line(b"two")
    assert (tmp_path / "safe").read_text() == "ONE\nTWO\n"


def test_both_ways():
    def child():
        for line in sys.stdin.buffer:
            sys.stdout.write(line.decode()[::-1].strip() + "\n")
            sys.stdout.flush()

    with fork_pipe("rw", child) as kid:
        for word in b"abc", b"xyz":
            kid.send_line(word)
            assert kid.read_line(20) == word[::-1] + b"\n"
        kid.close_input()
        assert kid.read_line(20) == b""


def test_much_goes_through():
    data = os.urandom(3 << 20)

    def child():
        total = sys.stdin.buffer.read()
        os.write(1, b"same" if total == data else b"other")

    with fork_pipe("rw", child) as kid:
        kid.write(data)
        kid.close_input()
        assert kid.read(None, 20) == b"same"


# ---- the child has no way back ----


def ways_out():
    def leave(value):
        return lambda: sys.exit(value)

    def stop():
        raise StopIteration

    def interrupt():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    def recurse():
        recurse()

    return {
        "return": (lambda: 7, 0),
        "exit 0": (leave(0), 0),
        "exit None": (leave(None), 0),
        "exit 7": (leave(7), 7),
        "exit 300": (leave(300), 300 & 0xFF),
        "exit with words": (leave("words"), 1),
        "exception": (lambda: 1 / 0, 1),
        "StopIteration": (stop, 1),
        "KeyboardInterrupt": (interrupt, 1),
        "recursion": (recurse, 1),
        "_exit": (lambda: os._exit(9), 9),
        "signal": (lambda: os.kill(os.getpid(), signal.SIGTERM), -signal.SIGTERM),
    }


@pytest.mark.parametrize("way", ways_out())
@pytest.mark.parametrize("mode", ["r", "w", "rw"])
def test_it_ends_and_how_is_told(way, mode, capfd):
    function, status = ways_out()[way]
    parent = os.getpid()
    if status == 0:
        with fork_pipe(mode, function) as kid:
            pass
    else:
        with pytest.raises(pyipc.ProgramFailedError) as problem, fork_pipe(mode, function) as kid:  # noqa: PT012 (the block's end is what raises)
            if mode == "r":
                kid.read(None)
        assert [end.status for end in problem.value.exits] == [status]
    assert os.getpid() == parent
    with fork_pipe(mode, function, check=False) as kid:
        if mode == "r":
            kid.read(None)
    assert [child.exit.status for child in kid.children] == [status]
    told = capfd.readouterr().err
    if status == 1:
        assert ("Traceback" in told) == (way != "exit with words")
    if way == "exit with words":
        assert told == "words\n" * 2


def run(program):
    """What it writes, and its status."""
    env = {**os.environ, "PYIPC_BACKEND": pyipc.backend()}
    for name in "COVERAGE_PROCESS_CONFIG", "PYTHONUNBUFFERED":
        env.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        env=env,
        timeout=25,
        check=False,
    )
    return done.stdout.decode(), done.returncode


def test_no_block_of_ours_ends_twice_and_no_atexit_function_runs():
    program = """
        import atexit, os, sys
        from pyipc.processes import fork_pipe

        me = os.getpid()
        atexit.register(lambda: print("atexit", os.getpid() == me))

        def fail():
            raise ValueError("of the child")

        sys.stderr = open(os.devnull, "w")
        print("buffered before, once")
        for mode in "r", "w", "rw":
            try:
                with fork_pipe(mode, fail, check=False) as kid:
                    if mode == "r":
                        kid.read(None)
            finally:
                print("finally", os.getpid() == me)
    """
    assert run(program) == ("buffered before, once\n" + "finally True\n" * 3 + "atexit True\n", 0)


def test_a_handler_that_raises_at_any_moment_never_sets_two_of_us_free(child):
    """Each process that comes out of fork_pipe says who it is."""

    def main(say, hear):
        import faulthandler
        import os
        import random
        import signal
        import sys
        import warnings

        from pyipc.processes import fork_pipe

        faulthandler.dump_traceback_later(20, exit=True, file=sys.__stderr__)
        armed = False

        def late(*_):
            nonlocal armed
            if armed:
                armed = False
                raise ZeroDivisionError

        warnings.simplefilter("ignore")
        sys.unraisablehook = lambda what: None
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (to its end)
        signal.signal(signal.SIGALRM, late)
        chance = random.Random(1)
        me = os.getpid()
        before = len(os.listdir("/proc/self/fd"))
        interrupted = 0
        kid = None
        came = set()

        def once():  # what is raised at any moment comes out of here, and nothing once it is over
            nonlocal armed, kid
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(50e-6, 1500e-6))
                with fork_pipe("rw", signal.pause) as kid:
                    raise EOFError  # which kills it
            finally:
                armed = False

        while interrupted < 150:
            try:
                once()
            except ZeroDivisionError:
                interrupted += 1
            except EOFError:
                pass
            if kid is not None:  # what its block was interrupted in, at its end
                kid.close()
            kid = None
            came.add(os.getpid() == me)
            if os.getpid() != me:
                os._exit(0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        # What close() was interrupted in the middle of, it has let go of; here it is reaped.
        for pid in open(f"/proc/self/task/{me}/children").read().split():  # noqa: SIM115 (of a child)
            os.kill(int(pid), signal.SIGKILL)
            os.waitpid(int(pid), 0)
        say((came, len(os.listdir("/proc/self/fd")) - before))

    other = child(main, measured=False)
    assert other.hear(25) == ({True}, 0)
    assert other.end() == 0


@pytest.mark.filterwarnings("ignore")  # of forks beside threads, which this is about
def test_a_copy_that_is_forked_while_a_thread_is_at_it_can_do_it_too(fork, monkeypatch):
    module = sys.modules[fork_pipe.__module__]
    drop = module.drop
    heard, tells = os.pipe()

    def never(_):  # before the child says that it is ready
        os.write(tells, str(os.getpid()).encode())
        signal.pause()

    def at_it():
        with fork_pipe("r", out, check=False) as kid:
            kid.read(None)

    def copy(self):
        module.drop = drop
        with fork_pipe("r", out, 7) as kid:
            self.say(kid.read(None))

    monkeypatch.setattr(module, "drop", never)
    thread = threading.Thread(target=at_it)
    thread.start()
    pid = int(os.read(heard, 20))
    try:
        child = fork(copy)
        assert child.hear() == b"(7,)"
        assert child.end() == 0
    finally:
        os.kill(pid, signal.SIGKILL)
        thread.join()
        os.close(heard)
        os.close(tells)


# ---- the parent's end of it ----


def test_leaving_by_an_exception_kills_and_reaps_it():
    for mode in "r", "w", "rw":
        with pytest.raises(ZeroDivisionError), fork_pipe(mode, signal.pause) as kid:
            raise ZeroDivisionError
        assert [child.exit.signal for child in kid.children] == [signal.SIGKILL]


def test_who_reads_no_further_kills_it():
    def child():
        while True:
            os.write(1, b"line\n")

    with fork_pipe("r", child) as kid:
        assert kid.read_line(20) == b"line\n"


def test_a_writer_whose_child_has_gone_is_told(capfd):
    with pytest.raises(pyipc.PeerGoneError), fork_pipe("w", os._exit, 0) as kid:  # noqa: PT012 (whichever write it is)
        while True:
            kid.write(bytes(1 << 16), 20)


def test_timeouts():
    with pytest.raises(pyipc.TimedOutError), fork_pipe("r", signal.pause) as kid:
        kid.read_line(0.05)
    with pytest.raises(pyipc.TimedOutError), fork_pipe("w", signal.pause) as kid:
        kid.finish(0.05)


def test_it_is_in_our_group_and_our_child():
    assert heard("r", lambda: out(os.getppid(), os.getpgrp())) == (os.getpid(), os.getpgrp())


# ---- what the child has ----


def test_its_standard_files_are_the_pipe():
    def child():
        data = os.read(0, 10)
        out(data, sys.stdin.fileno(), sys.stdout.fileno(), os.get_inheritable(0), os.get_inheritable(1))

    with fork_pipe("rw", child) as kid:
        kid.write(b"hello")
        kid.close_input()
        assert eval(kid.read(None, 20)) == (b"hello", 0, 1, True, True)


def test_a_program_that_it_becomes_has_them_too():
    with fork_pipe("rw", os.execvp, "tr", ["tr", "a-z", "A-Z"]) as kid:
        kid.write("through a program")
        kid.close_input()
        assert kid.read(None, 20) == b"THROUGH A PROGRAM"


def test_it_has_our_files_but_no_end_of_ours(tmp_path):
    def links():
        found = {}
        for number in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                found[int(number)] = os.readlink(f"/proc/self/fd/{number}")
        return found

    with open(tmp_path / "file", "w") as file, fork_pipe("rw", signal.pause, check=False) as first:
        with fork_pipe("r", lambda: out(links())) as second:
            ours = {
                os.readlink(f"/proc/self/fd/{handle.fileno()}")
                for kid in (first, second)
                for handle in (kid._ends.into, *kid._ends.outs.values())
                if handle is not None
            }
            (theirs,) = eval(second.read(None, 20))
        assert str(tmp_path / "file") in theirs.values()
        assert file.fileno() in theirs
        assert not {link for number, link in theirs.items() if number > 2} & ours
        first.kill()


def test_the_end_of_one_is_seen_though_another_lives():
    with fork_pipe("rw", lambda: out(sys.stdin.read())) as first, fork_pipe("r", signal.pause) as second:
        first.close_input()
        assert first.read(None, 20) == b"('',)"
        second.kill()
        with pytest.raises(pyipc.ProgramFailedError):
            second.finish()


def test_without_standard_files_it_has_them_all_the_same():
    program = """
        import os
        from pyipc.processes import fork_pipe

        mine = os.dup(1)
        for number in 0, 1:
            os.close(number)

        def echo():
            os.write(1, os.read(0, 10)[::-1])

        with fork_pipe("rw", echo) as kid:
            numbers = [kid._ends.into.fileno(), kid._ends.outs["out"].fileno()]
            kid.write(b"abc")
            kid.close_input()
            answer = kid.read(None, 20)
        os.write(mine, f"{answer!r} {min(numbers) < 2}".encode())
    """
    assert run(program)[0] == "b'cba' True"  # they were in the way


def test_nothing_buffered_is_written_twice():
    program = """
        import sys
        from pyipc.processes import fork_pipe

        sys.stdout.write("once\\n")
        with fork_pipe("w", lambda: sys.stdout.write("the child's\\n")):
            pass
        print("end")
    """
    assert run(program) == ("once\nthe child's\nend\n", 0)


# ---- privileges ----

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def status():
    with open("/proc/self/status") as lines:
        facts = dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)
    out(*(facts[name].split() for name in ("Uid", "Gid", "Groups", "CapEff")))


@needs_root
def test_it_is_who_it_shall_be_before_the_function_runs():
    entry = pwd.getpwnam("nobody")
    uids, gids, _, caps = heard("r", status, user="nobody")
    assert uids == [str(entry.pw_uid)] * 4
    assert gids == [str(entry.pw_gid)] * 4
    assert int(caps[0], 16) == 0
    assert heard("r", status, user=1234, group=2345, extra_groups=[3456])[:3] == (
        ["1234"] * 4,
        ["2345"] * 4,
        ["3456"],
    )
    assert os.geteuid() == 0


def test_what_the_system_refuses_is_raised_here_and_nothing_runs(tmp_path, fork):
    def plain(self):
        if os.geteuid() == 0:
            processes.drop_privileges(65534, 65534, [])
        before = len(os.listdir("/proc/self/fd"))
        try:
            fork_pipe("r", lambda: os.write(2, b"it ran"), user=0, group=0, extra_groups=[])
        except OSError as problem:
            self.say((type(problem).__name__, str(problem), len(os.listdir("/proc/self/fd")) - before))
        with fork_pipe("r", out, 7, user=os.getuid(), group=os.getgid(), extra_groups=[]) as kid:
            self.say(kid.read(None))

    child = fork(plain)
    kind, text, left = child.hear()
    assert (kind, left) == ("AccessError", 0)
    assert "become" in text or "supplementary groups" in text  # whichever is not so already
    assert child.hear() == b"(7,)"
    assert child.end() == 0


def test_strangers_are_refused_before_anything_is_forked():
    with pytest.raises(ValueError, match="no user"):
        fork_pipe("r", out, user="no such user")
    for wrong in "", "x", "wr", "a", None:
        with pytest.raises(ValueError, match="mode"):
            fork_pipe(wrong, out)
    with pytest.raises(TypeError, match="function"):
        fork_pipe("r", "out")


# ---- limits ----


def test_room_for_a_process_is_asked_for_again_and_then_named(fork):
    def full(self):
        processes_limit = resource.getrlimit(resource.RLIMIT_NPROC)
        if os.geteuid() == 0:
            processes.drop_privileges(54321, 54321, [])
        resource.setrlimit(resource.RLIMIT_NPROC, (1, processes_limit[1]))
        began = time.monotonic()
        try:
            fork_pipe("r", out)
        except pyipc.LimitError as problem:
            self.say((problem.limit, problem.value, 1 <= time.monotonic() - began < 5))
        more = (2000, processes_limit[1])
        signal.signal(signal.SIGALRM, lambda *_: resource.setrlimit(resource.RLIMIT_NPROC, more))
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with fork_pipe("r", out, 7) as kid:  # there is room by and by
            self.say(kid.read(None))

    child = fork(full)
    assert child.hear() == ("RLIMIT_NPROC", 1, True)
    assert child.hear() == b"(7,)"
    assert child.end() == 0


def test_no_room_for_descriptors_leaves_nothing(fork):
    def full(self):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        number = os.dup(0)
        os.close(number)
        before = len(os.listdir("/proc/self/fd"))
        for room in range(12):
            resource.setrlimit(resource.RLIMIT_NOFILE, (number + room, limit[1]))
            try:
                with fork_pipe("rw", out, 7) as kid:
                    told = kid.read(None)
            except OSError as problem:
                told = type(problem).__name__, getattr(problem, "limit", None)
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            assert len(os.listdir("/proc/self/fd")) == before
            self.say(told)

    child = fork(full)
    answers = [child.hear() for _ in range(12)]
    assert answers[0] == ("LimitError", "RLIMIT_NOFILE")
    assert answers[-1] == b"(7,)"
    assert set(answers) == {answers[0], answers[-1]}
    assert child.end() == 0


# ---- threads ----


def test_threads_are_warned_of():
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        with pytest.warns(RuntimeWarning, match="1 other thread"), warnings.catch_warnings():  # noqa: PT031 (the fork warns)
            warnings.simplefilter("ignore", DeprecationWarning)
            with fork_pipe("r", out, 7) as kid:
                assert kid.read(None) == b"(7,)"
    finally:
        stop.set()
        thread.join()


def test_threads_that_fork_at_once_hold_up_nobody(child):
    def main(say, hear):
        import signal
        import threading
        import warnings

        from pyipc.processes import fork_pipe

        warnings.simplefilter("ignore")
        done = []

        def work():
            for _ in range(20):
                with fork_pipe("rw", lambda: print(input())) as kid:
                    kid.send_line("hello")
                    assert kid.read(None, 20) == b"hello\n"
                with fork_pipe("r", signal.pause) as other:
                    other.kill()
                    other.wait()
                    other.close()
            done.append(True)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        say(done)

    other = child(main, measured=False)
    assert other.hear(25) == [True] * 3
    assert other.end() == 0
