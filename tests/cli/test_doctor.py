"""`pyipc doctor`: what it finds on a machine that lacks something."""

import json
import os
import re
import resource
import shutil
import subprocess

import pytest

import pyipc


def findings(ran):
    return {one["what"]: one for one in json.loads(ran.stdout)}


def test_it_looks_at_what_matters(run):
    ran = run("doctor", "--json")
    found = findings(ran)
    assert {"kernel", "backend", "/dev/shm", "RLIMIT_NOFILE", "System V segments"} <= set(found)
    assert {"/dev/mqueue", "POSIX queues"} & set(found)
    assert ran.returncode == any(one["status"] == "problem" for one in found.values())
    assert found["backend"]["status"] == ("ok" if pyipc.backend() == "native" else "warning")
    for one in found.values():
        assert one["status"] in ("ok", "note", "warning", "problem")
        assert one["mend"] or one["status"] in ("ok", "note")


def test_for_people_it_says_how_to_mend(run):
    ran = run("doctor", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)))
    text = ran.stdout
    assert "RLIMIT_NOFILE: 100 of 100" in text
    assert "ulimit -n" in text
    assert "\033" not in text


def test_on_a_terminal_lines_are_broken_between_words(on_terminal):
    plain = re.sub(r"\033\[\d*m", "", on_terminal(50, "doctor"))
    lines = plain.splitlines()
    assert all(len(line) <= 50 or line.count(" ") <= 10 for line in lines)  # a long word stays whole
    assert any(line.startswith(" " * 10) for line in lines)


def test_quiet_says_only_what_is_wrong(run):
    few = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))  # noqa: E731 (short)
    found = findings(run("doctor", "--json", "--quiet", preexec_fn=few))
    assert found["RLIMIT_NOFILE"]["status"] == "warning"
    assert all(one["status"] in ("warning", "problem") for one in found.values())


@pytest.fixture
def elsewhere(process):
    """Run a script in a mount namespace of its own, where it may mount what it likes."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    if (
        not shutil.which("unshare")
        or subprocess.run(["unshare", "--mount", "--ipc", "true"], check=False).returncode
    ):
        pytest.skip("no mount namespace can be had here, as in a chroot")

    def run(script):
        environment = {**os.environ, "PYIPC_BACKEND": pyipc.backend(), "PYTHON": os.sys.executable}
        return process(["unshare", "--mount", "--ipc", "sh", "-c", script], env=environment)

    return run


@pytest.mark.parametrize(
    ("mount", "what", "status"),
    [
        ("mount -t tmpfs -o size=16m tmpfs /dev/shm", "/dev/shm", "warning"),
        ("mount -t tmpfs -o mode=700 tmpfs /dev/shm", "/dev/shm", "warning"),
        ("echo 0 >/proc/sys/kernel/shmmni", "System V segments", "ok"),
    ],
)
def test_a_machine_that_lacks_something(elsewhere, mount, what, status):
    script = f'{mount} && "$PYTHON" -m pyipc doctor --json | tr -d "\\n"; echo'
    found = {one["what"]: one for one in json.loads(elsewhere(script).line())}
    assert found[what]["status"] == status


@pytest.mark.skipif(not shutil.which("ipcmk"), reason="ipcmk is not installed")
def test_a_limit_that_is_reached(elsewhere):
    script = (
        'echo 1 >/proc/sys/kernel/shmmni && ipcmk -M 1 >/dev/null && "$PYTHON" -m pyipc doctor --json'
        ' | tr -d "\\n"; echo'
    )
    found = {one["what"]: one for one in json.loads(elsewhere(script).line())}
    assert found["System V segments"]["status"] == "problem"
    assert "shmmni" in found["System V segments"]["mend"]
