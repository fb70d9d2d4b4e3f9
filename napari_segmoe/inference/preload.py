"""Loads torch's libraries without stopping other threads. Imports no torch itself.

``import torch`` opens several hundred megabytes of libraries while it holds the
interpreter's lock, so a window stands still although another thread imports. A
foreign call releases the lock: opening the libraries through one first leaves the
import little to do. Failing to find them is harmless, the import then does it all.
"""

import ctypes
import importlib.util
import logging
import os
import sys
from pathlib import Path

logger = logging.getLogger(__name__)
LIBRARIES = ("libc10.so", "libtorch_cpu.so", "libtorch.so", "libtorch_python.so")
_NOW_GLOBAL = 0x002 | 0x100  # RTLD_NOW | RTLD_GLOBAL, on Linux


def preload_torch() -> None:
    """Open torch's libraries where that helps: on Linux, before the first import."""
    if "torch" in sys.modules or not sys.platform.startswith("linux"):
        return
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return
    folder = Path(spec.origin).parent / "lib"
    libc = ctypes.CDLL(None)
    libc.dlopen.restype = ctypes.c_void_p
    libc.dlopen.argtypes = [ctypes.c_char_p, ctypes.c_int]
    for name in LIBRARIES:
        path = folder / name
        if path.is_file() and not libc.dlopen(os.fsencode(path), _NOW_GLOBAL):
            logger.debug("Could not open %s ahead of torch.", path)
