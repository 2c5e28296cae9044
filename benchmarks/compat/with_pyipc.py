"""The rows of sysv_ipc's interface, by pyipc."""

from __future__ import annotations

from compat.work import Rows
from pyipc.compat import sysv_ipc

_rows = Rows(sysv_ipc)

compat_semaphore = _rows.compat_semaphore
compat_copy_64 = _rows.compat_copy_64
compat_view_64 = _rows.compat_view_64
compat_message_64 = _rows.compat_message_64
compat_attach = _rows.compat_attach
compat_create_segment = _rows.compat_create_segment
compat_create_set = _rows.compat_create_set
compat_create_queue = _rows.compat_create_queue
