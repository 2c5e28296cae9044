"""The rows of posix_ipc's interface, by pyipc."""

from __future__ import annotations

from compat.posix_work import Rows
from pyipc.compat import posix_ipc

_rows = Rows(posix_ipc)

compat_posix_semaphore = _rows.compat_posix_semaphore
compat_posix_with = _rows.compat_posix_with
compat_posix_timeout = _rows.compat_posix_timeout
compat_posix_message_64 = _rows.compat_posix_message_64
compat_posix_message_text = _rows.compat_posix_message_text
compat_posix_create_memory = _rows.compat_posix_create_memory
compat_posix_create_queue = _rows.compat_posix_create_queue
compat_posix_create_semaphore = _rows.compat_posix_create_semaphore
