"""Names and numbers, against `kill -l` and the standard library."""

from __future__ import annotations

import shutil
import signal
import subprocess

import pytest

from pyipc import signals


def test_it_knows_what_the_standard_library_knows():
    for one in signal.Signals:
        if one.name.startswith("SIGRT"):
            continue
        assert signals.number(one) == signals.number(one.name) == signals.number(one.value) == one
        assert signals.number(signals.name(one)) == one
    assert set(signals.names().values()) == set(map(int, signal.valid_signals()))
    assert list(signals.names().values()) == sorted(signals.names().values())
    assert all(signals.name(number) == name for name, number in signals.names().items())


def test_it_calls_them_what_bash_calls_them():
    bash = shutil.which("bash")
    if not bash:
        pytest.skip("bash is not installed")
    for name, number in signals.names().items():
        said = subprocess.run([bash, "-c", f"kill -l {number}"], capture_output=True, text=True, check=True)
        if number < signal.SIGRTMIN:
            assert f"SIG{said.stdout.strip()}" == name
        else:  # which bash counts from the nearer end
            assert signals.number(said.stdout.strip()) == number


def test_whatever_it_is_written_like_it_is_the_same():
    same = ["HUP", "SIGHUP", "hup", "sighup", 1, signal.SIGHUP]
    assert {signals.number(one) for one in same} == {1}
    assert {type(signals.number(one)) for one in same} == {int}
    assert signals.number("CLD") == signals.number("CHLD") == signal.SIGCHLD
    assert signals.name(signal.SIGCHLD) == "SIGCHLD"
    assert signals.name(signal.SIGABRT) == "SIGABRT"


def test_those_in_real_time_are_counted_from_either_end():
    first, last = signal.SIGRTMIN, signal.SIGRTMAX
    assert signals.number("SIGRTMIN") == signals.number("RTMIN") == signals.number("RTMIN+0") == first
    assert signals.number("RTMIN+3") == signals.number("sigrtmin+3") == first + 3
    assert signals.number("RTMAX-2") == last - 2
    assert signals.number(f"RTMIN+{last - first}") == signals.number("RTMAX") == last
    assert [signals.name(n) for n in (first, first + 3, last)] == ["SIGRTMIN", "SIGRTMIN+3", "SIGRTMAX"]


WRONG = [0, -1, 65, 32, 10**30, "", "SIG", "NOSUCH", "9", "SIG_DFL", "HUP\0"]
NEARLY = [
    "RTMIN+99",
    "RTMIN-1",
    "RTMAX+1",
    "RTMIN+",
    "RTMIN+x",
    "RTMIN+ 3",
    "RTMIN+\N{SUPERSCRIPT TWO}",
    "RTMIN3",
]


@pytest.mark.parametrize("wrong", WRONG + NEARLY)
def test_what_is_no_signal_is_a_value_error(wrong):
    with pytest.raises(ValueError, match="there is no signal"):
        signals.number(wrong)


@pytest.mark.parametrize("wrong", [0, -1, 65, 32, 10**30])
def test_what_is_no_number_of_a_signal_has_no_name(wrong):
    with pytest.raises(ValueError, match=str(wrong)):
        signals.name(wrong)


@pytest.mark.parametrize("wrong", [None, 1.0, b"HUP", ["HUP"]])
def test_what_is_neither_name_nor_number_is_a_type_error(wrong):
    with pytest.raises(TypeError):
        signals.number(wrong)
