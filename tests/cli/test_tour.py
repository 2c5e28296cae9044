"""`pyipc tour`, run as people run it; the leak check around every test says what it left."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest

import pyipc
from pyipc.cli.tour import STOPS, fds_partners, sysv, sysv_partners
from pyipc.cli.tour.partner import StepError
from pyipc.cli.tour.second import tell, wait_for_word
from pyipc.cli.tour.show import Terminal
from pyipc.cli.tour.stage import Step, Stop, _undisturbed

PERL = shutil.which("perl")

# The steps of the tour, and what each needs of the backend.
NEEDS = {
    "Shared memory, byte for byte": None,
    "Shared memory, without a copy": "sysv.segment_views",
    "A crash leaks no memory": None,
    "Take and give": "sysv.atomic_operations",
    "A holder dies": None,
    "Messages by type": None,
    "Nothing is left behind": None,
    "Memory with a name": None,
    "It shrinks under its reader": None,
    "A semaphore by its name": "posix.semaphores",
    "The most urgent first": "posix.message_queues",
    "Told of a message": "posix.message_queues",
    "No name is left behind": None,
    "A program for sysv_ipc": None,
    "A program for posix_ipc": "posix.message_queues",
    "An open file goes along": None,
    "From any program": None,
    "None is lost in silence": None,
    "As many as it takes": None,
    "Who was that?": None,
    "A text for each reader": None,
    "A reader is killed, another waits": None,
    "Records of many writers": None,
    "Nothing else than a fifo": None,
    "Memory without a name": None,
    "Its maker dies": None,
    "Nobody pulls it away": None,
    "A pipeline, and how each ended": None,
    "No such program": None,
    "A conversation": None,
    "All at once": None,
    "Leave when you like": None,
    "Its parent is killed": None,
    "Its owner dies": "sync.locks",
    "Half done": "sync.locks",
    "Permits come back": "sync.locks",
    "A wake for the living": "sync.locks",
    "Messages through memory": "channels",
    "A sender is killed": "channels",
    "A receiver is killed with a message": "channels",
    "Out of any wait": "signals",
    "Signals as data": "signals",
    "Who is alive": None,
    "Children, and no others": None,
    "Line by line": None,
    "A password": None,
    "After much output": None,
    "In vain": None,
    "The end": None,
    "A client of any kind": None,
    "A byte at a time": None,
    "A path has one server": None,
    "A worker is killed": None,
    "SIGTERM drains": None,
    "Many hosts at once": None,
}
WITH_PERL = (
    *("Shared memory, byte for byte", "Take and give", "Messages by type", "A text for each reader"),
    "A client of any kind",
)
if os.uname().machine in fds_partners.SENDMSG:
    WITH_PERL += ("From any program",)
STOPS_WITH_PERL = ("sysv", "fds", "fifos", "sockets")

needs_perl = pytest.mark.skipif(PERL is None, reason="perl is not installed")


def command(*arguments):
    return [sys.executable, "-m", "pyipc", "tour", *arguments]


@pytest.fixture
def environment():
    def make(path=None, **more):
        return {
            **os.environ,
            "PYIPC_BACKEND": pyipc.backend(),
            "PATH": os.environ["PATH"] if path is None else os.fspath(path),
            **more,
        }

    return make


@pytest.fixture
def tour(environment):
    """Make the tour; what its programs find on PATH can be chosen."""

    def run(*arguments, path=None, **more):
        ran = subprocess.run(
            command(*arguments), env=environment(path, **more), capture_output=True, text=True, timeout=50
        )
        assert ran.stderr == ""
        return ran

    return run


@pytest.fixture
def whole(tour):
    """The tour to its end. It takes long, and tells all who ask for it the same: they share one."""

    def run(*arguments):
        if arguments not in _whole:
            _whole[arguments] = tour(*arguments)
        return _whole[arguments]

    return run


_whole = {}


@pytest.fixture
def fake_perl(tmp_path):
    """A directory for PATH whose `perl` is this shell script."""

    def make(script):
        program = tmp_path / "perl"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return tmp_path

    return make


def before_others(path):
    """A PYTHONPATH on which what is there hides what is elsewhere."""
    return os.pathsep.join([os.fspath(path), *filter(None, [os.environ.get("PYTHONPATH")])])


def steps(ran):
    return [step for stop in json.loads(ran.stdout)["stops"] for step in stop["steps"]]


def statuses(ran):
    return {step["name"]: step["status"] for step in steps(ran)}


def expected(stops=STOPS, failed=()):
    able = pyipc.capabilities()
    names = [step.name for stop in stops for step in import_module(f"pyipc.cli.tour.{stop}").STEPS]
    return {
        name: "skipped" if NEEDS[name] and not able[NEEDS[name]] else "failed" if name in failed else "ok"
        for name in names
    }


# ---- what it shows ----


def test_every_step_works_or_says_what_the_backend_lacks(whole):
    ran = whole("--json")
    assert ran.returncode == 0
    assert statuses(ran) == expected()
    assert statuses(ran).keys() == NEEDS.keys()


def test_json_is_one_document_with_all_about_every_step(tour):
    document = json.loads(tour("sysv", "--json").stdout)
    assert document["ok"] is True
    assert document["pyipc"] == pyipc.__version__
    assert document["backend"] == pyipc.backend()
    assert document["python"] == ".".join(map(str, sys.version_info[:3]))
    assert document["kernel"] == os.uname().release
    assert document["perl"] == PERL
    (stop,) = document["stops"]
    assert stop["name"] == "sysv"
    for step, source in zip(stop["steps"], sysv.STEPS):
        assert (step["name"], step["what"], step["proves"]) == (source.name, source.what, source.proves)
        if step["status"] == "ok":
            assert step["reason"] is None
            assert step["detail"]
            assert 0 < step["milliseconds"] < 10_000
        else:
            assert step["reason"].startswith("not on this backend: ")
    *makers, last = stop["steps"]  # each of the makers makes one object
    made = sum(step["status"] == "ok" for step in makers)
    assert f"kernel: /proc/sysvipc: of the {made} objects made here, none" in last["detail"]


@needs_perl
def test_perl_takes_part(whole):
    for step in steps(whole("--json")):
        took_part = any(line.startswith("perl: ") for line in step["detail"])
        assert took_part == (step["name"] in WITH_PERL and step["status"] == "ok"), step["name"]


def test_without_perl_a_second_python_takes_its_part(tour, tmp_path):
    ran = tour("--json", *STOPS_WITH_PERL, path=tmp_path)
    assert ran.returncode == 0
    assert json.loads(ran.stdout)["perl"] is None
    assert statuses(ran) == expected(STOPS_WITH_PERL)
    assert "perl: " not in ran.stdout
    shown = tour("sysv", path=tmp_path)
    assert shown.returncode == 0
    assert "There is no perl here: python 2 takes its part." in shown.stdout


@pytest.mark.needs("sysv.segment_views")
def test_without_numpy_the_view_is_a_memoryview(tour, tmp_path):
    (tmp_path / "numpy.py").write_text("raise ImportError('numpy is not installed')\n")
    ran = tour("sysv", "memory", "--json", PYTHONPATH=before_others(tmp_path))
    assert statuses(ran) == expected(["sysv", "memory"])
    assert "python: a memoryview of 1000 numbers" in ran.stdout


def test_posix_ipc_is_needed_by_the_fallback_alone(tour, tmp_path):
    (tmp_path / "posix_ipc.py").write_text("raise ImportError('posix_ipc is not installed')\n")
    ran = tour("posix", "--json", PYTHONPATH=before_others(tmp_path))
    assert ran.returncode == 0
    lacking = [name for name, status in statuses(ran).items() if status == "skipped"]
    need = ["A semaphore by its name", "The most urgent first", "Told of a message"]
    assert lacking == (need if pyipc.backend() == "fallback" else [])
    assert ran.stdout.count("or the posix-ipc package") == len(lacking)


def test_a_terminal_of_80_columns_shows_it_whole(whole):
    lines = whole().stdout.splitlines()
    assert all(line.isascii() and len(line) < 80 and "\033" not in line for line in lines)
    assert f"backend {pyipc.backend()}, Python {sys.version_info[0]}." in lines[0]
    assert "Linux " in lines[0] + lines[1]
    firsts = [
        "Shared memory, byte for byte",
        "Memory with a name",
        "A program for sysv_ipc",
        "An open file goes along",
        "Memory without a name",
        "Out of any wait",
        "A text for each reader",
        "A pipeline, and how each ended",
        "Line by line",
        "A client of any kind",
        "Its owner dies",
        "Messages through memory",
    ]
    assert [line for line in lines if line.startswith("1. ")] == [f"1. {name}" for name in firsts]
    times = {line.rindex(" ms") for line in lines if line.endswith(" ms")}
    assert len(times) == 1


def test_steps_that_the_backend_cannot_do_are_skipped_with_the_reason(whole):
    lacking = [name for name, status in expected().items() if status == "skipped"]
    if not lacking:
        pytest.skip(f"the {pyipc.backend()} backend lacks nothing of what the tour shows")
    shown = whole().stdout
    assert shown.count("skipped   not on this backend: ") == len(lacking)
    assert f"{len(lacking)} skipped" in shown.splitlines()[-1]


def seen_on_terminal(environment):
    ours, theirs = pty.openpty()
    with subprocess.Popen(command("fifos"), stdout=theirs, env=environment) as running:
        os.close(theirs)
        seen = b""
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:  # EIO: the last process that had it open has closed it
                break
            if not data:
                break
            seen += data
    os.close(ours)
    assert running.returncode == 0
    return seen


def test_colour_is_for_terminals_that_want_it(environment):
    coloured = {**environment(), "TERM": "xterm"}
    coloured.pop("NO_COLOR", None)
    assert b"\033[32m" in seen_on_terminal(coloured)
    assert b"\033" not in seen_on_terminal({**coloured, "NO_COLOR": "1"})
    assert b"\033" not in seen_on_terminal({**coloured, "TERM": "dumb"})


# ---- what goes wrong ----


def test_a_perl_that_fails_fails_its_steps_and_no_other(tour, fake_perl):
    path = fake_perl("echo out of order >&2; exit 1")
    ran = tour("--json", *STOPS_WITH_PERL, path=path)
    assert ran.returncode == 1
    assert json.loads(ran.stdout)["ok"] is False
    assert statuses(ran) == expected(STOPS_WITH_PERL, failed=WITH_PERL)
    assert ran.stdout.count("perl ended with exit status 1: out of order") == list(
        statuses(ran).values()
    ).count("failed")
    shown = tour("sysv", path=path)
    assert shown.returncode == 1
    assert "FAILED" in shown.stdout


def test_a_perl_that_reads_other_bytes_fails_the_step(tour, fake_perl):
    ran = tour("--json", *STOPS_WITH_PERL, path=fake_perl("echo 414243; echo answered"))
    assert ran.returncode == 1
    assert statuses(ran) == expected(STOPS_WITH_PERL, failed=WITH_PERL)
    assert "perl read b'ABC'" in ran.stdout


@needs_perl
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=str
)
def test_a_signal_ends_it_once_it_has_cleaned_up(environment, fake_perl, until, number, status):
    stuck = 'echo $$ >"$0.new"; mv "$0.new" "$0.pid"; exec sleep 60'
    path = fake_perl(f'case "$*" in *msgsnd*) {stuck};; esac\nexec {PERL} "$@"')
    waiting = Path(f"{path}/perl.pid")
    with subprocess.Popen(
        command(),
        env=environment(f"{path}:{os.environ['PATH']}"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # whatever the suite runs under
    ) as running:
        until(waiting.exists)
        running.send_signal(number)
        assert running.stderr.read() == ""
    assert running.returncode == status
    assert not os.path.exists(f"/proc/{int(waiting.read_text())}")


@needs_perl
def test_under_nohup_a_hangup_is_ignored(environment, fake_perl, until):
    stuck = 'echo $$ >"$0.new"; mv "$0.new" "$0.pid"; read word'
    path = fake_perl(f'case "$*" in *msgsnd*) {stuck};; esac\nexec {PERL} "$@"')
    waiting = Path(f"{path}/perl.pid")
    deaf = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *command("sysv")]
    with subprocess.Popen(
        deaf, env=environment(f"{path}:{os.environ['PATH']}"), stdout=subprocess.DEVNULL
    ) as running:
        until(waiting.exists)
        running.send_signal(signal.SIGHUP)
        os.kill(int(waiting.read_text()), signal.SIGKILL)
    assert running.returncode == 1


# ---- steps, one at a time ----


@pytest.fixture
def stop():
    return Stop(Terminal(None), None)


def perform(stop, play, **options):
    return stop.perform(1, Step("name", "what", "proves", play), **options)


def test_a_partner_that_says_nothing_ends_with_the_steps_time(stop):
    def play(stage):
        stage.python(wait_for_word).hear()

    start = time.monotonic()
    outcome = perform(stop, play, seconds=0.3)
    assert outcome.status == "failed"
    assert outcome.reason == "python 2 said nothing for too long"
    assert 0.3 <= time.monotonic() - start < 5
    assert stop.partners[0].reaped


def test_a_partner_that_does_not_end_is_ended(stop):
    def play(stage):
        stage.python(wait_for_word).end()

    outcome = perform(stop, play, seconds=0.3)
    assert (outcome.status, outcome.reason) == ("failed", "python 2 does not end")
    assert stop.partners[0].reaped


@pytest.mark.parametrize("listen", ["hear", "end"])
def test_a_partner_that_dies_is_quoted(stop, listen):
    def play(stage):
        getattr(stage.python(sysv_partners.hold, "nothing"), listen)()

    outcome = perform(stop, play)
    assert outcome.reason == (
        "python 2 ended with exit status 1: ValueError: invalid literal for int() with base 10: 'nothing'"
    )


def test_a_partner_that_a_signal_killed_is_no_success(stop):
    def play(stage):
        other = stage.python(wait_for_word)
        os.kill(other.pid, signal.SIGUSR1)
        other.end()

    assert perform(stop, play).reason == "python 2 died of SIGUSR1"


def test_a_word_to_the_dead_fails_the_step(stop):
    def play(stage):
        other = stage.python(wait_for_word)
        other.kill()
        other.go_on()

    assert perform(stop, play).reason == "python 2 died of SIGKILL"


def test_a_partner_that_says_something_else_fails_the_step(stop):
    def play(stage):
        stage.python(tell, "good morning").expect("good evening")

    outcome = perform(stop, play)
    assert outcome.reason == "python 2 should have said 'good evening', not 'good morning'"


def test_a_fact_that_does_not_come_true_fails_the_step(stop):
    outcome = perform(stop, lambda stage: stage.wait_until(lambda: False, "never"), seconds=0.05)
    assert (outcome.status, outcome.reason) == ("failed", "never")


def test_an_error_fails_the_step_and_is_named(stop):
    def play(stage):
        stage.say("python", "divides")
        1 / 0  # noqa: B018  # any error will do

    outcome = perform(stop, play)
    assert (outcome.status, outcome.reason) == ("failed", "ZeroDivisionError: division by zero")
    assert outcome.detail == ["python: divides"]


def test_what_a_failed_step_made_is_removed(stop):
    def play(stage):
        semaphore, key = sysv._with_key(stage, lambda key: pyipc.sysv.Semaphore.create(key=key))
        made.append((semaphore, key))
        raise StepError("on purpose")

    made = []
    assert perform(stop, play).reason == "on purpose"
    semaphore, key = made[0]
    assert semaphore.closed
    with pytest.raises(FileNotFoundError):
        pyipc.sysv.Semaphore.open(key)


def test_the_last_step_finds_what_was_left(stop):
    queue = pyipc.sysv.MessageQueue.create()
    try:
        stop.made.add((queue.kind, queue.id))
        outcome = stop.perform(7, sysv.STEPS[-1])
    finally:
        queue.close()
    assert outcome.status == "failed"
    assert outcome.reason == f"still there: message queue {queue.id}"


def test_a_ctrl_c_while_a_process_starts_waits_until_we_have_charge_of_it():
    came_through = False
    with pytest.raises(KeyboardInterrupt), _undisturbed():  # noqa: PT012  # where it rises is the point
        signal.raise_signal(signal.SIGINT)
        came_through = True
    assert came_through


def test_a_key_that_is_taken_is_passed_over(stop):
    first = 0x50590000 + os.getpid() % 0x10000
    keys = []

    def play(stage):
        for _ in range(2):
            keys.append(sysv._with_key(stage, lambda key: pyipc.sysv.Semaphore.create(key=key))[1])

    assert perform(stop, play).status == "ok"
    assert keys == [first, first + 1]
