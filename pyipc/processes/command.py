"""Programs that can be started, alone or in a pipeline."""

from __future__ import annotations

import os

from .. import _deadline
from .._backend import ops
from .._descriptor import Handle, number_of
from .._privileges import resolve
from .._spawn import OWN_GROUP, Child, spawn
from ..errors import check
from ._ends import Ends, each
from ._feed import Feed
from .running import Duplex, Reader, Running, Streams, Writer, check_ends

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from typing import Any, TypeVar, Union

    from .._descriptor import HasFileno
    from .._exit import Exit
    from .._spawn import Word
    from ._feed import Data

    Input = Union[None, int, Data, HasFileno, "Runnable", Iterable[Data]]
    Output = Union[None, int, HasFileno]
    Kind = TypeVar("Kind", bound=Running)

#: Where a program's errors may go: where its output goes.
STDOUT = -2
#: Where input may come from and output go: nowhere (/dev/null).
DEVNULL = -3


class Runnable:
    """What can be started: a `Command`, or a `Pipeline` of them."""

    __slots__ = ()

    @property
    def commands(self) -> tuple[Command, ...]:
        """The programs, in order."""
        raise NotImplementedError  # each kind has its own

    def __or__(self, other: Runnable) -> Pipeline:
        """What the first writes, the second reads."""
        if not isinstance(other, Runnable):
            return NotImplemented
        return Pipeline(*self.commands, *other.commands)

    # ---- whole ----

    def run(
        self, input: Input = None, *, output: Output = None, timeout: float | None = None
    ) -> tuple[Exit, ...]:
        """Let it run until it has ended.

        Args:
            input: What it reads: None is what we would; `DEVNULL`; bytes, or text, as UTF-8; an open file,
                from where its descriptor stands; another command; an iterable of bytes or text.
            output: Where it writes: None is where we would; `DEVNULL`; an open file.
            timeout: After so many seconds it is killed.

        Returns:
            How each program ended.

        Raises:
            NotFoundError: There is no such program; and whatever else starting it may raise.
            ProgramFailedError: It ended otherwise than its `ok` says.
            TimedOutError: It did not end in time, and was killed.
        """
        commands = self.commands
        if input is output is None and len(commands) == 1 and commands[0].stderr is None:
            return _run_alone(commands[0], timeout)
        running = _start(Running, self, input, output=output)
        try:
            exits = running.wait(timeout)
        finally:
            running.close()
        check_ends(commands, exits)
        return exits

    def read_bytes(self, input: Input = None, *, timeout: float | None = None) -> bytes:
        """All that it writes. Arguments and errors are those of `run()`."""
        with self.reader(input) as reader:
            return reader.read(None, timeout)

    def read_text(self, input: Input = None, *, timeout: float | None = None) -> str:
        """All that it writes, which is UTF-8 (else `UnicodeDecodeError`)."""
        return self.read_bytes(input, timeout=timeout).decode()

    # ---- in parts ----

    def start(self, input: Input = None, *, output: Output = None) -> Running:
        """Start it, and let it run beside us; arguments are those of `run()`."""
        return _start(Running, self, input, output=output)

    def reader(self, input: Input = None) -> Reader:
        """Start it, and read what it writes, line by line ("cmd |" of perlipc)."""
        return _start(Reader, self, input, read=("out",))

    def writer(self, *, output: Output = None) -> Writer:
        """Start it, and write what it reads ("| cmd" of perlipc)."""
        return _start(Writer, self, write=True, output=output)

    def duplex(self) -> Duplex:
        """Start it, write what it reads and read what it writes, in turns."""
        return _start(Duplex, self, write=True, read=("out",))

    def streams(self, input: Input = None) -> Streams:
        """Start it, and read what it writes and what it says of errors, as they come.

        Without *input*, what it reads is what `write()` writes.
        """
        return _start(Streams, self, input, write=input is None, read=("out", "err"))


class Command(Runnable):
    """A program and its arguments, as they are: no shell looks at them.

    Args:
        program: Its path; or its name, which is looked for in PATH, but never in the current directory.
        arguments: What it is told.
        env: Its environment, whole; None is ours. See `clean_environment()`.
        cwd: Where it starts; None is where we are.
        stderr: Where it complains: None is where we would; `STDOUT`; `DEVNULL`; an open file.
        user: Who it is: a name or uid. With its own groups, unless others are given.
        group: Its group: a name or gid.
        extra_groups: Its supplementary groups.
        umask: Its file mode creation mask.
        new_process_group: Let it and its own children be a process group, with the others of its pipeline, so
            that all can be killed together. A program that reads from our terminal must not be (SIGTTIN).
        new_session: Let it lead a session of its own, without a terminal (setsid(2)).
        die_with_parent: SIGKILL it when this process ends, however it does; its own children are not killed.
        ok: With which statuses it may end: exit statuses, and minus the numbers of signals.
    """

    __slots__ = (
        "arguments",
        "credentials",
        "cwd",
        "die_with_parent",
        "env",
        "new_process_group",
        "new_session",
        "ok",
        "program",
        "stderr",
        "umask",
    )

    def __init__(
        self,
        program: Word,
        *arguments: Word,
        env: Mapping[Any, Any] | None = None,
        cwd: Word | None = None,
        stderr: Output = None,
        user: str | int | None = None,
        group: str | int | None = None,
        extra_groups: Iterable[str | int] | None = None,
        umask: int | None = None,
        new_process_group: bool = True,
        new_session: bool = False,
        die_with_parent: bool = False,
        ok: Collection[int] = (0,),
    ) -> None:
        self.program = program
        self.arguments = arguments
        self.env = env
        self.cwd = cwd
        self.stderr = stderr
        self.credentials = resolve(user, group, extra_groups)
        self.umask = umask
        self.new_process_group = new_process_group
        self.new_session = new_session
        self.die_with_parent = die_with_parent
        self.ok = ok

    @property
    def name(self) -> str:
        """The program, as errors name it."""
        return os.fsdecode(self.program)

    @property
    def commands(self) -> tuple[Command, ...]:
        """Itself."""
        return (self,)

    def __repr__(self) -> str:
        return f"Command({', '.join(map(repr, (self.program, *self.arguments)))})"


class Pipeline(Runnable):
    """Commands each of which reads what the one before it writes: `Command("a") | Command("b")`."""

    __slots__ = ("_commands",)

    def __init__(self, *commands: Command) -> None:
        if not commands:
            raise ValueError("a pipeline of no commands")
        self._commands = commands

    @property
    def commands(self) -> tuple[Command, ...]:
        """The programs, in order."""
        return self._commands

    def __repr__(self) -> str:
        return " | ".join(map(repr, self._commands))


# ---- starting ----


def _start(
    kind: type[Kind],
    what: Runnable,
    input: Input = None,
    *,
    write: bool = False,
    read: Sequence[str] = (),
    output: Output = None,
) -> Kind:
    commands = what.commands
    if isinstance(input, Runnable):
        commands, input = (*input.commands, *commands), None
    starting = _Starting()
    try:
        feed = Feed(None, ended=True)
        if write:
            feed = Feed(None, ended=False)
            starting.input_pipe()
        elif input is not None:
            feed = starting.input(input)
        outs = {name: starting.output_pipe(name) for name in read}
        if "out" not in outs and output is not None:
            starting.given["out"] = starting.target(output)
        starting.all_of(commands)
        starting.close_theirs()
        return kind(commands, starting.children, Ends(starting.into, feed, outs))
    except BaseException:  # a signal handler's, too
        starting.undo()
        raise


class _Starting:
    """What has been opened and started so far."""

    __slots__ = ("children", "given", "into", "ours", "theirs")

    def __init__(self) -> None:
        self.children: list[Child] = []
        self.into: Handle | None = None  # ours
        self.ours: list[Handle] = []
        self.theirs: list[Handle] = []
        self.given: dict[str, int] = {}  # the number of what becomes "in", "out" and "err"

    def pipe(self) -> tuple[Handle, Handle]:
        read, write = Handle._empty(), Handle._empty()
        check(ops.now_pipe(True, read, write), "make a pipe")
        return read, write

    def input_pipe(self) -> None:
        theirs, self.into = self.pipe()
        self.ours.append(self.into)
        self.theirs.append(theirs)
        self.given["in"] = theirs.fileno()

    def output_pipe(self, name: str) -> Handle:
        ours, theirs = self.pipe()
        self.ours.append(ours)
        self.theirs.append(theirs)
        self.given[name] = theirs.fileno()
        return ours

    def target(self, where: Output) -> int:
        """The number of an open file, or of /dev/null."""
        if where == DEVNULL:
            nothing = Handle._empty()
            self.theirs.append(nothing)
            check(ops.fd_open(nothing, b"/dev/null", os.O_RDWR), "open /dev/null")
            return nothing.fileno()
        assert where is not None
        return number_of(where)

    def input(self, given: Any) -> Feed:
        """What the first program reads, and what we must write there."""
        if isinstance(given, (str, bytes, bytearray, memoryview)):
            feed = Feed(None, ended=False)
            feed.add(given)
            feed.ended = True
        elif isinstance(given, int) or _has_descriptor(given):
            self.given["in"] = self.target(given)
            return Feed(None, ended=True)
        else:
            feed = Feed(given, ended=True)
        self.input_pipe()
        return feed

    def all_of(self, commands: Sequence[Command]) -> None:
        source = self.given.get("in")
        group = None
        for place, command in enumerate(commands):
            following = None
            into = self.given.get("out")
            if place < len(commands) - 1:
                following, theirs = self.pipe()
                self.theirs += following, theirs
                into = theirs.fileno()
            child = Child.unborn()
            self.children.append(child)
            self.one(child, command, source, into, group)
            if group is None and command.new_process_group and not command.new_session:
                group = child.pid
            if following is not None:
                theirs.close()
                source = following.fileno()

    def one(
        self, child: Child, command: Command, source: int | None, into: int | None, group: int | None
    ) -> None:
        errors = self.given.get("err")
        if command.stderr is not None:
            errors = (
                (1 if into is None else into) if command.stderr == STDOUT else self.target(command.stderr)
            )
        numbers = {0: source, 1: into, 2: errors}
        descriptors = {to: number for to, number in numbers.items() if number is not None}
        _spawn(child, command, descriptors, group)

    def close_theirs(self) -> None:
        for handle in self.theirs:
            handle.close()

    def undo(self) -> None:
        killing, reaping = (
            (child.end for child in self.children),
            (child.close for child in reversed(self.children)),
        )
        each([*killing, *(handle.close for handle in (*self.ours, *self.theirs)), *reaping])


def _run_alone(command: Command, timeout: float | None) -> tuple[Exit, ...]:
    """One that has no pipe of ours. After each program Python is cold in the caches: so little of it."""
    child = Child.unborn()
    try:
        _spawn(child, command, {}, None)
        end = child.wait_until(_deadline.by(timeout))
        child.close()
    except BaseException:  # a signal handler's, too
        each((child.end, child.close))
        raise
    if end.status not in command.ok:
        check_ends((command,), (end,))
    return (end,)


def _spawn(child: Child, command: Command, descriptors: dict[int, int], group: int | None) -> None:
    process_group = None
    if command.new_process_group and not command.new_session:
        process_group = OWN_GROUP if group is None else group
    spawn(
        (command.program, *command.arguments),
        env=command.env,
        directory=command.cwd,
        descriptors=descriptors,
        new_session=command.new_session,
        process_group=process_group,
        umask=command.umask,
        credentials=command.credentials,
        die_with_parent=command.die_with_parent,
        child=child,
    )


def _has_descriptor(given: Any) -> bool:
    """Of a file in memory, `fileno` is there and raises."""
    try:
        number_of(given)
    except (TypeError, ValueError, OSError):
        return False
    return True
