"""What shells complete, and what the manual page names."""

import shutil
import subprocess
from pathlib import Path

import pytest

from pyipc.cli import every_command

MANUAL = Path(__file__).parents[2] / "docs/man/pyipc.1"
needs_bash = pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")


@pytest.fixture(scope="module")
def completed():
    """What bash completes after these words; the last is the one that has been begun."""

    def completed(*words):
        import sys

        script = subprocess.run(
            [sys.executable, "-m", "pyipc", "completion", "bash"], capture_output=True, text=True, check=True
        ).stdout
        asks = (
            f'{script}\nCOMP_WORDS=(pyipc "$@")\nCOMP_CWORD=$#\n_pyipc\n'
            '[ "${#COMPREPLY[@]}" = 0 ] || printf "%s\\n" "${COMPREPLY[@]}"'
        )
        ran = subprocess.run(["bash", "-c", asks, "bash", *words], capture_output=True, text=True, check=True)
        assert ran.stderr == ""
        return ran.stdout.splitlines()

    return completed


@needs_bash
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["to"], ["top", "tour"]),
        (["ls", "--o"], ["--orphans"]),
        (["ls", "--kind", "sys"], [r"sysv\ shm", r"sysv\ sem", r"sysv\ msg"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["nothing", "x"], []),
    ],
)
def test_bash_completes(completed, words, expected):
    assert completed(*words) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_and_option_is_in_every_script(run, shell):
    script = run("completion", shell).stdout
    for name, (_, parser) in every_command().items():
        assert name in script
        for action in parser._actions:
            for option in action.option_strings:
                if option not in ("-h", "--help"):
                    assert option.lstrip("-") in script


def test_every_command_and_option_is_in_the_manual():
    text = MANUAL.read_text().replace(r"\-", "-")
    for name, (_, parser) in every_command().items():
        assert f"pyipc {name}" in text
        for action in parser._actions:
            for option in action.option_strings:
                if option not in ("-h", "--help"):
                    assert option in text


@pytest.mark.skipif(not shutil.which("man"), reason="man is not installed")
def test_the_manual_is_rendered_without_a_warning():
    ran = subprocess.run(
        ["man", "--warnings", "-l", str(MANUAL)], capture_output=True, text=True, check=True, timeout=50
    )
    assert "EXIT STATUS" in ran.stdout
    assert ran.stderr == ""
