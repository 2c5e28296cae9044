"""C stands in for the common call of `send` and `receive`; the text in Python says what they do."""

from __future__ import annotations

import contextlib
import errno
import inspect
import itertools
import os
import pickle
import re
import socket
import sys

import pytest

import pyipc
from pyipc import fds


@pytest.fixture
def _stood_in_for():
    if not inspect.isbuiltin(fds.send):
        pytest.skip(f"nothing stands in for Python on the {pyipc.backend()} backend here")


compared = pytest.mark.usefixtures("_stood_in_for")


def both(function):
    """What stands in, and the Python that it stands in for; or that alone."""
    if not inspect.isbuiltin(function):
        return (function,)
    return function, getattr(sys.modules[function.__module__], f"_py_{function.__name__}")


FUNCTIONS = [fds.send, fds.receive]


@compared
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_it_looks_like_the_python_that_it_replaces(function):
    fast, slow = both(function)
    parameters = inspect.signature(slow).parameters.values()
    plain = [parameter.replace(annotation=parameter.empty) for parameter in parameters]
    assert list(inspect.signature(fast).parameters.values()) == plain
    assert inspect.getdoc(fast) == inspect.getdoc(slow)
    assert len(inspect.getdoc(fast)) > 300
    assert (fast.__name__, fast.__module__) == (slow.__name__, slow.__module__)


def test_the_methods_of_a_message_look_like_python_too():
    for name in "close", "__enter__", "__exit__":
        assert hasattr(fds.Message, name)
    assert "descriptors" in inspect.getdoc(fds.Message.close)
    assert list(inspect.signature(fds.Message.close).parameters) == ["self"]


# ---- the same calls ----


class Holder:
    """Something with a `fileno()` that gives, or raises, what it is told."""

    def __init__(self, answer):
        self.answer = answer

    def fileno(self):
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class Number(int):
    """An int, and yet not quite."""


class Overridden(socket.socket):
    """A socket that says another number."""

    def fileno(self):
        return self.other


def plainly(thing):
    """Words that do not depend on where things lie in memory."""
    return re.sub(r"0x[0-9a-f]+", "0x", str(thing))


def outcome(call):
    try:
        result = call()
    except BaseException as problem:
        facts = [getattr(problem, name, None) for name in ("errno", "limit", "value", "path", "arrived")]
        with contextlib.suppress(AttributeError):
            facts.append(problem.characters_written)
        return type(problem), plainly(problem), facts
    if isinstance(result, fds.Message):
        with result:
            files = [(os.fstat(one.fileno()).st_ino, type(one)) for one in result.fds]
            return type(result), result.data, files, str(result.peer), result.address
    return result


def drained(sock):
    """All that is there to be received."""
    got = []
    with contextlib.suppress(OSError):
        while len(got) < 400:
            sock.setblocking(False)
            data, numbers, _, _ = socket.recv_fds(sock, 200_000, 253)
            if not data and not numbers:
                break
            got.append((data, [os.fstat(number).st_ino for number in numbers]))
            for number in numbers:
                os.close(number)
    return got


SOCKETS = ["seqpacket", "datagram", "stream", "number", "handle", "full", "no socket", "closed", "wrong"]
DATA = [b"", b"x", b"x" * 2048, b"x" * 2049, b"x" * 100_000, bytearray(b"y"), "text", None]
DESCRIPTORS = [
    lambda: None,
    list,
    tuple,
    lambda: [0],
    lambda: (0, 1, 0),
    lambda: iter([0]),
    lambda: {0: 1},
    lambda: [0] * 253,
    lambda: (0,) * 254,
    lambda: [-1],
    lambda: [1 << 20],
    lambda: [1 << 40],
    lambda: ["x"],
    lambda: [True, Number(1)],
    lambda: [Holder(0), Holder(Number(1))],
    lambda: [Holder("0")],
    lambda: [Holder(None)],
    lambda: [Holder(-1)],
    lambda: [Holder(1 << 40)],
    lambda: [0, [1]],
    lambda: 5,
    lambda: "x",
]
TIMEOUTS = [None, 0, 0.0, 0.001, 1, True, -1, -1.0, float("nan"), "x", 1e300]


def a_socket(what, kept):
    """What `what` means, and the other end of it."""
    ours, theirs = map(kept.enter_context, fds.socketpair(what if what in SOCKETS[:3] else "seqpacket"))
    if what == "number":
        return ours.fileno(), theirs
    if what == "handle":
        return kept.enter_context(fds.Handle(os.dup(ours.fileno()))), theirs
    if what == "full":
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # as little as there can be
        with contextlib.suppress(BlockingIOError):
            while True:
                ours.send(b"x", socket.MSG_DONTWAIT)
    if what == "no socket":
        return kept.enter_context(open("/dev/null")), theirs
    if what == "closed":
        ours.close()
    return {"wrong": None}.get(what, ours), theirs


def run(function, what, arguments):
    """One call with these, on fresh sockets, whose numbers are always the same."""
    with contextlib.ExitStack() as kept:
        sock, theirs = a_socket(what, kept)
        result = outcome(lambda: function(sock, *arguments()))
        return result, drained(theirs), drained(sock) if isinstance(sock, socket.socket) else None


@compared
@pytest.mark.parametrize("what", SOCKETS)
def test_sends_of_all_sorts_come_out_alike(what, opened):
    before = opened()
    for data, descriptors, timeout in itertools.product(DATA, DESCRIPTORS, TIMEOUTS):
        if what == "full" and timeout in (None, 0.001, 1, 1e300):
            continue  # would have to wait

        def arguments(data=data, descriptors=descriptors, timeout=timeout):
            return data, descriptors(), timeout

        answers = [run(function, what, arguments) for function in both(fds.send)]
        assert answers[0] == answers[1], (data, descriptors(), timeout)
    assert opened() == before


@compared
@pytest.mark.parametrize(
    ("positional", "named"),
    [
        ((), {}),
        ((b"x",), {}),
        ((), {"data": b"x"}),
        ((b"x",), {"data": b"y"}),
        ((b"x",), {"descriptors": [0]}),
        ((b"x",), {"descriptors": [0], "timeout": 0.0}),
        ((b"x", [0]), {"descriptors": [0]}),
        ((b"x", [0], None), {"timeout": None}),
        ((b"x", [0], None, None), {}),
        ((b"x", [0], None, None, None), {}),
        ((b"x",), {"fds": [0]}),
        ((b"x",), {"sock": 5}),
        ((b"x",), {"address": None, "credentials": None}),
        ((b"x",), {"address": "/nowhere/at/all"}),
        ((b"x",), {"address": ""}),
        ((b"x",), {"credentials": (os.getpid(), os.getuid(), os.getgid())}),
        ((b"x",), {"credentials": (1 << 21, 5, 5)}),
        ((b"x",), {"credentials": "abc"}),
    ],
)
def test_arguments_are_taken_alike(positional, named):
    for what in "seqpacket", "datagram", "number":
        answers = []
        for function in both(fds.send):
            with contextlib.ExitStack() as kept:
                sock, theirs = a_socket(what, kept)
                call = outcome(lambda function=function, sock=sock: function(sock, *positional, **named))
                answers.append((call, drained(theirs)))
        assert answers[0] == answers[1]


STATES = {
    "nothing": lambda ours, theirs: None,
    "bytes": lambda ours, theirs: theirs.send(b"bytes"),
    "descriptors": lambda ours, theirs: socket.send_fds(theirs, [b"with"], [0, 1, 0]),
    "the most": lambda ours, theirs: socket.send_fds(theirs, [b"with"], [0] * 253),
    "much": lambda ours, theirs: theirs.send(b"x" * 100_000),
    "the end": lambda ours, theirs: theirs.close(),
    "then the end": lambda ours, theirs: (socket.send_fds(theirs, [b"with"], [0, 1]), theirs.close()),
    "credentials": lambda ours, theirs: (
        fds.pass_credentials(ours),
        socket.send_fds(theirs, [b"with"], [0, 1]),
    ),
    "empty": lambda ours, theirs: socket.send_fds(theirs, [b""], [0]),
}
RECEIVES = [
    *itertools.product([None, 1, 4, 5, 200_000, 0, -1, "x"], [0, 0.0, 0.001, -1.0, -1, float("nan"), "x"]),
    (),
    (None,),
    (None, 0, 0),
    (5,),
]
WITHOUT_AN_END = {("stream", "empty"), ("datagram", "the end")}


@compared
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    "what", ["seqpacket", "datagram", "stream", "number", "handle", "no socket", "closed"]
)
def test_receives_of_all_sorts_come_out_alike(what, state, opened):
    before = opened()
    for arguments in RECEIVES:
        for_ever = len(arguments) < 2
        if for_ever and (state == "nothing" or (what, state) in WITHOUT_AN_END):
            continue  # would have to wait
        answers = []
        for function in both(fds.receive):
            with contextlib.ExitStack() as kept:
                sock, theirs = a_socket(what, kept)
                if what not in ("no socket", "closed"):
                    STATES[state](sock, theirs)
                calls = [lambda f=function, s=sock, a=arguments: f(s, *a)] * (1 if for_ever else 2)
                answers.append(list(map(outcome, calls)))
        assert answers[0] == answers[1], arguments
    assert opened() == before


@compared
def test_an_address_comes_alike(keep, tmp_path):
    theirs = keep(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    theirs.bind(str(tmp_path / "theirs"))
    for name in str(tmp_path / "ours"), b"\0pyipc" + os.urandom(8):
        answers = []
        for function in both(fds.receive):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
                ours.bind(name)
                ours.sendto(b"x", theirs.getsockname())
                answers.append(outcome(lambda function=function: function(theirs)))
            if isinstance(name, str):
                os.unlink(name)
        assert answers[0] == answers[1]


# ---- what a second try would hide ----


@pytest.mark.parametrize("problem", [KeyboardInterrupt("mine"), LookupError("mine"), OSError(5, "mine")])
def test_what_a_fileno_raises_goes_up(pair, problem):
    class Once(Holder):
        def fileno(self):
            self.answer, answer = 0, self.answer
            if isinstance(answer, BaseException):
                raise answer
            return answer

    ours, _theirs = pair()
    for function in both(fds.send):
        with pytest.raises(type(problem), match="mine"):
            function(ours, b"x", [0, Once(problem)])


def test_a_refusal_that_the_kernel_tells_once_is_told_to_the_sender(pair):
    for function in both(fds.send):
        ours, theirs = pair("datagram")
        theirs.close()
        with pytest.raises(pyipc.PeerGoneError) as caught:
            function(ours, b"x", [0])
        assert caught.value.errno == errno.ECONNREFUSED


def test_a_refusal_that_the_kernel_tells_once_is_told_to_the_receiver():
    for function in both(fds.receive):
        with contextlib.ExitStack() as kept:
            nobody, ours = (kept.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(2))
            nobody.bind(("127.0.0.1", 0))
            ours.connect(nobody.getsockname())
            nobody.close()
            ours.send(b"x")  # the answer on the loopback is there before this returns
            with pytest.raises(pyipc.PeerGoneError) as caught:
                function(ours, timeout=0.1)
            assert caught.value.errno == errno.ECONNREFUSED


def test_a_socket_that_says_another_number_is_asked_for_it(pair):
    ours, theirs = pair()
    for function in both(fds.send):
        with Overridden(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.other = ours.fileno()
            function(sock, b"x", [0])
            with fds.receive(theirs, timeout=0) as message:
                assert (message.data, len(message.fds)) == (b"x", 1)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_it_can_be_pickled(function):
    assert pickle.loads(pickle.dumps(function)) is function
