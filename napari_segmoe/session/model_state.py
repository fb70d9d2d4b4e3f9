"""The model of a session: choose, load, release."""

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from napari_segmoe.errors import WeightsError
from napari_segmoe.models.card import find_weights, list_weights, read_card
from napari_segmoe.session.history import EventKind
from napari_segmoe.session.predictor import (
    Card,
    DeviceChoice,
    ModelChoice,
    ModelReport,
    PredictorHost,
)
from napari_segmoe.types import Modality

if TYPE_CHECKING:
    from napari_segmoe.session.session import Session

FIRST_CHOICE = ModelChoice("breast_ultrasound")
_FIRST_OF = {Modality.HISTOLOGY: "glands"}  # of several weights for one kind of image
FIRST_DEVICES = (DeviceChoice("auto", "Auto"), DeviceChoice("cpu", "CPU"))


class ModelState:
    """Which weights are chosen, and whether they are loaded.

    Parameters
    ----------
    session : Session
        Whose model this is.
    host : PredictorHost
        Owns the predictor on the worker.
    choice : ModelChoice
        Weights and device to begin with.
    """

    def __init__(
        self, session: "Session", host: PredictorHost, choice: ModelChoice
    ) -> None:
        self._session = session
        self.host = host
        self.choice = choice
        self.card: Card | None = None
        self.device_text = ""
        self.devices: tuple[DeviceChoice, ...] = FIRST_DEVICES
        self.is_loading = False
        self.has_failed = False
        self.failures = 0  # how often loading failed
        self._peeked: tuple[str, tuple[float | None, float | None]] = ("", (None, None))
        self._is_users = choice != FIRST_CHOICE  # somebody chose it: never change it

    @property
    def is_loaded(self) -> bool:
        """Whether the chosen weights are ready."""
        return self.card is not None

    @property
    def title(self) -> str:
        """Name of the weights for people."""
        if self.card is None:
            return Path(self.choice.weights).stem.replace("_", " ")
        return self.card.title or self.card.name

    @property
    def spacing_um(self) -> float | None:
        """Pixel size the weights see images at, um; None where they have none.

        Read from the weights' card as long as they are not loaded.
        """
        return self._sizes()[0]

    @property
    def assumed_spacing_um(self) -> float | None:
        """Pixel size taken for images that state none, um; None: no size is needed."""
        return self._sizes()[1]

    def _sizes(self) -> tuple[float | None, float | None]:
        if self.card is not None:
            return self.card.spacing_um, self.card.assumed_spacing_um
        if self._peeked[0] != self.choice.weights:
            self._peeked = self.choice.weights, _peek_sizes(self.choice.weights)
        return self._peeked[1]

    def choose(
        self,
        *,
        weights: str | None = None,
        device: str | None = None,
        is_asked_again: bool = True,
    ) -> None:
        """Take other weights or another device; they load at once if needed.

        Parameters
        ----------
        weights, device : str or None
            None: as before.
        is_asked_again : bool
            Whether the prompts that are there are answered anew; if not, the answer
            stays until the next click.
        """
        self._is_users = self._is_users or weights is not None
        choice = ModelChoice(
            weights or self.choice.weights, device or self.choice.device
        )
        if choice != self.choice:
            self._take(choice, is_asked_again=is_asked_again)

    def suit(self, modality: Modality) -> None:
        """Take the shipped weights made for a modality: the only ones, or the first.

        Weights that somebody chose stay, and so do those that fit already.
        """
        if self._is_users or modality in (Modality.UNKNOWN, Modality.OTHER):
            return
        fitting = [
            name
            for name, path in list_weights()
            if read_card(path).modality is modality
        ]
        if self.choice.weights in fitting:
            return
        first = _FIRST_OF.get(modality)
        chosen = [first] if first in fitting else fitting
        if len(chosen) == 1:
            self._take(ModelChoice(chosen[0], self.choice.device))
            title = chosen[0].replace("_", " ")
            self._session.notified.emit(
                f"The model is now {title!r}, made for {modality.value}. Choose another"
                " at Model."
            )

    def _take(self, choice: ModelChoice, *, is_asked_again: bool = True) -> None:
        self.choice = choice
        self._session.log.record(
            EventKind.MODEL, {"weights": choice.weights, "device": choice.device}
        )
        self._session.explaining.forget_model()
        self._forget()
        if self._session.has_image:
            self.load()
            if is_asked_again or self._session.is_busy:
                self._session.prompting.ask_again()

    def load(self) -> None:
        """Begin to load the chosen weights, unless they are or are being loaded."""
        if self.is_loaded or self.is_loading:
            return
        self.is_loading, self.has_failed = True, False
        choice, host = self.choice, self.host

        def job() -> Generator[None, None, ModelReport]:
            yield
            return host.load(choice)

        self._session.runner.submit(
            job,
            topic="load",
            on_done=lambda report: self._finish(choice, report),
            on_error=lambda error: self._fail(choice, error),
        )
        self._session.announce_status()

    def release(self) -> None:
        """Give the model's memory back; the next prompt loads it again."""
        host = self.host

        def job() -> Generator[None, None, None]:
            yield
            host.release()

        self._forget()
        self._session.runner.submit(
            job,
            topic="release",
            on_done=lambda _: self._session.notified.emit("The model was released."),
            on_error=self._note_error,
        )

    def note_device(self, text: str) -> None:
        """Take the newest words about device and memory."""
        self.device_text = text

    def _note_error(self, error: Exception) -> None:
        self._session.report(error)

    def _forget(self) -> None:
        self._session.regions.cancel()
        self.card, self.device_text = None, ""
        self.is_loading = self.has_failed = False
        self._session.model_changed.emit()
        self._session.announce_status()

    def _finish(self, choice: ModelChoice, report: ModelReport) -> None:
        if choice != self.choice:
            return
        self.is_loading = False
        self.card, self.device_text = report.card, report.device_text
        if report.devices:
            self.devices = report.devices
        self._session.classes.learn(report.card.object_classes)
        self._session.explaining.learn_absent(report.unavailable)
        self._session.model_changed.emit()
        self._session.announce_status()

    def _fail(self, choice: ModelChoice, error: Exception) -> None:
        if choice != self.choice:
            return
        self.is_loading, self.has_failed = False, True
        self.failures += 1
        self._session.prompting.give_up()
        self._session.regions.cancel()
        self._session.report(error)
        self._session.model_changed.emit()
        self._session.announce_status()

    def mapped_classes(self) -> tuple[str, ...]:
        """Return the classes the loaded model can give an object."""
        return tuple(self.card.object_classes) if self.card else ()


def _peek_sizes(weights: str) -> tuple[float | None, float | None]:
    """Return the pixel sizes on a card; None where the card cannot be read either."""
    try:
        card = read_card(find_weights(weights))
    except WeightsError:
        return None, None  # loading them says what is wrong
    return card.spacing_um, card.assumed_spacing_um
