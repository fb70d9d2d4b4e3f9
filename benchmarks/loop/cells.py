"""What is measured, cell by cell: one project, one or more rounds, its figures.

A cell that is done lies in a JSON file of its own; what was cut off begins anew.
"""

import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from loop.material import Division, GlasMaterial, StuMaterial
from loop.naive import NaiveSettings, tune_naively
from loop.rounds import RoundPlan, run_one
from loop.scoring import BaseScores, Scores, mean, score
from loop.users import (
    Correction,
    Mistake,
    correct,
    fill_project,
    record_correction,
)
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.inference.predictor import SegmentationPredictor, load_predictor
from napari_segmoe.project.store import ProjectStore

GLAS, STU = "glas", "stu"
BASES = {GLAS: "glands", STU: "breast_ultrasound"}
CLASSES = {GLAS: ("benign", "malignant"), STU: ()}
COUNTS = {GLAS: (10, 20, 40), STU: (8, 16)}
GOOD = 20


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing to measure.

    Attributes
    ----------
    data : str
        "glas" or "stu".
    arm : str
        See `ARMS`.
    count : int
        Corrected objects; in "rounds" those of the last round.
    seed : int
        Of images, users and training.
    """

    data: str
    arm: str
    count: int
    seed: int

    @property
    def name(self) -> str:
        """Its name, which is that of its file."""
        return f"{self.data}-{self.arm}-{self.count}-{self.seed}"


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """What all cells share.

    Attributes
    ----------
    out : Path
        Work folder.
    glas, stu : materials
    plan : mapping of str to RoundPlan
        How a round is run on each data set.
    base_data : mapping of str to Path
        Data of the base weights, for the arm that has them.
    """

    out: Path
    glas: GlasMaterial
    stu: StuMaterial
    plan: Mapping[str, RoundPlan]
    base_data: Mapping[str, Path]

    def divide(self, cell: Cell) -> Division:
        """Return the images of a cell."""
        return (self.glas if cell.data == GLAS else self.stu).divide(cell.seed)

    def folder(self, cell: Cell) -> Path:
        """Return where its project lies."""
        return self.out / "projects" / cell.name

    def result(self, cell: Cell) -> Path:
        """Return its file."""
        return self.out / "cells" / f"{cell.name}.json"

    def base_scores(self, cell: Cell, division: Division) -> tuple[Scores, Scores]:
        """Return what the shipped weights score: held out, and old domain."""
        predictor = load_predictor(BASES[cell.data], device="cpu")
        known = BaseScores(self.out / f"base-{cell.data}.json", predictor)
        return (
            known.of("new", division.held_out),
            known.of("old", division.old),
        )


def all_cells(seeds: int) -> Iterator[Cell]:
    """Give all cells, the promises first, so that a run that is cut can be told of."""
    few, many = COUNTS[STU]
    least, _, most = COUNTS[GLAS]
    guarded = ("good", Mistake.INVERTED, Mistake.SHIFTED, Mistake.SWAPPED)
    tiers: Sequence[Sequence[tuple[str, str, int]]] = (
        [(GLAS, str(arm), GOOD) for arm in guarded],
        [(GLAS, "naive", GOOD), (STU, "good", many)],
        [(GLAS, "pseudo", GOOD), (STU, "good", few)],
        [(GLAS, "rounds", most), (GLAS, "with_data", GOOD)],
        [(GLAS, "naive", least), (GLAS, "naive", most)],
    )
    for tier in tiers:
        for seed in range(seeds):
            yield from (Cell(*one, seed) for one in tier)


def run_cell(cell: Cell, bench: Bench) -> dict[str, Any]:
    """Measure a cell, or read what was found before."""
    place = bench.result(cell)
    if place.is_file():
        return json.loads(place.read_text(encoding="utf-8"))
    shutil.rmtree(bench.folder(cell), ignore_errors=True)
    began, used = time.perf_counter(), time.process_time()
    found = {
        "data": cell.data,
        "arm": cell.arm,
        "count": cell.count,
        "seed": cell.seed,
        **ARMS[cell.arm](cell, bench),
    }
    found["seconds"] = round(time.perf_counter() - began, 1)
    found["core_seconds"] = round(time.process_time() - used, 1)
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_suffix(".partial")
    partial.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    partial.replace(place)
    shutil.rmtree(bench.folder(cell), ignore_errors=True)
    return found


def run_once(cell: Cell, bench: Bench) -> dict[str, Any]:
    """Correct, learn once, score what was published or would have been."""
    division = bench.divide(cell)
    plan = _plan(cell, bench)
    corrections = _corrections(cell, division, cell.count, has_clicks=True)
    project = _make_project(cell, bench, division)
    _record(project, corrections, already=0)
    return {"rounds": [_round(cell, bench, division, project, corrections, plan)]}


def run_poisoned(cell: Cell, bench: Bench) -> dict[str, Any]:
    """Correct wrongly and see what the guard decides; nothing is scored on tests."""
    division = bench.divide(cell)
    corrections = _corrections(cell, division, cell.count, mistake=Mistake(cell.arm))
    project = _make_project(cell, bench, division)
    _record(project, corrections, already=0)
    outcome = run_one(project, _plan(cell, bench), seed=cell.seed)
    return {"rounds": [_describe(outcome.told, corrections, cell.count)]}


def run_rounds(cell: Cell, bench: Bench) -> dict[str, Any]:
    """Correct more and more of one project; each round starts where the last ended."""
    division = bench.divide(cell)
    corrections = _corrections(cell, division, cell.count, has_clicks=True)
    project = _make_project(cell, bench, division)
    rounds, already = [], 0
    for count in COUNTS[cell.data]:
        _record(project, corrections[:count], already=already)
        already = count
        plan = _plan(cell, bench)
        part = replace(cell, count=count)
        done = corrections[:count]
        rounds.append(_round(part, bench, division, project, done, plan))
    return {"rounds": rounds}


def run_naive(cell: Cell, bench: Bench) -> dict[str, Any]:
    """Fine-tune with unlabelled pixels as background, without replay or guard."""
    division = bench.divide(cell)
    corrections = _corrections(cell, division, cell.count, has_clicks=True)
    base = load_predictor(BASES[cell.data], device="cpu")
    plan = bench.plan[cell.data]
    settings = NaiveSettings(
        steps=plan.steps,
        batch_size=plan.batch_size,
        learning_rate=plan.learning_rate,
        encoder_rate_factor=plan.encoder_rate_factor,
        seed=cell.seed,
    )
    network = base.network
    tuned = tune_naively(
        network.model, network.card, division.corrected, corrections, settings
    )
    predictor = SegmentationPredictor(
        WindowNetwork(tuned, network.card, network.device)
    )
    told = _scored(cell, bench, division, predictor)
    told |= _describe({"published": True}, corrections, cell.count)
    return {"rounds": [told]}


ARMS: Mapping[str, Callable[[Cell, Bench], dict[str, Any]]] = {
    "good": run_once,
    "pseudo": run_once,
    "with_data": run_once,
    "rounds": run_rounds,
    "naive": run_naive,
    Mistake.INVERTED.value: run_poisoned,
    Mistake.SHIFTED.value: run_poisoned,
    Mistake.SWAPPED.value: run_poisoned,
}


def _plan(cell: Cell, bench: Bench) -> RoundPlan:
    plan = bench.plan[cell.data]
    if cell.arm == "pseudo":
        return replace(plan, pseudo_labels=True)
    if cell.arm == "with_data":
        return replace(plan, base_data=bench.base_data[cell.data])
    return plan


def _corrections(
    cell: Cell,
    division: Division,
    count: int,
    *,
    mistake: Mistake = Mistake.NONE,
    has_clicks: bool = False,
) -> list[Correction]:
    predictor = load_predictor(BASES[cell.data], device="cpu") if has_clicks else None
    return list(
        correct(
            division.corrected,
            count,
            cell.seed,
            predictor=predictor,
            mistake=mistake,
            has_classes=bool(CLASSES[cell.data]),
        )
    )


def _make_project(cell: Cell, bench: Bench, division: Division) -> Path:
    path = bench.folder(cell) / "study.segmoe"
    path.parent.mkdir(parents=True, exist_ok=True)
    with ProjectStore.create(path):
        pass
    with closing(sqlite3.connect(path / "project.db")) as connection, connection:
        connection.execute(  # the salt decides what is held out: same seed, same answer
            "UPDATE settings SET value = ? WHERE name = 'salt'", (f"{cell.seed:032x}",)
        )
    with ProjectStore.open(path) as store:
        fill_project(store, division.corrected, CLASSES[cell.data])
    return path


def _record(path: Path, corrections: Sequence[Correction], *, already: int) -> None:
    with ProjectStore.open(path) as store:
        records = store.images()
        for one in corrections[already:]:
            record_correction(store, records[one.place], one)


def _round(
    cell: Cell,
    bench: Bench,
    division: Division,
    project: Path,
    corrections: Sequence[Correction],
    plan: RoundPlan,
) -> dict[str, Any]:
    outcome = run_one(project, plan, seed=cell.seed)
    told = _describe(outcome.told, corrections, cell.count)
    if outcome.weights is not None:
        predictor = load_predictor(outcome.weights, device="cpu")
        return told | _scored(cell, bench, division, predictor)
    told |= _unchanged(cell, bench, division)
    if outcome.candidate is not None:  # what the guard kept from the user
        predictor = load_predictor(outcome.candidate, device="cpu")
        told["kept_back"] = _scored(cell, bench, division, predictor)
    return told


def _unchanged(cell: Cell, bench: Bench, division: Division) -> dict[str, Any]:
    """Return the figures of a project that still has the shipped weights."""
    new, old = (mean(one) for one in bench.base_scores(cell, division))
    return {"new_before": new, "new_after": new, "old_before": old, "old_after": old}


def _scored(
    cell: Cell, bench: Bench, division: Division, predictor: SegmentationPredictor
) -> dict[str, Any]:
    """Return Dice before and after: before is always that of the shipped weights."""
    new_base, old_base = bench.base_scores(cell, division)
    new, old = score(predictor, division.held_out), score(predictor, division.old)
    return {
        "new_before": mean(new_base),
        "new_after": mean(new),
        "old_before": mean(old_base),
        "old_after": mean(old),
        "images": {"new": new, "old": old},
    }


def _describe(
    told: Mapping[str, Any], corrections: Sequence[Correction], count: int
) -> dict[str, Any]:
    clicked = [one for one in corrections if one.clicks]
    return {
        "count": count,
        "objects": len(corrections),
        "corrected_images": len({one.place for one in corrections}),
        "accepted_after_clicks": len(clicked),
        **told,
    }
