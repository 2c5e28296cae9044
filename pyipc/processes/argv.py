"""Files, commands and standard input as one stream of lines: the magic ARGV of perlipc."""

from __future__ import annotations

import os
import sys

from ..errors import IPCError, error
from .command import Command, Runnable
from .running import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import BinaryIO, Union

    Source = Union[str, bytes, os.PathLike[str], os.PathLike[bytes], Runnable]


def sources(arguments: Iterable[Source] | None = None, *, commands: bool = False) -> Sources:
    r"""The lines of all of these, one after the other: `program f1 "cmd1|" - f2 "cmd2|" f3 <tmpfile`.

    Each is opened when the one before is at its end, and closed at its own. Files are not read ahead, nor
    commands started ahead.

    Args:
        arguments: Paths; "-" is standard input; `Command` objects and pipelines, whose output is read. None:
            those of the program (`sys.argv`). If there are none, standard input.
        commands: Let words that end with "|" be commands: split as a shell would split them, but no shell
            runs. Else they are paths, too. Whoever gives such a word can do what this program may.

    Returns:
        An iterator of lines, as bytes with their \n, and a context manager.
    """
    if isinstance(arguments, (str, bytes, os.PathLike, Runnable)):
        raise TypeError(f"several sources, in a list, not {arguments!r:.50}")
    given = list(sys.argv[1:] if arguments is None else arguments)
    return Sources([_source(one, commands) for one in given] or ["-"])


def _source(given: Source, commands: bool) -> Source:
    if isinstance(given, Runnable):
        return given
    path = os.fspath(given)
    if not path or b"\0" in os.fsencode(path):
        raise ValueError(f"no path and no command: {given!r:.100}")
    if not commands or not isinstance(path, str) or not path.endswith("|"):
        return path
    import shlex

    words = shlex.split(path[:-1])
    if not words:
        raise ValueError(f"no command: {given!r:.100}")
    return Command(*words)


class Sources:
    """Lines from several sources; `sources()` gives them.

    A `with` block closes what is open when it ends; a command is killed, unless it was read to its end.

    Attributes:
        name: The source that the last line is of: its path, "-", or its command; None before the first.
        line_number: Which line of that it is; the first is 1.
    """

    __slots__ = ("_file", "_left", "line_number", "name")

    def __init__(self, given: list[Source]) -> None:
        self._left = given[::-1]
        self._file: BinaryIO | Reader | None = None
        self.name: str | None = None
        self.line_number = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """The next line.

        Raises:
            NotFoundError, AccessError: Of a file or command; the next call goes on with the one after it.
            ProgramFailedError: The command whose last line this was ended otherwise than it should have.
        """
        while True:
            if self._file is None:
                if not self._left:
                    raise StopIteration
                self._open(self._left[-1])
            line = self._line()
            if line:
                self.line_number += 1
                return line
            self._close()

    def _line(self) -> bytes:
        file = self._file
        if isinstance(file, Reader):
            return file.read_line()
        try:
            return b"" if file is None else file.readline()
        except OSError as problem:
            if isinstance(problem, IPCError) or problem.errno is None:
                raise
            raise error(problem.errno, f"read {self.name!r}") from problem

    def _open(self, source: Source) -> None:
        # It is gone from those that are left when it is open, or cannot be: not if a handler raises before.
        self.line_number = 0
        file: BinaryIO | Reader
        if isinstance(source, Runnable):
            self.name = " ".join(command.name for command in source.commands)
            try:
                file = source.reader()
            except IPCError:
                del self._left[-1]
                raise
        elif source == "-":
            self.name, file = "-", sys.stdin.buffer
        else:
            self.name = os.fsdecode(source)
            try:
                file = open(source, "rb")  # noqa: SIM115 (closed at its end)
            except OSError as problem:
                if problem.filename is None:  # a signal handler's
                    raise
                del self._left[-1]
                raise error(problem.errno or 0, f"open {self.name!r}") from problem
        self._file = file
        del self._left[-1]

    def _close(self) -> None:
        file, self._file = self._file, None
        if isinstance(file, Reader):
            file.__exit__(None, None, None)
        elif file is not None and file is not sys.stdin.buffer:
            file.close()

    def close(self) -> None:
        """Close what is open, and open no more."""
        self._left.clear()
        self._close()

    def __enter__(self) -> Sources:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
