"""One guarded round on a project, and what came of it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from napari_segmoe.project.model_versions import current_version, weights_file
from napari_segmoe.project.store import ProjectStore
from napari_segmoe.training.finetune.round import run_round
from napari_segmoe.training.finetune.settings import RoundSettings, make_settings

_DEFAULT = RoundSettings()  # what users get
_PSEUDO_WEIGHT = 0.3
_LOOK_EVERY = 4  # steps; pseudo-labels may begin at the first look


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """How rounds are run.

    Attributes
    ----------
    weights : str
        Shipped weights of the first round; later ones go on with the project's.
    steps : int
        Of each training; a round that cross-fits has three.
    batch_size : int
    learning_rate, encoder_rate_factor, replay_weight : float
        By default the package's, as all else.
    pseudo_labels : bool
        Whether the project's own unlabelled tissue teaches as well.
    base_data : Path or None
        Data folder of the base weights; None: as users have it, without.
    """

    weights: str
    steps: int = _DEFAULT.training_steps
    batch_size: int = _DEFAULT.batch_size
    learning_rate: float = _DEFAULT.learning_rate
    encoder_rate_factor: float = _DEFAULT.encoder_rate_factor
    replay_weight: float = _DEFAULT.replay_weight
    pseudo_labels: bool = False
    base_data: Path | None = None
    base_spacing_um: float | None = None

    def describe(self) -> dict[str, Any]:
        """Return the plan, ready for JSON, without paths."""
        values = asdict(self)
        values["base_data"] = self.base_data is not None
        return values


PLANS: Mapping[str, RoundPlan] = {
    "glas": RoundPlan("glands", base_spacing_um=0.62),
    "stu": RoundPlan("breast_ultrasound"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a round said.

    Attributes
    ----------
    told : mapping
        "published", "reason", the guard's figures, steps and seconds.
    weights : Path or None
        The project's weights after it; None where it never had any.
    candidate : Path or None
        What the round learnt, published or not; None where the guard had seen enough
        before the last training.
    """

    told: Mapping[str, Any]
    weights: Path | None
    candidate: Path | None


def run_one(project: Path, plan: RoundPlan, *, seed: int) -> Outcome:
    """Run a round to its end."""
    values: dict[str, Any] = {
        "steps": plan.steps,
        "batch_size": plan.batch_size,
        "validate_every": _LOOK_EVERY,
        "learning_rate": plan.learning_rate,
        "encoder_rate_factor": plan.encoder_rate_factor,
        "replay_weight": plan.replay_weight,
        "device": "cpu",
        "threads": 1,
        "nice": 0,
        "minutes": 60.0,  # other load must not shorten a training
        "seed": seed,
    }
    if plan.base_data is not None:
        values["replay_data"] = plan.base_data
        values["replay_spacing_um"] = plan.base_spacing_um
    if plan.pseudo_labels:
        values["pseudo_weight"] = _PSEUDO_WEIGHT
    current = current_weights(project)
    if current is None:
        values["weights"] = plan.weights
    told: Mapping[str, Any] = {}
    learning_s = 0.0
    for event in run_round(project, make_settings(**values)):
        learning_s += event["seconds"] if event["event"] == "epoch" else 0.0
        if event["event"] == "done":
            told = event
    found = sorted((project / "runs").glob("round-*"))[-1] / "best.safetensors"
    return Outcome(
        _told(told, learning_s),
        current_weights(project),
        found if found.is_file() else None,
    )


def _told(done: Mapping[str, Any], learning_s: float) -> dict[str, Any]:
    """Return what is kept of a round's last event."""
    return {
        "published": done["published"] is not None,
        "reason": done["reason"],
        "hold_out": done["hold_out"],
        "old_domain": done["old_domain"],
        "corrections": done["corrections"],
        "round_seconds": done["seconds"],
        "learning_seconds": round(learning_s, 1),
    }


def current_weights(project: Path) -> Path | None:
    """Return the weights in use; None where a project has published none."""
    with ProjectStore.open(project, read_only=True) as store:
        version = current_version(store)
    return None if version is None else weights_file(project, version.number)
