"""Keeps Python alive under one release of PySide6.

PySide6 6.12.0 takes a reference to None away at every call that returns nothing,
as if None were immortal, which it is from Python 3.12 on only. On 3.11 some hundred
thousand calls (minutes of work) end in "Fatal Python error: none_dealloc".
"""

import ctypes
import sys

import qtpy

BROKEN_PYSIDE = "6.12.0"
MANY = 2**40


def protect_none() -> bool:
    """Give None more references than can be lost; return whether that was needed."""
    is_broken = (
        sys.version_info < (3, 12)
        and qtpy.API_NAME == "PySide6"
        and qtpy.PYSIDE_VERSION == BROKEN_PYSIDE
    )
    if is_broken and sys.getrefcount(None) < MANY // 2:
        count = ctypes.c_ssize_t.from_address(id(None))  # first field of an object
        count.value += MANY
    return is_broken
