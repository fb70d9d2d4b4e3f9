"""The same run with several seeds or on several folds, and their joint figures."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from napari_segmoe.errors import ConfigError, RunFolderError
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.engine import fit
from napari_segmoe.training.summary import join_reports, read_report

Event = dict[str, Any]
PLAN = "repeats.yaml"


@dataclass(frozen=True, slots=True)
class Repeat:
    """One of several runs: its name, and what it is run with."""

    name: str
    config: TrainingConfig


def plan_repeats(
    config: TrainingConfig, *, folds: int = 0, seeds: int = 1
) -> tuple[Repeat, ...]:
    """Return the runs of ``seeds`` seeds on ``folds`` folds.

    Seeds change what is drawn and where weights begin, never which images validate;
    each image validates in exactly one fold.

    Parameters
    ----------
    config : TrainingConfig
        Its seed is the first one, its folder holds the runs' folders.
    folds : int
        At least 2; 0: the configured share validates, without folds.
    seeds : int
        At least 1.

    Raises
    ------
    ConfigError
        If a number is out of range.
    """
    if folds == 1 or folds < 0 or seeds < 1:
        raise ConfigError(
            f"--folds is {folds} and --seeds {seeds}; expected 2 folds or more, and 1"
            " seed or more."
        )
    split_seed = config.seed if config.split_seed is None else config.split_seed
    repeats = []
    for seed in range(config.seed, config.seed + seeds):
        for fold in range(max(folds, 1)):
            parts = [f"seed-{seed}"] if seeds > 1 else []
            parts += [f"fold-{fold}"] if folds else []
            name = "-".join(parts)
            changed = {"seed": seed, "split_seed": split_seed, "out": config.out / name}
            changed |= {"folds": folds, "fold": fold} if folds else {}
            repeats.append(Repeat(name, config.model_copy(update=changed)))
    return tuple(repeats)


def fit_repeats(
    config: TrainingConfig, *, folds: int = 0, seeds: int = 1, resume: bool = False
) -> Iterator[Event]:
    """Train run after run, yielding their events with "run", then join their figures.

    ``metrics.json`` beside the runs' folders holds each figure's mean over runs with
    its 95 % interval. Resuming leaves out what is finished and goes on with the rest.

    Raises
    ------
    RunFolderError
        If the folder holds runs already and ``resume`` is False.
    """
    repeats = plan_repeats(config, folds=folds, seeds=seeds)
    begun = [one for one in repeats if (one.config.out / "config.yaml").exists()]
    if begun and not resume:
        raise RunFolderError(
            f"{begun[0].config.out} holds a run already. Resume all with --resume, or"
            " choose another folder."
        )
    _write_plan(config, folds, seeds)
    for repeat in repeats:
        if _is_finished(repeat):
            continue
        for event in fit(repeat.config, resume=repeat in begun):
            yield {"run": repeat.name, **event}
    yield {"event": "joined", **_join(config.out, repeats)}


def _write_plan(config: TrainingConfig, folds: int, seeds: int) -> None:
    """Keep what resuming needs, so that it need not be given again."""
    plan = {"folds": folds, "seeds": seeds, "settings": config.model_dump(mode="json")}
    try:
        config.out.mkdir(parents=True, exist_ok=True)
        partial = config.out / ".plan.partial"
        partial.write_text(yaml.safe_dump(plan, sort_keys=False), encoding="utf-8")
        partial.replace(config.out / PLAN)
    except OSError as error:
        raise RunFolderError(
            f"The folder {config.out} cannot be made: {error.strerror}."
        ) from error


def _is_finished(repeat: Repeat) -> bool:
    return (repeat.config.out / "metrics.json").exists()


def _join(folder: Path, repeats: tuple[Repeat, ...]) -> dict[str, Any]:
    """Write and return the joint figures."""
    reports = [read_report(one.config.out / "metrics.json") for one in repeats]
    joined = join_reports(reports) | {"names": [one.name for one in repeats]}
    partial = folder / ".metrics.partial"
    try:
        partial.write_text(json.dumps(joined, indent=1), encoding="utf-8")
        partial.replace(folder / "metrics.json")
    except OSError as error:
        raise RunFolderError(
            f"The joint figures cannot be written to {folder}: {error.strerror}."
        ) from error
    return joined
