from __future__ import annotations

import os

from . import serving

globals().update(serving.rows([os.environ.get("LOAD", "")]))
