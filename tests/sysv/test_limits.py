from __future__ import annotations

import errno
from pathlib import Path

import pytest

from pyipc.sysv import limits

NAMES = {
    "SHMMNI": ("shmmni", 0),
    "SHMMAX": ("shmmax", 0),
    "SHMALL": ("shmall", 0),
    "SEMMSL": ("sem", 0),
    "SEMMNS": ("sem", 1),
    "SEMOPM": ("sem", 2),
    "SEMMNI": ("sem", 3),
    "MSGMAX": ("msgmax", 0),
    "MSGMNB": ("msgmnb", 0),
    "MSGMNI": ("msgmni", 0),
}


@pytest.mark.parametrize(("name", "where"), NAMES.items(), ids=NAMES)
def test_every_limit_is_read_from_the_kernel(name, where):
    file, column = where
    expected = int(Path(f"/proc/sys/kernel/{file}").read_text().split()[column])
    assert limits.read(name) == expected
    problem = limits.reached(-errno.ENOSPC, "do it", name)
    assert (problem.limit, problem.value, problem.path) == (name, expected, f"/proc/sys/kernel/{file}")
    assert problem.errno == errno.ENOSPC


def test_the_one_of_two_limits_that_was_met_is_named():
    most = limits.read("SEMMNI")
    assert limits.reached_either(-errno.ENOSPC, "do it", "SEMMNI", range(most), "SEMMNS").limit == "SEMMNI"
    assert (
        limits.reached_either(-errno.ENOSPC, "do it", "SEMMNI", range(most - 1), "SEMMNS").limit == "SEMMNS"
    )
