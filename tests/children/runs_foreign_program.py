"""Runs a program that was written for a package that pyipc stands in for, on our module.

Arguments: the package's name, the program, and its arguments.
"""

from __future__ import annotations

import importlib
import os
import runpy
import sys

name, program = sys.argv[1:3]
sys.modules[name] = importlib.import_module(f"pyipc.compat.{name}")
sys.argv = sys.argv[2:]
sys.path[0] = os.path.dirname(os.path.abspath(program))
runpy.run_path(program, run_name="__main__")
