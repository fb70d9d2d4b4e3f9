"""One search run: two stages, the genotype, and the trainings that judge it."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import torch

from napari_segmoe.errors import ModelOptionError, RunFolderError, TrainingError
from napari_segmoe.inference.devices import choose_device
from napari_segmoe.models.genotypes import Genotype, parse_genotype
from napari_segmoe.models.search_space import SearchSpace
from napari_segmoe.training.run_folder import RunFolder
from napari_segmoe.training.search.config import (
    SearchConfig,
    load_search_config,
    save_search_config,
)
from napari_segmoe.training.search.contest import (
    Contestant,
    build_contestant,
    contestant_names,
    count_parameters,
    genotype_of,
)
from napari_segmoe.training.search.images import SearchData, load_search_data
from napari_segmoe.training.search.plan import SearchPlan, make_plan
from napari_segmoe.training.search.report import make_report
from napari_segmoe.training.search.stage import (
    SearchStage,
    known_presets,
    search_shape,
)

Event = dict[str, Any]

GENOTYPE_FILE = "genotype.json"
REPORT_FILE = "search.json"
_EVENTS = "events.jsonl"
_STAGES = ("stage_1", "stage_2")
_ANY_TIME = {"out", "threads", "device"}


class Phase(Protocol):
    """A part of a run that can be stopped between epochs."""

    epochs: int

    def run_epoch(self, epoch: int) -> dict[str, Any]:
        """Train one epoch and return its figures."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed phase needs."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take what `state_dict` gave."""
        ...


def search(config: SearchConfig, *, resume: bool = False) -> Iterator[Event]:
    """Search, train what was found beside random genotypes, and yield events.

    Events: start, plan, epoch (of each phase), genotype, trained, done; the last
    holds the report that is written to search.json. All but times is a function of
    configuration and plan, so a resumed run follows the curve of one that never
    stopped, from the last finished epoch.

    Raises
    ------
    DataFolderError
        If a folder is missing, empty or cannot be divided.
    RunFolderError
        If the folder holds another run, or nothing to resume.
    ModelOptionError
        If sizes do not fit each other.
    TrainingError
        If a loss is not finite, or the run folder cannot be written.
    """
    start = time.perf_counter()
    check_sizes(config)
    if config.threads:
        torch.set_num_threads(config.threads)
    device = choose_device(config.device)
    if resume:
        _check_same(config)
    else:
        _check_free(config)
    data = load_search_data(config)
    folder = RunFolder(Path(config.out)) if resume else _create_folder(config)
    run = _SearchRun(config, folder, data, device, start=start)
    if resume:
        run.restore()
    torch.set_flush_denormal(True)  # denormal activations halve the speed on CPUs
    try:
        for event in run.events():
            folder.log(event)
            run.save_if_due(event)
            yield event
    except OSError as error:
        raise TrainingError(
            f"The run folder {config.out} cannot be written: {error.strerror}."
            " Free space or choose another folder, then resume."
        ) from error
    finally:
        torch.set_flush_denormal(False)


def check_sizes(config: SearchConfig) -> None:
    """Refuse sizes that no network of the search could take.

    Raises
    ------
    ModelOptionError
        If preset, layers, width or image size do not fit.
    """
    if config.model not in known_presets():
        raise ModelOptionError(
            f"There is no search for {config.model!r}; expected one of"
            f" {', '.join(known_presets())}."
        )
    for number in (1, 2):
        stride = search_shape(config, number).stride
        if config.input_px % stride:
            raise ModelOptionError(
                f"input_px is {config.input_px}; {config.model} with {config.layers}"
                f" layers needs a multiple of {stride}."
            )


class _SearchRun:
    """The state of one search run."""

    def __init__(
        self,
        config: SearchConfig,
        folder: RunFolder,
        data: SearchData,
        device: torch.device,
        *,
        start: float,
    ) -> None:
        self.config, self.folder, self.data = config, folder, data
        self.device, self.start = device, start
        self.phases = (*_STAGES, *contestant_names(config))
        self.plan: SearchPlan | None = None
        self.phase_number, self.epoch = 0, 0
        self.phase: Phase | None = None
        self.phase_s = 0.0
        self.spent_s = 0.0
        self.space = SearchSpace()
        self.genotype: Genotype | None = None
        self.rows: list[dict[str, Any]] = []
        self._stored: dict[str, Any] | None = None

    def restore(self) -> None:
        """Continue from the state of the last finished epoch, if there is one."""
        state = self.folder.load_state()
        path = self.folder.path / _EVENTS
        if path.is_file():
            os.truncate(path, 0 if state is None else state["events_bytes"])
        if state is None:
            return
        self.plan = SearchPlan(**state["plan"])
        self.phase_number, self.epoch = state["phase_number"], state["epoch"]
        self.phase_s, self.spent_s = state["phase_s"], state["spent_s"]
        self.space = SearchSpace.model_validate_json(state["space"])
        if state["genotype"]:
            self.genotype = parse_genotype(state["genotype"])
        self.rows = json.loads(state["rows"])
        self._stored = state["phase"]

    def events(self) -> Iterator[Event]:
        """Yield the events of all that remains."""
        if self.plan is None:
            yield self._started()
            self.plan = make_plan(
                self.config, self.data, self.device, spent_s=self._spent()
            )
            yield {"event": "plan", **self.plan.to_dict()}
        while self.phase_number < len(self.phases):
            yield from self._run_phase()
        yield self._done()

    def save_if_due(self, event: Event) -> None:
        """Write the state after what cannot be told again without it."""
        if event["event"] not in {"plan", "epoch", "genotype", "trained"}:
            return
        assert self.plan is not None
        self.folder.save_state(
            {
                "plan": self.plan.to_dict(),
                "phase_number": self.phase_number,
                "epoch": self.epoch,
                "phase": None if self.phase is None else self.phase.state_dict(),
                "phase_s": self.phase_s,
                "spent_s": self._spent(),
                "space": self.space.model_dump_json(),
                "genotype": "" if self.genotype is None else self.genotype.to_json(),
                "rows": json.dumps(self.rows),
                "events_bytes": (self.folder.path / _EVENTS).stat().st_size,
            }
        )

    def _started(self) -> Event:
        return {
            "event": "start",
            "phases": list(self.phases),
            "data": self.data.sizes(),
            "device": str(self.device),
            "notes": list(self.data.notes),
        }

    def _run_phase(self) -> Iterator[Event]:
        """Run the epochs that remain of one phase, then take what it gave."""
        name = self.phases[self.phase_number]
        self.phase = phase = self._make_phase(name)
        if self._stored is not None:
            phase.load_state_dict(self._stored)
            self._stored = None
        while self.epoch < phase.epochs:
            start = time.perf_counter()
            figures = phase.run_epoch(self.epoch)
            self.phase_s += time.perf_counter() - start
            event = {
                "event": "epoch",
                "phase": name,
                "epoch": self.epoch,
                "epochs": phase.epochs,
                **figures,
            }
            self.epoch += 1
            yield event
        yield self._finish(name, phase)

    def _make_phase(self, name: str) -> Phase:
        assert self.plan is not None
        if name in _STAGES:
            number = _STAGES.index(name) + 1
            return SearchStage(
                self.config,
                self.data,
                number=number,
                space=self.space,
                epochs=self.plan.first if number == 1 else self.plan.second,
                device=self.device,
            )
        assert self.genotype is not None
        genotype = genotype_of(name, self.config, self.genotype)
        network = build_contestant(
            genotype,
            self.config,
            parameters=self.rows[0]["parameters"] if self.rows else 0,
        )
        return Contestant(
            name,
            network,
            config=self.config,
            data=self.data,
            epochs=self.plan.train,
            device=self.device,
        )

    def _finish(self, name: str, phase: Phase) -> Event:
        """Take what a phase gave, and go on to the next."""
        event: Event
        if isinstance(phase, SearchStage):
            event = {"event": "genotype", "phase": name, **self._take_stage(phase)}
        else:
            assert isinstance(phase, Contestant)
            event = {"event": "trained", **self._take_row(phase)}
        self.phase_number += 1
        self.epoch, self.phase, self.phase_s = 0, None, 0.0
        return event

    def _take_stage(self, stage: SearchStage) -> dict[str, Any]:
        genotype = stage.genotype(
            entropies=tuple(stage.entropies), search=self._describe_search(stage)
        )
        self.space = stage.next_space()
        self.genotype = genotype
        _write(self.folder.path / GENOTYPE_FILE, genotype.to_json())
        return {"genotype": _cells(genotype), "seconds": self.phase_s}

    def _take_row(self, contestant: Contestant) -> dict[str, Any]:
        assert self.genotype is not None
        genotype = genotype_of(contestant.name, self.config, self.genotype)
        row = {
            "name": contestant.name,
            "parameters": count_parameters(contestant.network),
            "steps": contestant.epochs * self.config.steps_per_epoch,
            "seconds": self.phase_s,
            "genotype": None if genotype is None else _cells(genotype),
            "scores": contestant.score(self.data.held_out),
        }
        self.rows.append(row)
        return {key: row[key] for key in ("name", "parameters", "steps", "seconds")}

    def _describe_search(self, stage: SearchStage) -> dict[str, Any]:
        hidden = {"data", "out", "threads", "device"}
        return {
            "stage": stage.number,
            "epochs": stage.epochs,
            "settings": self.config.model_dump(mode="json", exclude=hidden),
            "data": self.data.sizes(),
        }

    def _done(self) -> Event:
        assert self.plan is not None
        assert self.genotype is not None
        hidden = {"data", "out"}
        report = {
            "settings": self.config.model_dump(mode="json", exclude=hidden),
            "plan": self.plan.to_dict(),
            "data": self.data.sizes(),
            "genotype": _cells(self.genotype),
            **make_report(self.rows, self.data.held_out),
            "seconds": self._spent(),
        }
        _write(self.folder.path / REPORT_FILE, json.dumps(report, indent=1) + "\n")
        return {"event": "done", **report}

    def _spent(self) -> float:
        return self.spent_s + time.perf_counter() - self.start


def _cells(genotype: Genotype) -> dict[str, Any]:
    kinds = {"name", "down", "normal", "up"}
    return genotype.model_dump(mode="json", include=kinds)


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _check_free(config: SearchConfig) -> None:
    if (Path(config.out) / "config.yaml").exists():
        raise RunFolderError(
            f"{config.out} holds a run already. Resume it with --resume, or choose"
            " another folder."
        )


def _create_folder(config: SearchConfig) -> RunFolder:
    path = Path(config.out)
    try:
        path.mkdir(parents=True, exist_ok=True)
        save_search_config(config, path / "config.yaml")
    except OSError as error:
        raise RunFolderError(
            f"The run folder {path} cannot be made: {error.strerror}."
        ) from error
    return RunFolder(path)


def _check_same(config: SearchConfig) -> None:
    stored = Path(config.out) / "config.yaml"
    if not stored.is_file():
        raise RunFolderError(
            f"{config.out} holds no search to resume. Start without --resume."
        )
    was, wanted = load_search_config(stored).model_dump(), config.model_dump()
    changed = sorted(
        name for name in was if name not in _ANY_TIME and was[name] != wanted[name]
    )
    if changed:
        raise RunFolderError(
            f"{config.out} was started with other values of {', '.join(changed)}. Use"
            " the same, or another folder."
        )
