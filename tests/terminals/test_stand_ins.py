"""What C stands in for says and does the same as the Python text that it stands in for."""

from __future__ import annotations

import inspect
import io
import re
import signal
import threading

import pytest

import pyipc
from pyipc.terminals import EOF, TIMEOUT
from pyipc.terminals.output import Output

SOON = 20


@pytest.fixture(params=["C", "Python"], autouse=True)
def way(request, monkeypatch):
    if request.param == "Python":
        monkeypatch.setattr(Output, "expect", getattr(Output, "_py_expect", Output.expect))
    elif not hasattr(Output, "_py_expect"):
        pytest.skip("C stands in for nothing here")


@pytest.fixture
def cat(on_terminal):
    """One that answers as soon as it is asked: the first question is over."""
    terminal = on_terminal("cat", echo=False)
    assert says(terminal, b"begin") == b"begin"
    return terminal


def says(cat, line):
    cat.send_line(line)
    return cat.expect(b"\r\n", SOON).before


def kept(match):
    return match.index, match.before, match.match, match[0], match.groups


def test_the_answers_come_in_their_order(cat):
    for number in range(2000):
        line = b"line %d" % number
        assert says(cat, line) == line
        assert cat.unread == b""


def test_a_match_is_the_same(cat):
    for pattern, timeout in (b"n", SOON), (b"n", None), ("n", 1.5), (re.compile(b"n"), SOON):
        cat.send_line("one two")
        assert kept(cat.expect(pattern, timeout)) == (0, b"o", b"n", b"n", ())
        match = cat.expect(timeout=SOON, pattern=b"\r\n", window=5)
        assert kept(match) == (0, b"e two", b"\r\n", b"\r\n", ())
        assert repr(match) == "<match 0: b'\\r\\n' after 5 bytes>"
        with pytest.raises(IndexError):
            match[1]


def test_the_rest_is_unread(cat):
    cat.send_line("abc def")
    assert cat.expect(b"abc", SOON).before == b""
    cat.expect(b"def", SOON)
    assert says(cat, b"and more") == b""
    assert cat.read_line(SOON) == b"and more\r\n"
    assert cat.unread == b""


def test_what_comes_in_pieces_is_found(cat):
    for _ in range(100):
        cat.send("a\n")
        cat.send("b\n")
        match = cat.expect(b"a\r\nb\r", SOON)
        assert (match.before, match.match) == (b"", b"a\r\nb\r")
        assert cat.expect(b"\n", SOON).before == b""
    with pytest.raises(pyipc.TimedOutError):
        cat.expect(b"a", 0.01)
    cat.send("x\n")
    with pytest.raises(pyipc.TimedOutError, match=r"at last: b'x\\r\\n'"):
        cat.expect(b"y", 0.05)
    assert cat.unread == b"x\r\n"
    assert cat.expect(b"x", 0).before == b""


def test_what_is_wrong_is_said(cat):
    for error, arguments, names in (
        (ValueError, (b"",), {}),
        (ValueError, (b"x", -1), {}),
        (ValueError, (b"x", float("nan")), {}),
        (ValueError, (b"x", 1), {"window": 0}),
        (TypeError, (b"x", "1"), {}),
        (TypeError, (), {}),
        (TypeError, (b"x", 1, 4096), {}),
        (TypeError, (5,), {}),
        (TypeError, (b"x",), {"other": 1}),
        (pyipc.WouldBlockError, (b"x", 0), {}),
        (pyipc.TimedOutError, (b"x", 1e-9), {}),
    ):
        with pytest.raises(error):
            cat.expect(*arguments, **names)
    assert says(cat, b"still there") == b"still there"


def test_it_is_logged(cat):
    cat.log_received = io.BytesIO()
    assert says(cat, b"word") == b"word"
    assert cat.log_received.getvalue() == b"word\r\n"
    cat.log_received = None
    assert says(cat, b"other") == b"other"


def test_who_waits_long_waits_well(shell):
    terminal = shell("sleep 0.05; echo one; read x; echo two; sleep 0.05; exit 3", echo=False)
    assert terminal.expect(b"\r\n").before == b"one"
    terminal.send_line()
    assert terminal.expect(b"\r\n", SOON).before == b"two"
    with pytest.raises(pyipc.PeerGoneError):
        terminal.expect(b"three", SOON)
    assert terminal.expect_any([EOF, TIMEOUT], SOON).index == 0
    assert terminal.wait(SOON).code == 3


def test_a_handler_that_raises_takes_a_whole_answer_or_none(cat):
    class LateError(Exception):
        pass

    armed = []

    def late(*_):
        if armed:  # else Python runs it when all is over
            raise LateError

    before = signal.signal(signal.SIGALRM, late)
    interrupted = 0
    try:
        for number in range(3000):
            line = b"line %d" % number
            cat.send_line(line)
            try:
                armed.append(number)
                signal.setitimer(signal.ITIMER_REAL, 1e-6 + number % 40 * 1e-6)
                found = cat.expect(b"\r\n", SOON).before
                armed.clear()
            except LateError:
                armed.clear()
                interrupted += 1
                found = None
            signal.setitimer(signal.ITIMER_REAL, 0)
            if found is None:  # it is there, or comes; or the match was made, and nobody had it yet
                cat.send_line(b"over")
                assert cat.expect(b"over\r\n", SOON).before in (line + b"\r\n", b"")
            else:
                assert found == line
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted


def test_another_thread_may_type_or_close_it(cat):
    lines = [b"line %d" % number for number in range(3000)]
    typist = threading.Thread(target=lambda: [cat.send_line(line) for line in lines])
    typist.start()
    assert [cat.expect(b"\r\n", SOON).before for _ in lines] == lines
    typist.join()
    closing = threading.Timer(0.05, cat.close, [0])
    closing.start()
    with pytest.raises((pyipc.ClosedError, pyipc.PeerGoneError)):
        cat.expect(b"never", SOON)
    closing.join()
    with pytest.raises(pyipc.ClosedError):
        cat.expect(b"never", SOON)


def test_it_looks_the_same():
    assert "Wait for this in the output" in (Output.expect.__doc__ or "")
    assert list(inspect.signature(Output.expect).parameters) == ["self", "pattern", "timeout", "window"]
    assert inspect.signature(Output.expect).parameters["window"].default == 4096
