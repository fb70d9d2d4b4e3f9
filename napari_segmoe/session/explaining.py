"""Why the network answered so: which heatmaps are wanted, and who is steered."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from napari_segmoe.errors import ModelOptionError
from napari_segmoe.session.history import EventKind
from napari_segmoe.types import Explanation, Prediction, Steering

if TYPE_CHECKING:
    from napari_segmoe.session.session import Session

CONTRIBUTION = "contribution"  # keys are contribution/<stage>/<expert>
FIRST_OPACITY = 0.65


class Wish(StrEnum):
    """What the user wants of an expert."""

    FREE = "free"
    PINNED = "pinned"
    VETOED = "vetoed"


class Explaining:
    """Explanations of the present answer, and the user's wishes about experts.

    Explanations cost time, so they are asked for only while `is_wanted`.

    Parameters
    ----------
    session : Session
        Whose answers are explained.

    Attributes
    ----------
    is_open : bool
        Whether the explanations are looked at.
    shown : tuple of str
        Keys of the maps shown on the image, oldest choice first.
    opacity : float
        Of the maps, in 0..1.
    stage : str or None
        Stage whose experts are looked at to steer them; None means all.
    catalogue : tuple of Explanation
        The newest explanations there were; tells what this model can show, also
        while there is no answer.
    unavailable : mapping of str to str
        Why a group of explanations never comes from this model, by group.
    """

    def __init__(self, session: "Session") -> None:
        self._session = session
        self.is_open = False
        self.shown: tuple[str, ...] = ()
        self.opacity = FIRST_OPACITY
        self.stage: str | None = None
        self.catalogue: tuple[Explanation, ...] = ()
        self.unavailable: Mapping[str, str] = MappingProxyType({})
        self._experts: dict[str, tuple[str, ...]] = {}
        self._wishes: dict[tuple[str, str], Wish] = {}

    @property
    def is_wanted(self) -> bool:
        """Whether answers must be explained."""
        return self.is_open or bool(self.shown)

    @property
    def explanations(self) -> tuple[Explanation, ...]:
        """Explanations of the present answer; empty without one."""
        prediction = self._session.prediction
        return prediction.explanations if prediction else ()

    @property
    def experts(self) -> Mapping[str, tuple[str, ...]]:
        """Experts that can be steered, by stage; empty until an answer named them."""
        return MappingProxyType(self._experts)

    @property
    def steering(self) -> Steering | None:
        """The wishes as a predictor takes them; None where all experts are free."""
        if not self._wishes:
            return None
        return Steering(self._wished(Wish.PINNED), self._wished(Wish.VETOED))

    @property
    def wishes(self) -> frozenset[tuple[tuple[str, str], Wish]]:
        """The wishes, ((stage, expert), wish), without order."""
        return frozenset(self._wishes.items())

    def find(self, key: str) -> Explanation | None:
        """Return the present explanation of that key, or None."""
        return next((one for one in self.explanations if one.key == key), None)

    def show_explanations(self, is_open: bool) -> None:
        """Begin or end to look at explanations; the present answer gets its own."""
        if is_open != self.is_open:
            self.is_open = is_open
            self._announce()

    def show(self, key: str, *, is_shown: bool = True) -> None:
        """Show a map on the image, or take it away."""
        if (key in self.shown) != is_shown:
            others = tuple(one for one in self.shown if one != key)
            self.shown = (*others, key) if is_shown else others
            self._announce()

    def hide_all(self) -> None:
        """Take all maps away."""
        if self.shown:
            self.shown = ()
            self._announce()

    def change_opacity(self, opacity: float) -> None:
        """Set how strongly maps cover the image, 0..1."""
        self.opacity = min(max(float(opacity), 0.0), 1.0)
        self._session.explaining_changed.emit()

    def choose_stage(self, stage: str | None) -> None:
        """Set the stage whose experts are looked at; None means all."""
        self.stage = stage if stage in self._experts else None
        self._session.explaining_changed.emit()

    def steerable_experts(self) -> tuple[str, ...]:
        """Return the experts of the stage looked at."""
        if self.stage is not None:
            return self._experts.get(self.stage, ())
        return tuple(dict.fromkeys(who for at in self._experts.values() for who in at))

    def wish_of(self, expert: str, *, stage: str | None = None) -> Wish | None:
        """Return what is wished of an expert; None where its stages differ."""
        wishes = {
            self._wishes.get((at, expert), Wish.FREE)
            for at in self._stages(expert, stage)
        }
        return wishes.pop() if len(wishes) == 1 else None

    def steer(self, expert: str, wish: Wish, *, stage: str | None = None) -> None:
        """Pin, veto or free an expert; the present prompts are answered anew.

        Parameters
        ----------
        expert : str
            Its name.
        wish : Wish
            A veto beats pins; where experts are pinned, only they are asked.
        stage : str or None
            At this stage only; None means all stages that have the expert.

        Raises
        ------
        ModelOptionError
            If the model has no such expert, or none would be left at some stage.
        """
        stages = self._stages(expert, stage)
        if not stages:
            raise ModelOptionError(
                f"There is no expert {expert!r} to steer. Segment something first, with"
                " the Heatmaps tab open."
            )
        wishes = self._wishes | {(at, expert): wish for at in stages}
        wishes = {who: one for who, one in wishes.items() if one is not Wish.FREE}
        for at in stages:
            self._check_some_left(at, wishes)
        self._take(wishes)

    def free_all(self) -> None:
        """Forget all pins and vetoes."""
        self._take({})

    def learn(self, prediction: Prediction | None) -> None:
        """Take in what an answer tells about the model: for `Prompting`."""
        explanations = prediction.explanations if prediction else ()
        if not explanations:
            return
        self.catalogue = explanations
        keys = {one.key for one in explanations}
        self.shown = tuple(key for key in self.shown if key in keys)
        for stage, expert in filter(None, map(_stage_and_expert, explanations)):
            known = self._experts.get(stage, ())
            if expert not in known:
                self._experts[stage] = (*known, expert)

    def learn_absent(self, unavailable: Mapping[str, str]) -> None:
        """Take in which groups a loaded model cannot explain: for `ModelState`."""
        self.unavailable = MappingProxyType(dict(unavailable))
        self._session.explaining_changed.emit()

    def forget_model(self) -> None:
        """Forget all that belongs to the model before: for `ModelState`."""
        self.catalogue, self.unavailable = (), MappingProxyType({})
        self._experts, self._wishes, self.stage = {}, {}, None
        self._session.explaining_changed.emit()

    def _announce(self) -> None:
        self._session.explaining_changed.emit()
        answer = self._session.workspace.answer if self._session.workspace else None
        if self.is_wanted and not (answer and answer.is_explained):
            self._session.prompting.refresh()

    def _take(self, wishes: dict[tuple[str, str], Wish]) -> None:
        if wishes == self._wishes:
            return
        self._wishes = wishes
        payload = {f"{at}/{who}": str(wish) for (at, who), wish in wishes.items()}
        self._session.log.record(EventKind.STEER, payload)
        self._session.explaining_changed.emit()
        self._session.prompting.refresh()

    def _wished(self, wish: Wish) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for (stage, expert), one in sorted(self._wishes.items()):
            if one is wish:
                found[stage] = (*found.get(stage, ()), expert)
        return found

    def _stages(self, expert: str, stage: str | None) -> tuple[str, ...]:
        return tuple(
            at
            for at, experts in self._experts.items()
            if expert in experts and stage in (None, at)
        )

    def _check_some_left(
        self, stage: str, wishes: Mapping[tuple[str, str], Wish]
    ) -> None:
        experts = self._experts[stage]
        if all(wishes.get((stage, who)) is Wish.VETOED for who in experts):
            raise ModelOptionError(
                f"Every expert of stage {stage} would be vetoed. Leave at least one of"
                f" {', '.join(experts)}."
            )


def _stage_and_expert(explanation: Explanation) -> tuple[str, str] | None:
    kind, _, rest = explanation.key.partition("/")
    stage, _, expert = rest.rpartition("/")
    return (stage, expert) if kind == CONTRIBUTION and stage else None
