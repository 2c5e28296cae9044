"""The `pyipc` command: what it answers before any subcommand runs."""

import importlib.metadata
import os
import subprocess
import sys

import pytest

import pyipc
import pyipc.cli


def pyipc_command(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "pyipc", *arguments], capture_output=True, text=True, timeout=50, **options
    )


def test_the_console_script_and_the_module_are_the_same_main():
    scripts = importlib.metadata.distribution("pyipc-linux").entry_points
    (script,) = [script for script in scripts if script.name == "pyipc"]
    assert script.load() is pyipc.cli.main


def test_version_is_the_packages():
    ran = pyipc_command("--version")
    assert (ran.returncode, ran.stdout) == (0, f"pyipc {pyipc.__version__}\n")


def test_help_names_the_commands():
    ran = pyipc_command("--help")
    assert ran.returncode == 0
    assert "tour" in ran.stdout


def test_help_of_the_tour_names_its_stops():
    ran = pyipc_command("tour", "--help")
    assert ran.returncode == 0
    assert "sysv" in ran.stdout
    assert "--json" in ran.stdout


def test_without_arguments_it_prints_help_and_fails():
    ran = pyipc_command()
    assert ran.returncode == 2
    assert ran.stdout == pyipc_command("--help").stdout


@pytest.mark.parametrize(
    ("arguments", "named"), [(["walk"], "walk"), (["tour", "moon"], "sysv"), (["tour", "--fast"], "--fast")]
)
def test_wrong_arguments_are_named(arguments, named):
    ran = pyipc_command(*arguments)
    assert ran.returncode == 2
    assert named in ran.stderr
    assert "Traceback" not in ran.stderr


def test_main_takes_arguments_and_gives_the_exit_status(capsys):
    assert pyipc.cli.main(["tour", "sysv", "--json"]) == 0
    assert capsys.readouterr().out.startswith("{")


def test_commands_are_imported_only_when_called_for():
    program = (
        "import atexit, sys, pyipc.cli\n"
        "atexit.register(lambda: print({'pyipc.cli.tour', 'pyipc._backend'} & set(sys.modules)))\n"
        "pyipc.cli.main(['--version'])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50
    )
    assert ran.stdout == f"pyipc {pyipc.__version__}\nset()\n"


def test_a_reader_that_goes_away_is_no_traceback():
    with subprocess.Popen(
        [sys.executable, "-m", "pyipc", "tour"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout.readline().startswith("pyipc ")
        running.stdout.close()
        assert running.stderr.read() == ""
    assert running.returncode == 141


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", ["ls", "ls --json", "doctor", "completion bash", "bench --seconds 0.001"])
def test_a_full_disk_behind_the_output_is_one_line_and_a_status(command, unbuffered):
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "pyipc", *command.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=50,
            check=False,
            env=environment,
        )
    assert (ran.returncode, ran.stderr) == (1, "pyipc: write error: No space left on device\n")


def test_an_encoding_without_bars():
    ran = pyipc_command(
        *("bench", "--seconds", "0.001"), env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_without_a_standard_output_it_runs_all_the_same():
    ran = subprocess.run(
        ["sh", "-c", 'exec "$0" -m pyipc tour fifos >&-', sys.executable],
        stderr=subprocess.PIPE,
        timeout=50,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, b"")


def test_a_backend_that_cannot_be_had_is_said_plainly(monkeypatch):
    monkeypatch.setenv("PYIPC_BACKEND", "imaginary")
    ran = pyipc_command("tour")
    assert ran.returncode == 1
    assert "imaginary" in ran.stderr
    assert "Traceback" not in ran.stderr
