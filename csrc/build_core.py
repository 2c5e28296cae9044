"""Hands the marked region of pyipc_core.h and the list of .c files to cffi. Not shipped."""

import sys
import sysconfig
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
SOURCES = (
    *("sysv_shm.c", "sysv_sem.c", "sysv_msg.c"),
    *("posix_shm.c", "posix_sem.c", "posix_mq.c"),
    *("descriptors.c", "fifo.c", "pidfd.c", "signals.c", "spawn.c", "terminal.c", "passing.c", "memory.c"),
    "connection.c",
    *("mapping.c", "interrupt.c", "roster.c", "guard.c"),
    *("channel.c", "channel_arena.c", "channel_layout.c", "channel_loans.c"),
    *("channel_tasks.c", "channel_waits.c"),
    *("sync.c", "lock.c", "semaphore.c", "event.c", "condition.c", "barrier.c", "rwlock.c", "holdings.c"),
    *("file_lock.c", "counters.c", "cell.c"),
    *("hot_calls.c", "python_descriptors.c", "python_messages.c", "python_channels.c"),
    *("python_loans.c", "python_queues.c", "python_locks.c", "python_values.c"),
    *("python_pairs.c", "python_posix.c", "python_compat.c", "python_scopes.c"),
    *("python_terminals.c", "python_connections.c", "python_fifos.c"),
)

# Two ways into the same C. Every wrapper that cffi writes saves errno and releases the GIL.
# Our functions return -errno, so the first is work for nothing. The second is a disaster for
# a call that takes 20 ns: with another thread busy, each release costs a whole switch
# interval (5 ms). So a function whose name begins with pyipc_now_ keeps the GIL: by that name
# it promises to return at once, never to wait, map, unmap, reserve or free.
#
# cffi has no switch for it. Its wrappers are called _cffi_f_<function> and use two CPython
# macros and two of its own, so we give these another meaning for the rest of the file; the
# name is a constant there, and the compiler folds the test away. (The alternatives: two
# modules, whose cdata types then differ, or wrappers by hand, a second copy of each
# signature.) tests/project/test_gil.py looks at what comes out.
PREAMBLE = r"""
#include "pyipc_core.h"

#ifndef PYPY_VERSION
#undef Py_BEGIN_ALLOW_THREADS
#undef Py_END_ALLOW_THREADS
/* __func__ is "_cffi_f_pyipc_now_...": the test reads what follows "_cffi_f_pyipc_". */
#define PYIPC_KEEPS_GIL \
    (__func__[14] == 'n' && __func__[15] == 'o' && __func__[16] == 'w' && __func__[17] == '_')
#define Py_BEGIN_ALLOW_THREADS \
    { PyThreadState *_save = PYIPC_KEEPS_GIL ? NULL : PyEval_SaveThread();
#define Py_END_ALLOW_THREADS \
    if (!PYIPC_KEEPS_GIL) PyEval_RestoreThread(_save); }

#undef _cffi_restore_errno
#undef _cffi_save_errno
#define _cffi_restore_errno() ((void) 0)
#define _cffi_save_errno() ((void) 0)
#endif
"""


# Where another thread may be in a call while an owner is closed: PyPy lets go of its GIL around each.
HAS_NO_GIL = sys.implementation.name != "cpython" or bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def declarations() -> str:
    """The region of the header that cffi may see: it is the cdef, there is no second copy."""
    header = (HERE / "pyipc_core.h").read_text()
    return header.split("/* cdef: begin */")[1].split("/* cdef: end */")[0]


ffi = FFI()
ffi.cdef(declarations())
ffi.set_source(
    "pyipc._core",
    PREAMBLE,
    sources=[f"csrc/{name}" for name in SOURCES],
    depends=["csrc/pyipc_core.h", *(f"csrc/{header.name}" for header in HERE.glob("*.h"))],
    include_dirs=["csrc"],
    define_macros=[("PYIPC_NO_GIL", "1")] if HAS_NO_GIL else [],
    libraries=["pthread"],  # of semaphores, in a glibc before 2.34
    extra_compile_args=["-O2", "-std=gnu11", "-fvisibility=hidden", "-Wall", "-Wextra"],
)
