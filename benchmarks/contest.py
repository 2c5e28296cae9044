"""What is measured: rows, who takes part in each, and what must hold between them."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple, Optional

HERE = Path(__file__).resolve().parent
FALLBACK = "pyipc (fallback)"
CFFI = "pyipc (cffi)"  # pyipc without what knows CPython: what the binding costs
LIMIT = "C"  # what the kernel and the machine allow
NO_PEERS = (FALLBACK, CFFI, LIMIT)
BEST = "the best peer"


class Contestant(NamedTuple):
    """A program that is started with a row's id and seconds, and prints one JSON object.

    The object has the nanoseconds of one operation under "", or several figures by their names.
    """

    name: str
    command: list[str]
    missing: Optional[str] = None  # why it cannot take part here
    environment: dict[str, str] = {}  # noqa: RUF012 (a default that nobody changes)


class Bound(NamedTuple):
    """`ours` takes at most `most` times what `theirs` takes, or `most` ns if that is None.

    An aim is a bound that is printed and judged, but that nothing depends on.
    """

    most: float
    theirs: Optional[str] = None
    ours: str = "pyipc"
    aim: bool = False


class Row(NamedTuple):
    """One table. Its first contestant is the one that the others are compared with."""

    id: str
    title: str
    contestants: list[Contestant]
    bounds: list[Bound]
    calls: int = 1  # what one operation of the programs is divided by
    least_rounds: int = 0
    pinned: bool = True
    chapter: str = ""  # the folder that it is from


def python(name: str, module: str, needs: str, *, how: str = "work", **environment: str) -> Contestant:
    """A contestant that is a module of this folder: for each row a generator, see worker.py."""
    missing = None if importlib.util.find_spec(needs) else f"the module {needs} is not installed"
    command = [sys.executable, str(HERE / "worker.py"), how, module]
    return Contestant(name, command, missing, environment)


def perl(name: str, script: Path, *modules: str) -> Contestant:
    for module in modules:
        if not _runs(["perl", f"-M{module}", "-e1"]):
            return Contestant(name, [], f"perl or its module {module} is not installed")
    return Contestant(name, ["perl", str(script)])


def compiled(name: str, source: Path, scratch: Path, *more: Path) -> Contestant:
    program = scratch / f"{source.parent.name}-{source.stem}"
    compiler = os.environ.get("CC", "cc").split()
    sources = [str(path) for path in (source, *more)]
    if not program.exists() and not _runs([*compiler, "-O2", "-o", str(program), *sources]):
        return Contestant(name, [], f"{compiler[0]} is not installed, or cannot compile {source.name}")
    return Contestant(name, [str(program)])


def backend_missing(backend: str) -> Optional[str]:
    """Why this backend of pyipc cannot be measured."""
    environment = {**os.environ, "PYIPC_BACKEND": backend}
    if _runs([sys.executable, "-c", "import pyipc; pyipc.backend()"], environment):
        return None
    return f"pyipc's {backend} does not load"


def _runs(command: list[str], environment: Optional[dict[str, str]] = None) -> bool:
    try:
        return subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
