"""A tab's page that makes its view when it is first needed."""

from collections.abc import Callable
from typing import Generic, TypeVar

from qtpy.QtCore import Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QFrame, QScrollArea, QWidget

View = TypeVar("View", bound=QWidget)


class LazyTab(QScrollArea, Generic[View]):
    """A scrolling page; its view is made when it is first shown or asked for.

    Views keep no state, so one that is made late shows what one made early would.

    Parameters
    ----------
    make : callable
        Makes the view.
    """

    def __init__(self, make: Callable[[], View]) -> None:
        super().__init__()
        self._make = make
        self._view: View | None = None
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    @property
    def is_made(self) -> bool:
        """Whether the view was needed yet."""
        return self._view is not None

    @property
    def view(self) -> View:
        """The view; it is made now if it was not needed before."""
        if self._view is None:
            self._view = self._make()
            self.setWidget(self._view)
        return self._view

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Make the view before the page is first painted."""
        assert self.view is not None
        super().showEvent(event)
