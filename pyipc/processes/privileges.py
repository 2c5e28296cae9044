"""Giving up what this process may do."""

from __future__ import annotations

from .._privileges import drop, resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def drop_privileges(
    user: str | int | None = None,
    group: str | int | None = None,
    extra_groups: Iterable[str | int] | None = None,
) -> None:
    """Become another user, with no way back: groups first, the user last, and verified (credentials(7)).

    Of who is that user already, in these groups, nothing is asked that only root may.

    Args:
        user: A name or uid; None: as before.
        group: A name or gid; None: the user's own, or as before.
        extra_groups: Supplementary groups; None: the user's own, or as before.

    Raises:
        ValueError: There is no such user or group.
        AccessError: The system refused, and the message says what; what came before that is done. Or root
            could be had back.
    """
    drop(resolve(user, group, extra_groups))
