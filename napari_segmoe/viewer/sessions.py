"""The session of each viewer: the only module-level state of the package."""

from typing import Any
from weakref import WeakKeyDictionary

from napari_segmoe.session.session import Session

_SESSIONS: WeakKeyDictionary[Any, Session] = WeakKeyDictionary()


def keep_session(viewer: Any, session: Session) -> None:
    """Make ``session`` the one of ``viewer``."""
    _SESSIONS[viewer] = session


def find_session(viewer: Any) -> Session | None:
    """Return the session of ``viewer``, or None where the dock was not opened."""
    return _SESSIONS.get(viewer)


def drop_session(viewer: Any) -> None:
    """Forget the session of ``viewer``."""
    _SESSIONS.pop(viewer, None)
