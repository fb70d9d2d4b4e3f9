"""`segmoe bench`: the promised ratios, measured on this machine in one run."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from napari_segmoe.cli import console, options
from napari_segmoe.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measured figure and what was promised of it.

    Attributes
    ----------
    name : str
        What was measured.
    value : float or None
        None where it could not be measured; ``note`` says why.
    bound : float
        The promise.
    unit : str
        "ratio", "ms", "count" and so on.
    at_least : bool
        Whether the value must be at least ``bound``, not at most.
    note : str
        How it was measured.
    """

    name: str
    value: float | None
    bound: float
    unit: str
    at_least: bool = False
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether the promise is kept; False where nothing was measured."""
        if self.value is None:
            return False
        if self.at_least:
            return self.value >= self.bound
        return self.value <= self.bound

    def as_row(self) -> dict[str, object]:
        """Return the entry of `segmoe bench --json`."""
        return asdict(self) | {"holds": self.holds}


@dataclass(frozen=True, slots=True)
class SlideBenchOptions:
    """What `segmoe bench slide-view` was asked for.

    Attributes
    ----------
    slide : Path or None
        Slide to measure on; by default a made-up one of 100 000 x 80 000 pixels, kept
        in the cache folder.
    is_quick : bool
        Take a small slide and few rounds: for tests, not for figures.
    """

    slide: Path | None = None
    is_quick: bool = False


def bench(
    name: Annotated[
        str | None,
        typer.Argument(
            help="import, click, precision, networks, training, window, slide-view,"
            " region, project or finetune."
        ),
    ] = None,
    slide: Annotated[
        Path | None,
        typer.Option(
            help="slide-view, region: slide to measure on; by default a made-up one."
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Small images, few rounds: to try it, no figures.",
        ),
    ] = False,
    device: options.Device = "cpu",
    threads: options.Threads = None,
    as_json: options.AsJson = False,
) -> None:
    """Measure the promised ratios; ends with 0 even where one does not hold."""
    groups = _groups(device, threads, SlideBenchOptions(slide, quick))
    if name is not None and name not in groups:
        raise ConfigError(f"No benchmark {name!r}; use one of: {', '.join(groups)}.")
    chosen = groups if name is None else {name: groups[name]}
    if name == "slide-view":  # regions whole, so on a small slide of their own
        of_regions = _groups(device, threads, SlideBenchOptions(is_quick=quick))
        chosen["region"] = of_regions["region"]
    results: list[Measurement] = []
    with console.make_progress() as progress:
        for measure in progress.track(chosen.values(), description="Measuring"):
            results.extend(measure())
    if as_json:
        console.show_json([result.as_row() for result in results])
        return
    rows = [
        (
            result.name,
            "-" if result.value is None else f"{result.value:.3g} {result.unit}",
            f"{'>=' if result.at_least else '<='} {result.bound:g}",
            "yes" if result.holds else "NO",
            result.note,
        )
        for result in results
    ]
    console.show_table("segmoe bench", ("what", "value", "bound", "holds", "how"), rows)


def _groups(
    device: str, threads: int | None, options_of_slides: SlideBenchOptions
) -> dict[str, Callable[[], Iterable[Measurement]]]:
    return _of_networks(device, threads, options_of_slides.is_quick) | _of_windows(
        device, threads, options_of_slides
    )


def _of_networks(
    device: str, threads: int | None, is_quick: bool
) -> dict[str, Callable[[], Iterable[Measurement]]]:
    def measure_imports() -> Iterable[Measurement]:
        from napari_segmoe.cli.bench_import import measure_imports as measure

        return measure()

    def measure_click() -> Iterable[Measurement]:
        from napari_segmoe.cli.bench_click import measure_click as measure

        return measure(device, threads)

    def measure_precision() -> Iterable[Measurement]:
        from napari_segmoe.cli.bench_precision import measure_precision as measure

        return measure(device, threads)

    def measure_networks() -> Iterable[Measurement]:
        from napari_segmoe.cli.bench_networks import measure_networks as measure

        return measure(device, threads)

    def measure_training() -> Iterable[Measurement]:
        from napari_segmoe.cli.bench_training import measure_training as measure

        return measure(device, threads, is_quick=is_quick)

    return {
        "import": measure_imports,
        "click": measure_click,
        "precision": measure_precision,
        "networks": measure_networks,
        "training": measure_training,
    }


def _of_windows(
    device: str, threads: int | None, options_of_slides: SlideBenchOptions
) -> dict[str, Callable[[], Iterable[Measurement]]]:
    def measure_window() -> Iterable[Measurement]:
        from napari_segmoe.cli.bench_window import measure_window as measure

        return measure()

    def measure_slide_view() -> Iterable[Measurement]:
        from napari_segmoe.cli.bench_slide_view import measure_slide_view as measure

        return measure(device, threads, options_of_slides)

    def measure_region() -> Iterable[Measurement]:
        from napari_segmoe.cli.bench_region import measure_region as measure

        return measure(device, threads, options_of_slides)

    def measure_project() -> Iterable[Measurement]:
        from napari_segmoe.cli.bench_project import QUICK
        from napari_segmoe.cli.bench_project import measure_project as measure

        return measure(QUICK if options_of_slides.is_quick else None)

    def measure_finetune() -> Iterable[Measurement]:
        from napari_segmoe.cli.bench_finetune import measure_finetune as measure

        return measure()

    return {
        "window": measure_window,
        "slide-view": measure_slide_view,
        "region": measure_region,
        "project": measure_project,
        "finetune": measure_finetune,
    }
