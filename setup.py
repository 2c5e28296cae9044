"""The compiled core. Everything else about the project is in pyproject.toml."""

import os
import sys
import sysconfig

from setuptools import setup

# PYIPC_PURE=1 builds without the core: for machines where no C compiler can be had, and
# for the pure-Python wheel. It is said aloud, never inferred: a build that quietly loses
# its core would look like a success and run on the fallback.
if os.environ.get("PYIPC_PURE") == "1":
    print("PYIPC_PURE=1: building without the compiled core", file=sys.stderr)
    setup()
else:
    # cffi names the extension *.abi3.so but leaves the wheel's tag to us. Free-threaded
    # builds have no stable ABI before Python 3.15, and PyPy has none at all.
    stable = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
    setup(
        cffi_modules=["csrc/build_core.py:ffi"],
        options={"bdist_wheel": {"py_limited_api": "cp39"}} if stable else {},
    )
