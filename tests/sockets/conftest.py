"""A server in a process of its own, whose handler does what each line of a client says."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from pathlib import Path

import pytest

from pyipc import sockets

PROGRAM = r"""
while read word more; do
    case $word in
    echo) echo "echo $more" ;;
    pid) echo $$ ;;
    exit) exit 3 ;;
    die) kill -9 $$ ;;
    leave) exit 0 ;;
    esac
done
"""


def serve(say, hear, addresses, model, options, program, limits, user):
    """Says where it serves; then ("served", peer, failure, text) of each, and how serve() ended."""
    import importlib
    import os
    import resource
    import signal
    import sys
    import threading
    import time

    from pyipc import sockets
    from pyipc.processes import Command

    # While their files can still be read:
    for name in ("_children", "_dispatch", "_inside", "_prefork", "server"):
        importlib.import_module(f"pyipc.sockets.{name}")
    "x".encode("idna")
    Command("true").run()
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    for name, most in limits.items():
        resource.setrlimit(getattr(resource, name), (most, most))

    def handler(connection):
        with connection.makefile("rb") as lines:
            for line in lines:
                word = line.split()[0]
                if word == b"echo":
                    connection.sendall(line)
                elif word == b"pid":
                    connection.sendall(b"%d\n" % os.getpid())
                elif word == b"leave":
                    return
                elif word == b"raise":
                    raise RuntimeError("on purpose")
                elif word == b"exit":
                    sys.exit(3)
                elif word == b"interrupt":
                    raise KeyboardInterrupt
                elif word == b"die":
                    os.kill(os.getpid(), signal.SIGKILL)
                elif word == b"close":
                    connection.close()
                    return
                elif word == b"detach":
                    os.close(connection.detach())
                    return
                elif word == b"number":  # closed, and its socket does not know
                    os.close(connection.fileno())
                    return
                elif word == b"sleep":  # which nobody can wake
                    time.sleep(100)

    def log(served):
        failure = served.failure
        say(("served", served.peer, type(failure).__name__, str(failure)))
        if options.get("silent") == 17:
            raise RuntimeError("the log is full")

    kind = {}
    if model == "program":
        handler = Command("sh", "-c", program)
    else:
        kind["model"] = model
    server = sockets.Server(addresses, handler, log=log, **kind, **options)

    def listen_to_the_test():
        while True:
            word = hear()
            if word == "stop":
                server.stop()
                say("told")

    threading.Thread(target=listen_to_the_test, daemon=True).start()
    ended = "ended"
    with server:
        say(server.addresses)
        try:
            server.serve()
        except BaseException as problem:  # what it was is for the test
            ended = type(problem).__name__
        children = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat") as file:
                    if int(file.read().rpartition(")")[2].split()[1]) == os.getpid():
                        children.append(int(pid))
            except OSError:
                pass
    say((ended, children))
    os._exit(0)


class Served:
    """A server under test, and its clients."""

    def __init__(self, child, addresses):
        self.child = child
        self.pid = child.pid
        self.addresses = addresses
        self.address = addresses[0]
        self.log = []
        self._clients = []

    def connect(self, word=None, address=None):
        client = Client(address or self.address)
        self._clients.append(client)
        if word is not None:
            client.say(word)
        return client

    def ask(self, word):
        """One connection, one line, its answer."""
        with self.connect() as client:
            return client.ask(word)

    def served(self, count=1):
        """What the log says of so many connections more."""
        while len(self.log) < count:
            self.log.append(self._next())
        taken, self.log = self.log[:count], self.log[count:]
        return taken

    def _next(self):
        while True:
            value = self.child.hear()
            if value[0] == "served":
                return value
            assert value == "told", value

    def stop(self):
        self.child.say("stop")
        while True:
            value = self.child.hear()
            if value == "told":
                return
            assert value[0] == "served", value
            self.log.append(value)

    def terminate(self):
        os.kill(self.pid, signal.SIGTERM)

    def ended(self):
        """How serve() ended, once it has; no children are left then."""
        while True:
            value = self.child.hear()
            if value[0] == "served":
                self.log.append(value)
            elif value != "told":
                how, children = value
                assert children == []
                assert self.child.end() == 0
                return how

    def children(self):
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == self.pid and fields[0] != "Z":
                    found.append(int(pid))
        return sorted(found)

    def has(self, children):
        """Whether it has so many children, and has put them down."""
        found = 0
        for number in os.listdir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                found += "pidfd" in os.readlink(f"/proc/{self.pid}/fd/{number}")
        return found == len(self.children()) == children

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def refuses(self):
        try:
            sockets.connect(self.address, 5).close()
        except (ConnectionError, FileNotFoundError):
            return True
        return False

    def clear_away(self):
        for client in self._clients:
            client.close()


class Client:
    """A connection, by lines."""

    def __init__(self, address):
        self.sock = sockets.connect(address, 20)
        self.sock.settimeout(20)
        self._unread = b""

    def say(self, word):
        self.sock.sendall(word.encode() + b"\n")

    def hear(self):
        """The next line; None at the end."""
        while b"\n" not in self._unread:
            came = self.sock.recv(65536)
            if not came:
                assert not self._unread
                return None
            self._unread += came
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def ask(self, word):
        self.say(word)
        return self.hear()

    def is_cut(self):
        """Whether nothing comes any more, by whatever kind of end; it waits for that."""
        try:
            return self.sock.recv(1) == b""
        except ConnectionError:
            return True

    def has_heard(self):
        return bool(select.select([self.sock], [], [], 0)[0])

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@pytest.fixture
def server(child):
    """Start a server of that model; its listeners have queues, so that it can be talked to at once."""
    started = []

    def start(model, addresses="tcp://127.0.0.1:0", *, limits=None, user=None, **options):
        process = child(serve, addresses, model, options, PROGRAM, limits or {}, user)
        started.append(Served(process, process.hear()))
        return started[-1]

    yield start
    for one in started:
        one.clear_away()


def asks(say, hear, addresses):
    """Short connections, one after the other, until it is told to end; how they ended."""
    import threading

    from pyipc.sockets import connect

    over = []

    def wait():
        over.append(hear())

    threading.Thread(target=wait).start()
    ends = {}
    say("begun")
    count = 0
    while not over:
        count += 1
        try:
            with connect(addresses[count % len(addresses)], 20) as connection:
                connection.settimeout(20)
                connection.sendall(b"hello\n")
                answer = b""
                while True:
                    more = connection.recv(100)
                    if not more:
                        break
                    answer += more
                end = int(answer) if answer else "empty"
        except OSError as problem:
            end = repr(problem)
        ends[end] = ends.get(end, 0) + 1
    say(ends)


@pytest.fixture
def asking(child):
    """Start a client that connects again and again; told to end, it says how often and how that ended."""

    def start(addresses):
        client = child(asks, addresses)
        assert client.hear() == "begun"
        return client

    return start


@pytest.fixture
def answer():
    """What a server that gives a number answers."""

    def answer(address, question=b"hello\n"):
        with sockets.connect(address, 20) as connection:
            connection.settimeout(20)
            connection.sendall(question)
            return int(connection.recv(100))

    return answer
