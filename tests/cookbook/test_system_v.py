"""perlipc's System V programs: each example runs as it stands, beside Perl's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pyipc
from pyipc import sysv

EXAMPLES = Path(__file__).parents[2] / "docs" / "cookbook" / "system-v"

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.needs("sysv.atomic_operations"),
    pytest.mark.skipif(not EXAMPLES.exists(), reason="the examples are in the repository"),
]

SEMOP = 'semop(semget($ARGV[0], 0, 0) // die("$!"), pack("s!*", @ARGV[1 .. $#ARGV])) or die "$!"'
TAKE, GIVE = (0, 0, 0, 0, 1, 0), (0, -1, 0)


def example(name, *arguments, key=0, **pipes):
    environment = {**os.environ, "PYIPC_BACKEND": pyipc.backend(), "IPC_KEY": str(key)}
    words = [sys.executable, "-X", "dev", "-W", "error", str(EXAMPLES / name), *arguments]
    return subprocess.Popen(words, env=environment, text=True, stdout=subprocess.PIPE, **pipes)


def output(program):
    with program:
        said = program.communicate(timeout=25)[0]
    assert program.returncode == 0
    return said


def perl(key, operations):
    words = ["perl", "-e", SEMOP, str(key), *map(str, operations)]
    subprocess.run(words, check=True, timeout=25, capture_output=True)


def test_shared_memory():
    lines = output(example("shared_memory.py")).splitlines()
    assert lines[:2] == ["Message #1", "the child counted to 7"]
    assert lines[2].startswith("deleting ")
    assert int(lines[2].split()[1]) not in {segment.id for segment in sysv.segments()}


def test_who_takes_waits_for_who_gives(key, until):
    with example("semaphore.py", key=key, stdin=subprocess.PIPE) as maker:
        id = int(maker.stdout.readline())
        with sysv.SemaphoreSet.attach(id) as set:
            assert output(example("take.py", key=key)) == "taken\n"
            second = example("take.py", "25", key=key)
            if pyipc.backend() == "native":  # the fallback tries and naps: nobody is seen to wait
                until(lambda: set[0].zero_waiters == 1)
            assert output(example("give.py", key=key)) == "given\n"
            assert output(second) == "taken\n"
            assert set[0].value == 1
        maker.stdin.close()
        maker.stdout.close()
    assert maker.returncode == 0
    assert id not in {one.id for one in sysv.semaphore_sets()}


def test_what_nobody_has_taken_cannot_be_given(key):
    with sysv.SemaphoreSet.create(1, key=key, initial=0):
        assert output(example("give.py", key=key)) == "nobody has taken it\n"


@pytest.mark.skipif(not shutil.which("perl"), reason="perl is not installed")
def test_perl_gives_what_we_took_and_takes_what_we_gave(key):
    with sysv.SemaphoreSet.create(1, key=key, initial=0) as set:
        assert output(example("take.py", key=key)) == "taken\n"
        perl(key, GIVE)
        assert set[0].value == 0
        perl(key, TAKE)
        assert output(example("give.py", key=key)) == "given\n"
        assert set[0].value == 0
