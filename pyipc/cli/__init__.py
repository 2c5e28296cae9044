"""The `pyipc` command.

A subcommand is a module of this package that is named in `_COMMANDS` and has two functions:
`add_arguments(parser)`, and `run(arguments)`, which gives the exit status. It is imported only
when it is called for.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from io import TextIOWrapper

from .. import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMANDS = {
    "bench": "measure how fast two processes of this machine talk",
    "completion": "print a completion script for a shell",
    "doctor": "look for what will stand in the way on this machine",
    "ls": "list every IPC object of this machine",
    "rm": "remove some, or those that were left behind",
    "top": "watch them",
    "tour": "see every chapter at work between real processes",
}

# What a shell reports for a command that SIGINT or SIGPIPE ended.
_INTERRUPTED = 130
_NOBODY_READS = 141
_FAILED, _USAGE = 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run `pyipc` with these arguments (None: the process's own) and give its exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # bars, where the encoding has none
    try:
        try:
            return _run(argv)
        finally:
            if sys.stdout is not None:  # it is None for a process that was started without one
                sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except OSError as problem:
        from ..errors import IPCError

        if isinstance(problem, IPCError) or problem.filename is not None:
            raise  # of what it looked at, not of what it prints
        # The interpreter flushes once more as it exits; let it do so where nobody minds.
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), sys.stdout.fileno())
        if isinstance(problem, BrokenPipeError):
            return _NOBODY_READS
        print(f"pyipc: write error: {problem.strerror}", file=sys.stderr)
        return _FAILED


def _run(argv: Sequence[str]) -> int:
    parser = _parser(argv)
    if not argv:
        parser.print_help()
        return _USAGE
    arguments = parser.parse_args(argv)
    status: int = arguments.run(arguments)
    return status


def every_command() -> dict[str, tuple[str, argparse.ArgumentParser]]:
    """The summary of each command, and a parser that knows what it can be told."""
    commands = {}
    for name, summary in _COMMANDS.items():
        parser = argparse.ArgumentParser(prog=f"pyipc {name}")
        import_module(f".{name}", __name__).add_arguments(parser)
        commands[name] = summary, parser
    return commands


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyipc",
        description="Everything processes on one Linux machine use to talk.",
    )
    parser.add_argument("--version", action="version", version=f"pyipc {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, summary in _COMMANDS.items():
        command = commands.add_parser(name, help=summary)
        if name in argv:
            module = import_module(f".{name}", __name__)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser
