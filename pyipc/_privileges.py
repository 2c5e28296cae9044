"""Becoming another user, for good: groups, then the group, then the user, and a look whether it is so."""

from __future__ import annotations

import os
from errno import EPERM

from .errors import error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, Union

    # uid, gid, supplementary groups (credentials(7)); -1 and None change nothing
    Credentials = tuple[int, int, Union[Sequence[int], None]]

_SAME = -1
_ROOT = 0
UNCHANGED: Credentials = (_SAME, _SAME, None)


def resolve(
    user: str | int | None, group: str | int | None, extra_groups: Iterable[str | int] | None
) -> Credentials:
    """The numbers of these, who are names or numbers.

    A user without a *group* has the group that the password database says, without *extra_groups* those that
    the group database says.

    Raises:
        ValueError: There is no such user or group; or the user is a number that the password database does
            not know, and no group is given.
    """
    uid, name, home = (_SAME, None, _SAME) if user is None else user_of(user)
    if group is not None:
        gid = gid_of(group)
    elif user is None or home != _SAME:
        gid = home
    else:
        raise ValueError(f"which group shall user {user} be in? The password database does not know the user")
    if extra_groups is not None:
        return uid, gid, sorted({gid_of(extra) for extra in extra_groups})
    if user is None:
        return uid, gid, None
    return uid, gid, [] if name is None else sorted(set(os.getgrouplist(name, gid)))


def user_of(user: str | int) -> tuple[int, str | None, int]:
    """Its uid; its name and group, if the password database knows them."""
    import pwd

    try:
        entry = pwd.getpwnam(user) if isinstance(user, str) else pwd.getpwuid(_valid(user))
    except KeyError:
        if isinstance(user, str):
            raise ValueError(f"there is no user {user!r}") from None
        return user, None, _SAME
    return entry.pw_uid, entry.pw_name, entry.pw_gid


def gid_of(group: str | int) -> int:
    if not isinstance(group, str):
        return _valid(group)
    import grp

    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ValueError(f"there is no group {group!r}") from None


def _valid(number: int) -> int:
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError(f"a user or group is a name or a number, not {number!r}")
    if not 0 <= number < (1 << 32) - 1:
        raise ValueError(f"a user or group has a number of 0..2**32-2, not {number}")
    return number


def needed(credentials: Credentials) -> Credentials:
    """Without groups that we are in already: to set them takes a privilege, also if nothing changes."""
    uid, gid, groups = credentials
    if groups is not None:
        # Who keeps the group may have it among the supplementary ones, too, or not: it is the same.
        kept = {os.getgid()} if gid in (_SAME, os.getgid()) else set()
        if {*groups} | kept == {*os.getgroups()} | kept:
            groups = None
    return uid, gid, groups


def drop(credentials: Credentials) -> None:
    """Become that: real, effective and saved ids, of all threads (setresuid(2)).

    Raises:
        AccessError: One of the steps was refused, which the message names, and those before it are done; or
            root could be had back.
    """
    uid, gid, groups = needed(credentials)
    if groups is not None:
        _step(lambda: os.setgroups(groups), f"set the supplementary groups to {groups}")
    if gid != _SAME:
        _step(lambda: os.setresgid(gid, gid, gid), f"become group {gid}")
    if uid != _SAME:
        _step(lambda: os.setresuid(uid, uid, uid), f"become user {uid}")
    _verify(uid, gid, groups)


def _step(call: Callable[[], Any], doing: str) -> None:
    try:
        call()
    except OSError as problem:
        raise error(problem.errno or EPERM, doing) from problem


def _verify(uid: int, gid: int, groups: Sequence[int] | None) -> None:
    if groups is not None and set(groups) != set(os.getgroups()):
        raise error(EPERM, f"have no other supplementary groups than {groups}: they are {os.getgroups()}")
    if gid != _SAME and os.getresgid() != (gid, gid, gid):
        raise error(EPERM, f"become group {gid}: the groups are {os.getresgid()}")
    if uid != _SAME and os.getresuid() != (uid, uid, uid):
        raise error(EPERM, f"become user {uid}: the users are {os.getresuid()}")
    if uid in (_SAME, _ROOT):
        return
    if _works(lambda: os.setresuid(_SAME, _ROOT, _SAME)):
        raise error(EPERM, f"become user {uid} for good: root could be had back")
    if gid not in (_SAME, _ROOT) and _works(lambda: os.setresgid(_SAME, _ROOT, _SAME)):
        raise error(EPERM, f"become group {gid} for good: root's could be had back")


def _works(call: Callable[[], Any]) -> bool:
    try:
        call()
    except PermissionError:
        return False
    return True
