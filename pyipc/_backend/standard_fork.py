"""fork(2) by the standard library, where no C of ours can do it."""

from __future__ import annotations

import os
from itertools import islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def fork(born: list[int], owner: Any, now_pidfd_open: Callable[[Any, int], int]) -> int:
    """As the protocol has it; the pidfd comes by way of an owner of a descriptor."""
    try:
        # Each is one step of the interpreter: no signal handler comes between the child and its pid.
        born.extend(islice(iter(os.fork, None), 1))
    except OSError as problem:
        if getattr(problem.__traceback__, "tb_next", None) is not None:
            raise  # it has frames of its own: a signal handler's
        return -(problem.errno or 0)
    if not born[0]:
        return 0
    result = now_pidfd_open(owner, born[0])
    if result == 0:
        born.extend(iter(owner._take, -1))
    return result
