"""The rows of sysv_ipc's interface, by sysv_ipc itself."""

from __future__ import annotations

import sysv_ipc

from compat.work import Rows

_rows = Rows(sysv_ipc)

compat_semaphore = _rows.compat_semaphore
compat_copy_64 = _rows.compat_copy_64
compat_view_64 = _rows.compat_view_64
compat_message_64 = _rows.compat_message_64
compat_attach = _rows.compat_attach
compat_create_segment = _rows.compat_create_segment
compat_create_set = _rows.compat_create_set
compat_create_queue = _rows.compat_create_queue
