"""The demonstration programs that posix_ipc 1.3.2 comes with, run on our module; also with those in C."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pyipc
import pyipc.compat.posix_ipc as compat

pytestmark = pytest.mark.timeout(120)

RUNNER = Path(__file__).resolve().parents[1] / "children" / "runs_foreign_program.py"


class Demo:
    """A copy of one folder of demonstrations; what its programs print goes to files."""

    def __init__(self, folder):
        self.folder = folder
        self._started = []

    def change(self, file, old, new):
        text = (self.folder / file).read_text()
        assert old in text
        (self.folder / file).write_text(text.replace(old, new))

    def compile(self):
        compiler = shutil.which("cc")
        if not compiler:
            pytest.skip("there is no C compiler")
        for program in "premise", "conclusion":
            command = [compiler, "-w", "-o", program, f"{program}.c", "md5.c", "utils.c", "-lrt", "-lpthread"]
            subprocess.run(command, cwd=self.folder, check=True)

    def start(self, program, *arguments, typed=None):
        """Run one of its programs; *typed* is what somebody types into it, line by line, at once."""
        path = self.folder / program
        words = [sys.executable, "-u", RUNNER, "posix_ipc", path] if path.suffix == ".py" else [path]
        environment = {**os.environ, "PYIPC_BACKEND": pyipc.backend(), "PATH": self._path()}
        with open(self.folder / f"{program}.out", "wb") as out:
            started = subprocess.Popen(
                [*map(os.fspath, words), *arguments],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL if typed is None else subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self._started.append(started)
        if typed:
            self.type(started, typed)
        return started

    def type(self, started, text):
        started.stdin.write(f"{text}\n".encode())
        started.stdin.flush()

    def _path(self):
        """One of the programs starts another by `python`."""
        place = self.folder / "bin"
        if not place.exists():
            place.mkdir()
            (place / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{RUNNER}" posix_ipc "$@"\n')
            (place / "python").chmod(0o755)
        return f"{place}{os.pathsep}{os.environ['PATH']}"

    def printed(self, program):
        return (self.folder / f"{program}.out").read_text()

    def ends_well(self, program, started):
        assert started.wait(60) == 0, self.printed(program)

    def clear_away(self):
        for started in self._started:
            started.kill()
            started.wait()
            if started.stdin:
                started.stdin.close()


@pytest.fixture
def demo(posix_ipc_sources, tmp_path):
    made = []

    def copy(name):
        folder = tmp_path / name
        shutil.copytree(posix_ipc_sources / "demos" / name, folder)
        made.append(Demo(folder))
        return made[-1]

    yield copy
    for one in made:
        one.clear_away()


@pytest.fixture
def names():
    """Two names of our own, which are removed again."""
    chosen = [f"/pyipc-demo-{os.urandom(6).hex()}" for _ in range(2)]
    yield chosen
    for name in chosen:
        for unlink in compat.unlink_semaphore, compat.unlink_shared_memory, compat.unlink_message_queue:
            try:
                unlink(name)
            except compat.ExistentialError:
                continue


def there(kind, name):
    try:
        found = kind(name)
    except compat.ExistentialError:
        return False
    (found.close_fd if kind is compat.SharedMemory else found.close)()
    return True


def set_up_talk(talk, names):
    talk.change("params.txt", "/wuthering_heights", names[0])
    talk.change("params.txt", "/four_yorkshiremen", names[1])
    talk.change("params.txt", "ITERATIONS=1000", "ITERATIONS=100")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("premise.py", "conclusion.py"),
        ("premise", "conclusion.py"),
        ("premise.py", "conclusion"),
    ],
    ids=["python-python", "c-python", "python-c"],
)
def test_two_talk_through_memory_under_a_semaphore(demo, names, until, first, second):
    talk = demo("demo1")
    set_up_talk(talk, names)
    talk.compile()
    premise = talk.start(first)
    until(lambda: there(compat.Semaphore, names[0]) and there(compat.SharedMemory, names[1]))
    conclusion = talk.start(second)
    talk.ends_well(second, conclusion)
    talk.ends_well(first, premise)
    for program in first, second:
        assert "iteration 99" in talk.printed(program)
        assert "corruption" not in talk.printed(program)
        assert "failed" not in talk.printed(program)
    assert not there(compat.Semaphore, names[0])
    assert not there(compat.SharedMemory, names[1])
    cleanup = talk.start("cleanup.py")
    talk.ends_well("cleanup.py", cleanup)
    assert talk.printed("cleanup.py").count("doesn't need cleanup") == 2


def test_what_they_leave_behind_their_clean_up_removes(demo, names, until):
    talk = demo("demo1")
    set_up_talk(talk, names)
    premise = talk.start("premise.py")
    until(lambda: there(compat.Semaphore, names[0]) and there(compat.SharedMemory, names[1]))
    premise.kill()
    premise.wait()
    talk.ends_well("cleanup.py", talk.start("cleanup.py"))
    assert talk.printed("cleanup.py").count("removed") == 2
    assert not there(compat.Semaphore, names[0])
    assert not there(compat.SharedMemory, names[1])


def test_two_talk_by_messages(demo, names, until):
    talk = demo("demo2")
    talk.change("params.txt", "/my_message_queue", names[0])
    talk.change("params.txt", "ITERATIONS=1000", "ITERATIONS=200")
    premise = talk.start("premise.py")
    until(lambda: there(compat.MessageQueue, names[0]))
    conclusion = talk.start("conclusion.py")
    talk.ends_well("premise.py", premise)
    talk.ends_well("conclusion.py", conclusion)
    for program in "premise.py", "conclusion.py":
        assert "200 iterations complete" in talk.printed(program)
    assert not there(compat.MessageQueue, names[0])
    talk.ends_well("cleanup.py", talk.start("cleanup.py"))
    assert "doesn't need cleanup" in talk.printed("cleanup.py")


BY_CALL = pytest.mark.skipif(pyipc.backend() != "native", reason="the fallback notifies by signals alone")


@pytest.mark.parametrize("program", ["one_shot_signal.py", pytest.param("one_shot_thread.py", marks=BY_CALL)])
def test_it_tells_of_one_message(demo, names, until, program):
    bell = demo("demo3")
    bell.change("utils.py", "/my_message_queue", names[0])
    started = bell.start(program, typed="hello there")
    bell.ends_well(program, started)
    assert "Ding! Message with priority 0 received: b'hello there'" in bell.printed(program)
    assert not there(compat.MessageQueue, names[0])


@pytest.mark.parametrize(
    "program", ["repeating_signal.py", pytest.param("repeating_thread.py", marks=BY_CALL)]
)
def test_it_tells_of_every_message(demo, names, until, program):
    bell = demo("demo3")
    bell.change("utils.py", "/my_message_queue", names[0])
    started = bell.start(program, typed="message 0")
    for i in range(1, 4):
        until(lambda: f"received: b'message {i - 1}'" in bell.printed(program))  # noqa: B023  # called here
        bell.type(started, f"message {i}")
    until(lambda: "received: b'message 3'" in bell.printed(program))
    bell.type(started, "")
    bell.ends_well(program, started)
    assert bell.printed(program).count("Ding!") == 4
    bell.ends_well("cleanup.py", bell.start("cleanup.py"))


def test_a_semaphore_as_a_context_manager(demo):
    pair = demo("demo4")
    pair.ends_well("parent.py", pair.start("parent.py"))
    said = pair.printed("parent.py")
    assert "destroying the semaphore" in said
    # It is left by an error or by its end, as a coin decides.
    assert "ValueError" in said or "gracefully exiting" in said


def test_a_queue_in_a_selector(demo, names, until):
    pair = demo("demo5")
    for program in "listener.py", "transmitter.py":
        pair.change(program, "/python_ipc_test", names[0])
    listener = pair.start("listener.py")
    until(lambda: "Listening" in pair.printed("listener.py"))
    pair.ends_well("transmitter.py", pair.start("transmitter.py"))
    pair.ends_well("listener.py", listener)
    assert "b'From transmitter'" in pair.printed("listener.py")
    assert not there(compat.MessageQueue, names[0])
