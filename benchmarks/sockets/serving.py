"""What the contestants do alike: a server in a process of its own, and clients who check what they get.

A module has `serve(model, say)` which makes a server, calls `say` with its port, and serves for ever.
"""

from __future__ import annotations

import os
import sys

SIZE = 16
CONCURRENCY = 16  # more than there are clients
WORKERS = 2
_COUNT = {"fork": 400}
_MOST = 2000


def answer(connection):
    """Read what a client sends, and send it back."""
    text = b""
    while len(text) < SIZE:
        came = connection.recv(SIZE - len(text))
        if not came:
            return
        text += came
    connection.sendall(text)


def rows(words):
    """The rows of what is started by such words, and a model: by the clock on the wall."""

    def row(model):
        def generator():
            # Not above: what a server has imported costs each of its forks, and socketserver's do this.
            import signal
            import subprocess

            command = [*words, model]
            with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as server:
                port = server.stdout.readline().strip().decode()
                count = _COUNT.get(model, _MOST)
                clients = [os.environ["LOAD"], "client", port, str(count)]

                def block():
                    if subprocess.run(clients, check=False).returncode != 0:
                        raise AssertionError("a client was not answered, or not rightly")

                try:
                    block()  # also what they have yet to import
                    yield block
                finally:
                    os.killpg(server.pid, signal.SIGKILL)

        return generator

    return {f"serve_{model}": row(model) for model in ("serial", "thread", "fork", "prefork", "dispatch")}


def python(module):
    """The same for a module of this folder."""
    return rows([sys.executable, os.path.abspath(__file__), module])


def say(port):
    print(port, flush=True)


if __name__ == "__main__":
    from importlib import import_module

    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    import_module(f"sockets.{sys.argv[1]}").serve(sys.argv[2], say)
