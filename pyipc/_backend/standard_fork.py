"""fork(2) by the standard library, where no C of ours can do it."""

from __future__ import annotations

import os
from errno import ENOTSUP
from itertools import islice


def fork(born: list[int]) -> int:
    if not hasattr(os, "pidfd_open"):  # a Python that was built where Linux was older than 5.3
        return -ENOTSUP
    try:
        # Each is one step of the interpreter: no signal handler comes between the child and its pid.
        born.extend(islice(iter(os.fork, None), 1))
        if born[0]:
            born.extend(map(os.pidfd_open, (born[0],)))
    except OSError as problem:
        if getattr(problem.__traceback__, "tb_next", None) is not None:
            raise  # it has frames of its own: a signal handler's
        return -(problem.errno or 0)
    return 0
