"""The compiled core; the only importer of `_core`."""

from __future__ import annotations

from pyipc import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

core = _core
ffi: Any = _core.ffi
lib: Any = _core.lib

# Whether C may stand in for Python (hot_calls.c, python_*.c); it cannot on PyPy and without a GIL.
HOT: bool = lib.pyipc_now_add_hot_calls() == 0 and lib.pyipc_now_add_descriptors() == 0
