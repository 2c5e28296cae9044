"""The stop of sockets: clients and servers, of whom some are slow and some are killed."""

from __future__ import annotations

import os
import signal
import threading
import time

from pyipc import AlreadyExistsError, PeerGoneError, TimedOutError, sockets

from . import sockets_partners as others
from .stage import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyipc.sockets import Stream

    from .stage import Stage

TITLE = "Sockets: clients, servers, and their ends"

_PATIENCE = 0.15  # seconds, for one who is slow on purpose
_HOSTS = 20
_SILENCE = 0.25  # seconds, in which all of them answer on a busy machine too


class _Serving:
    """A server that serves in a thread, until it is closed."""

    def __init__(self, server: sockets.Server) -> None:
        self._server = server
        self._thread = threading.Thread(target=server.serve)
        self._thread.start()

    def close(self) -> None:
        """Serve nobody any more."""
        self._server.stop()
        self._thread.join()
        self._server.close()


def _connect(stage: Stage, address: str) -> Stream:
    return stage.held(sockets.Stream(sockets.connect(address, stage.left()), stage.left()))


def _ask(stage: Stage, server: Stream) -> None:
    server.write(b"still there?\n")
    answer = server.read_line()
    stage.check(answer == b"STILL THERE?\n", f"the answer is {answer!r}")


def serve_perl(stage: Stage) -> None:
    """Serve with a function; perl asks it."""
    server = sockets.Server("tcp://127.0.0.1:0", others.shout)
    stage.held(_Serving(server))
    stage.say("python", f"serves at {server.address} by a function of the connection")
    other = stage.perl(others.ASK_THRICE, others.ask_thrice, server.address.rpartition(":")[2])
    for word in "one", "two", "three":
        other.expect(word.upper())
        stage.say(other, f'writes "{word}", and reads "{word.upper()}"')
    other.end()


def limit_the_exchange(stage: Stage) -> None:
    """Read a line of one who writes a byte at a time, and never the end of it."""
    listener = stage.held(sockets.listen("tcp://127.0.0.1:0"))
    other = stage.python(others.drip, listener.address)
    listener.settimeout(stage.left())
    connection, _ = listener.accept()
    stream = stage.held(sockets.Stream(connection, _PATIENCE))
    began = time.monotonic()
    try:
        stream.read_line()
    except TimedOutError:
        took = time.monotonic() - began
        came = len(stream.read())
        stage.say("python", f"gives up after {took:.2f} s; the {came} bytes that came are not lost")
    else:
        stage.check(False, "there was a whole line")
    stage.check(came > 1, "it came all at once")
    stream.close()
    other.expect("gone")
    other.end()


def take_over_from_the_dead(stage: Stage) -> None:
    """Listen at a path that somebody has, and again when he is dead."""
    path = os.path.join(stage.folder(), "server")
    other = stage.python(others.hold, f"unix:{path}")
    other.expect("listens")
    stage.say(other, "listens at a path")
    try:
        sockets.listen(f"unix:{path}").close()
    except AlreadyExistsError as problem:
        stage.say("python", f"wants it, too: {type(problem).__name__}")
    else:
        stage.check(False, "the path was taken from a living server")
    other.kill()
    stage.check(os.path.exists(path), "the path has gone with the server")
    stage.say("kernel", "the server is killed, and the path is there still")
    with sockets.listen(f"unix:{path}"):
        stage.say("python", "listens there, at once")
    stage.check(not os.path.exists(path), "the path was not removed")


def kill_a_worker(stage: Stage) -> None:
    """Kill one of two workers, each of whom serves a connection."""
    other = stage.python(others.serve_by_workers)
    address = other.hear()
    clients = [_connect(stage, address) for _ in range(2)]
    workers = [int(client.read_line()) for client in clients]
    stage.check(workers[0] != workers[1], "one worker serves both")
    stage.say(other, "serves by two workers; each has a client")
    os.kill(workers[0], signal.SIGKILL)
    try:
        end = clients[0].read_line()
    except PeerGoneError:
        end = b""
    stage.check(not end, f"the dead has written {end!r}")
    stage.say("kernel", "the first is killed, and his client finds the end")
    _ask(stage, clients[1])
    third = _connect(stage, address)
    stage.check(int(third.read_line()) not in workers, "the dead serves")
    _ask(stage, third)
    stage.say("python", "is answered by the second, and by a new one")
    for client in (*clients, third):
        client.close()
    os.kill(other.pid, signal.SIGTERM)
    other.end()


def drain(stage: Stage) -> None:
    """Tell a server to end, while it serves somebody."""
    other = stage.python(others.serve)
    address = other.hear()
    client = _connect(stage, address)
    _ask(stage, client)
    os.kill(other.pid, signal.SIGTERM)
    stage.say("python", "is connected, and sends SIGTERM to the server")
    stage.wait_until(lambda: _is_refused(stage, address), "it serves others still")
    stage.say("kernel", "nobody listens there any more")
    _ask(stage, client)
    client.close()
    other.end()
    stage.say("python", "is answered to the end; then the server ends, with status 0")


def _is_refused(stage: Stage, address: str) -> bool:
    try:
        sockets.connect(address, stage.left()).close()
    except PeerGoneError:
        return True
    return False


def ask_many(stage: Stage) -> None:
    """Ask many by UDP, of whom one is silent and one is not there."""
    other = stage.python(others.answer_datagrams, _HOSTS + 1)
    *hosts, silent = [other.hear() for _ in range(_HOSTS + 1)]
    with sockets.bind("udp://127.0.0.1:0") as port:
        nobody = sockets.address_of(port)
    began = time.monotonic()
    answers = dict(sockets.query([*hosts, silent, nobody], b"still there?", _SILENCE))
    took = time.monotonic() - began
    stage.check(all(answers[host] == b"STILL THERE?" for host in hosts), f"not all answers came: {answers}")
    stage.say("python", f"has {_HOSTS} answers")
    stage.check(isinstance(answers[nobody], PeerGoneError), f"nobody is {answers[nobody]!r}")
    stage.say("python", f"where nobody is: {type(answers[nobody]).__name__}, by the kernel's word")
    stage.check(isinstance(answers[silent], TimedOutError), f"the silent is {answers[silent]!r}")
    stage.say("python", f"of who is silent: {type(answers[silent]).__name__}; all after {took:.2f} s")


STEPS = [
    Step(
        "A client of any kind",
        "A Perl program talks by TCP to a function that serves connections.",
        "They are plain sockets: whoever knows the protocol takes part.",
        serve_perl,
    ),
    Step(
        "A byte at a time",
        "A client sends a byte each 10 ms, and never the end of the line.",
        "The deadline is for the whole exchange; no byte moves it.",
        limit_the_exchange,
    ),
    Step(
        "A path has one server",
        "Two want to listen at one path; then the first is killed.",
        "The path is never taken from the living, and always from the dead.",
        take_over_from_the_dead,
    ),
    Step(
        "A worker is killed",
        "Two workers, forked beforehand, serve two clients; one is killed.",
        "Its own connection is lost and no other; a new worker takes its place.",
        kill_a_worker,
    ),
    Step(
        "SIGTERM drains",
        "A server gets SIGTERM while a client is connected.",
        "Who is connected is served to the end; nobody else comes in.",
        drain,
    ),
    Step(
        "Many hosts at once",
        f"One question goes to {_HOSTS} ports by UDP, to one that is silent, and to one where nobody is.",
        "All are asked at once, within one time; of each it is known what came of it.",
        ask_many,
    ),
]
