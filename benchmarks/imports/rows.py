"""What an import costs: the time around the statement, in an interpreter that has just started."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Optional

from contest import Bound, Contestant, Row

STANDARD = "multiprocessing.shared_memory"

_CHAPTERS = (
    *("sysv", "posix", "fds", "memory", "signals", "fifos"),
    *("processes", "terminals", "sync", "channels"),
)

# A plain start, whatever is installed beside us: .pth files (of editable installs, of coverage)
# import half of what is measured before it is measured, so they are not run. `site` is imported,
# as it is at every start, for the modules that it needs itself. CPU time, as in worker.py.
_CHILD = """
import sys
sys.path += {paths!r}
import site, time
start = time.process_time_ns()
import {module}
print('{{"": %d}}' % (time.process_time_ns() - start))
"""


def rows(scratch: Path) -> list[Row]:
    del scratch
    standard, theirs = _importing(STANDARD), _importing("sysv_ipc")
    return [
        Row(
            "import",
            "import pyipc",
            [_importing("pyipc"), standard, theirs],
            [Bound(0.12, STANDARD)],
            least_rounds=15,
        ),
        *(_chapter(name, standard, theirs) for name in _CHAPTERS),
    ]


def _chapter(name: str, *peers: Contestant) -> Row:
    ours = _importing(f"pyipc.{name}")._replace(name="pyipc")
    return Row(
        f"import-{name}",
        f"import pyipc.{name}",
        [ours, *peers],
        [Bound(0.3, STANDARD)],
        least_rounds=15,
    )


def _importing(module: str) -> Contestant:
    if _folder(module.split(".")[0]) is None:
        return Contestant(module, [], f"the module {module} is not installed")
    paths = dict.fromkeys(filter(None, map(_folder, ("pyipc", "_cffi_backend", "sysv_ipc"))))
    code = _CHILD.format(paths=list(paths), module=module)
    return Contestant(module, [sys.executable, "-I", "-S", "-c", code])


def _folder(module: str) -> Optional[str]:
    """Where the path must lead for this module to be found."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return None
    origin = Path(spec.origin)
    return str(origin.parent.parent if spec.submodule_search_locations else origin.parent)
