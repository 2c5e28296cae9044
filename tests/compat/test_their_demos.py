"""The demonstrations that sysv_ipc 1.2.0 comes with, run on our module; those in C on the other side."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pyipc

pytestmark = pytest.mark.timeout(120)

RUNNER = Path(__file__).resolve().parents[1] / "children" / "runs_foreign_program.py"


class Demo:
    """A copy of one folder of demonstrations; what its programs print goes to files."""

    def __init__(self, folder):
        self.folder = folder
        self._started = []

    def set(self, **values):
        """Change the parameters that its programs read."""
        path = self.folder / "params.txt"
        lines = path.read_text().splitlines()
        changed = [
            f"{line.split('=')[0]}={values.get(line.split('=')[0], line[line.find('=') + 1 :])}"
            if "=" in line and not line.startswith("#")
            else line
            for line in lines
        ]
        path.write_text("\n".join(changed) + "\n")

    def compile(self):
        compiler = shutil.which("cc")
        if not compiler:
            pytest.skip("there is no C compiler")
        for program in "premise", "conclusion":
            command = [compiler, "-w", "-o", program, f"{program}.c", "md5.c", "utils.c"]
            subprocess.run(command, cwd=self.folder, check=True)

    def start(self, program, *arguments):
        path = self.folder / program
        words = [sys.executable, RUNNER, "sysv_ipc", path] if path.suffix == ".py" else [path]
        environment = {**os.environ, "PYIPC_BACKEND": pyipc.backend(), "PATH": self._path()}
        with open(self.folder / f"{program}.out", "wb") as out:
            started = subprocess.Popen(
                [*map(os.fspath, words), *arguments],
                cwd=self.folder,
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self._started.append(started)
        return started

    def _path(self):
        """One of the programs starts another by `python`."""
        place = self.folder / "bin"
        if not place.exists():
            place.mkdir()
            (place / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{RUNNER}" sysv_ipc "$@"\n')
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


@pytest.fixture
def demo(sysv_ipc_sources, tmp_path):
    made = []

    def copy(name):
        folder = tmp_path / name
        shutil.copytree(sysv_ipc_sources / "demos" / name, folder)
        made.append(Demo(folder))
        return made[-1]

    yield copy
    for one in made:
        one.clear_away()


def listed(table, key):
    rows = Path(f"/proc/sysvipc/{table}").read_text().splitlines()[1:]
    return any(int(row.split()[0]) == key for row in rows)


@pytest.mark.needs("compat.memoryview")
def test_the_buffer_protocol(demo):
    views = demo("buffer_protocol")
    views.ends_well("demo.py", views.start("demo.py"))
    assert "Done!" in views.printed("demo.py")


# Half of this pair compares what it got with an x behind it, and so ends at once, whatever it runs on.
WRONG, RIGHT = "assert(s + 'x' == ", "assert(s == "


def test_two_talk_by_messages(demo, key, until):
    talk = demo("message_queues")
    talk.set(KEY=key, ITERATIONS=200)
    program = talk.folder / "conclusion.py"
    assert WRONG in program.read_text()
    program.write_text(program.read_text().replace(WRONG, RIGHT))
    premise = talk.start("premise.py")
    until(lambda: listed("msg", key))
    conclusion = talk.start("conclusion.py")
    talk.ends_well("premise.py", premise)
    talk.ends_well("conclusion.py", conclusion)
    for program in "premise.py", "conclusion.py":
        assert "200 iterations complete" in talk.printed(program)
    assert not listed("msg", key)
    talk.ends_well("cleanup.py", talk.start("cleanup.py"))
    assert "doesn't exist" in talk.printed("cleanup.py")


def test_as_it_comes_that_pair_ends_where_it_ends_on_sysv_ipc(demo, key, until):
    talk = demo("message_queues")
    talk.set(KEY=key, ITERATIONS=200)
    talk.start("premise.py")
    until(lambda: listed("msg", key))
    conclusion = talk.start("conclusion.py")
    assert conclusion.wait(20) == 1
    assert "AssertionError: Message corruption after 1 iterations" in talk.printed("conclusion.py")
    talk.clear_away()
    talk.ends_well("cleanup.py", talk.start("cleanup.py"))
    assert not listed("msg", key)


@pytest.mark.parametrize(
    ("first", "second"),
    [("premise.py", "conclusion.py"), ("premise", "conclusion.py"), ("premise.py", "conclusion")],
    ids=["python-python", "c-python", "python-c"],
)
def test_two_talk_through_memory_under_a_semaphore(demo, key, until, first, second):
    talk = demo("sem_and_shm")
    talk.set(KEY=key, ITERATIONS=100, LIVE_DANGEROUSLY=0)
    talk.compile()
    premise = talk.start(first)
    until(lambda: listed("sem", key) and listed("shm", key))
    conclusion = talk.start(second)
    talk.ends_well(second, conclusion)
    talk.ends_well(first, premise)
    for program in first, second:
        assert "iteration 99" in talk.printed(program)
        assert "corruption" not in talk.printed(program)
        assert "failed" not in talk.printed(program)
    assert not listed("sem", key)
    assert not listed("shm", key)
    talk.ends_well("cleanup.py", talk.start("cleanup.py"))


def test_what_they_leave_behind_their_clean_up_removes(demo, key, until):
    talk = demo("sem_and_shm")
    talk.set(KEY=key, ITERATIONS=100, LIVE_DANGEROUSLY=0)
    premise = talk.start("premise.py")
    until(lambda: listed("sem", key) and listed("shm", key))
    premise.kill()
    premise.wait()
    talk.ends_well("cleanup.py", talk.start("cleanup.py"))
    assert not listed("sem", key)
    assert not listed("shm", key)


def test_a_semaphore_as_a_context_manager(demo):
    pair = demo("semaphore_context_manager")
    pair.ends_well("parent.py", pair.start("parent.py"))
    said = pair.printed("parent.py")
    assert "destroying the semaphore" in said
    # It is left by an error or by its end, as a coin decides.
    assert "ValueError" in said or "gracefully exiting" in said
