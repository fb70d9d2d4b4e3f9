"""What the session is doing, in a few words."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_segmoe.session.session import Session


class Activity(StrEnum):
    """What the session is doing."""

    NO_IMAGE = "no image"
    IDLE = "idle"
    LOADING = "loading"
    READY = "ready"
    PREDICTING = "predicting"
    FAILED = "failed"


ACTIVITY_TEXT = {
    Activity.NO_IMAGE: "No image",
    Activity.IDLE: "Model not loaded",
    Activity.LOADING: "Loading model…",
    Activity.READY: "Ready",
    Activity.PREDICTING: "Segmenting…",
    Activity.FAILED: "Model not loaded",
}


@dataclass(frozen=True, slots=True)
class Status:
    """One line about the session: activity, weights, device and memory."""

    activity: Activity
    weights: str = ""
    device_text: str = ""

    @property
    def text(self) -> str:
        """The line itself."""
        parts = (ACTIVITY_TEXT[self.activity], self.weights, self.device_text)
        return " · ".join(part for part in parts if part)


def activity_of(session: "Session") -> Activity:
    """Return what a session is doing."""
    if session.model.is_loading:
        return Activity.LOADING
    if session.prompting.is_waiting or session.regions.is_segmenting:
        return Activity.PREDICTING
    if session.model.has_failed:
        return Activity.FAILED
    if not session.has_image:
        return Activity.NO_IMAGE
    return Activity.READY if session.model.is_loaded else Activity.IDLE
