"""Environments to give to programs."""

from __future__ import annotations

import os

_KEPT = ("HOME", "LANG", "LOGNAME", "SHELL", "TERM", "TZ", "USER")


def clean_environment(**more: str) -> dict[str, str]:
    """An environment that trusts nobody: the system's PATH, and of ours what says who, where and how.

    Of ours are kept HOME, LANG, LC_*, LOGNAME, SHELL, TERM, TZ and USER.

    Args:
        more: Further variables, or other values.
    """
    path = os.confstr("CS_PATH") or os.defpath
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("LC_")}
    return {"PATH": path, **kept, **more}
