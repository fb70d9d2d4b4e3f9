"""`segmoe evaluate` and `segmoe clicks`: score weights on a data folder."""

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_segmoe.cli import console, options
from napari_segmoe.cli.files import write_report


def evaluate(  # noqa: PLR0913, PLR0917  (the options are its arguments)
    data: options.Data,
    weights: options.Weights = options.DEFAULT_WEIGHTS,
    split: options.Split = "test",
    out: options.ReportFile = None,
    per_image: Annotated[
        bool, typer.Option(help="Add the scores of each image to the report.")
    ] = False,
    limit: options.Limit = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    seed: options.Seed = 0,
    as_json: options.AsJson = False,
) -> None:
    """Score the automatic mode: masks, objects and image classes."""
    from napari_segmoe.training.evaluation import evaluate_folder

    predictor = options.open_predictor(weights, device=device, threads=threads)
    job = evaluate_folder(
        predictor, data, split, limit=limit, per_image=per_image, seed=seed
    )
    report = console.follow(job, "Evaluating")
    _hand_out(report, out, as_json, title=f"{weights} on {split}, automatic mode")


def clicks(  # noqa: PLR0913, PLR0917  (the options are its arguments)
    data: options.Data,
    weights: options.Weights = options.DEFAULT_WEIGHTS,
    split: options.Split = "test",
    out: options.ReportFile = None,
    clicker: Annotated[
        str, typer.Option(help="deterministic, noisy or border.")
    ] = "deterministic",
    max_clicks: Annotated[int, typer.Option(min=1, help="Clicks for an object.")] = 20,
    limit: options.Limit = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    seed: options.Seed = 0,
    as_json: options.AsJson = False,
) -> None:
    """Score the interactive mode with simulated clicks."""
    from napari_segmoe.errors import ConfigError
    from napari_segmoe.training.click_evaluation import (
        Clicker,
        ClickOptions,
        evaluate_clicks,
    )

    if clicker not in list(Clicker):
        raise ConfigError(f"No clicker {clicker!r}; use one of: {', '.join(Clicker)}.")
    predictor = options.open_predictor(weights, device=device, threads=threads)
    asked = ClickOptions(Clicker(clicker), max_clicks, limit=limit, seed=seed)
    job = evaluate_clicks(predictor, data, split, options=asked)
    report = console.follow(job, "Clicking")
    _hand_out(report, out, as_json, title=f"{weights} on {split}, {clicker} clicks")


def _hand_out(
    report: dict[str, Any], out: Path | None, as_json: bool, *, title: str
) -> None:
    if out is not None:
        write_report(out, report)
    if as_json:
        console.show_json(report)
        return
    shown = {key: value for key, value in report.items() if key != "images"}
    console.show_table(title, ("figure", "value"), _flatten(shown))


def _flatten(report: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows = []
    for key, value in report.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and set(value) == {"mean", "low", "high"}:
            rows.append((name, _interval(value)))
        elif isinstance(value, dict):
            rows.extend(_flatten(value, f"{name}."))
        else:
            rows.append(
                (name, f"{value:.4g}" if isinstance(value, float) else str(value))
            )
    return rows


def _interval(value: dict[str, float | None]) -> str:
    if value["mean"] is None:
        return "-"
    return f"{value['mean']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
