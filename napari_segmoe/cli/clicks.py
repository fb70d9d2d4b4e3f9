"""`segmoe clicks`: score the interactive mode of weights on a data folder."""

from typing import Annotated

import typer

from napari_segmoe.cli import console, options
from napari_segmoe.cli.report_tables import hand_out


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
    hand_out(report, out, as_json, title=f"{weights} on {split}, {clicker} clicks")
