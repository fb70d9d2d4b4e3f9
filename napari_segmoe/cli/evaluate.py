"""`segmoe evaluate`: score the automatic mode of weights on a data folder."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_segmoe.cli import console, options
from napari_segmoe.cli.report_tables import hand_out, hand_out_comparison

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_segmoe.data.folder import DataFolder
    from napari_segmoe.training.evaluation import Evaluation
    from napari_segmoe.training.evaluation_report import EvaluationOptions

PerImage = Annotated[
    bool, typer.Option(help="Add the scores of each image to the report.")
]
Against = Annotated[
    str | None,
    typer.Option(help="Other weights: both are scored, and compared image by image."),
]
BestThresholdFrom = Annotated[
    str | None,
    typer.Option(
        metavar="SPLIT",
        help="Choose the mask threshold on these images, none of which is scored;"
        " validation: those that the weights were validated on. Default: 0.5.",
    ),
]
Routing = Annotated[
    bool, typer.Option(help="Ask networks with experts for masks without each.")
]
Resamples = Annotated[int, typer.Option(min=1, help="Draws for the 95 % intervals.")]
ProgressLines = Annotated[
    bool,
    typer.Option("--progress-lines", help="Say each image on stderr, for programs."),
]


def evaluate(  # noqa: PLR0913, PLR0917  (the options are its arguments)
    data: options.Data,
    weights: options.Weights = options.DEFAULT_WEIGHTS,
    split: options.Split = "test",
    out: options.ReportFile = None,
    against: Against = None,
    best_threshold_from: BestThresholdFrom = None,
    per_image: PerImage = False,
    routing: Routing = True,
    limit: options.Limit = None,
    resamples: Resamples = 1000,
    device: options.Device = "auto",
    threads: options.Threads = None,
    seed: options.Seed = 0,
    progress_lines: ProgressLines = False,
    as_json: options.AsJson = False,
) -> None:
    """Score the automatic mode: masks, objects, routing and image classes."""
    from napari_segmoe.data.folder import read_data_folder
    from napari_segmoe.training.comparison import compare_evaluations
    from napari_segmoe.training.evaluation_report import EvaluationOptions

    asked = EvaluationOptions(
        limit=limit,
        per_image=per_image,
        routing=routing,
        resamples=resamples,
        seed=seed,
    )
    predictors = [
        options.open_predictor(name, device=device, threads=threads)
        for name in (weights, against)
        if name is not None
    ]
    folder = read_data_folder(data)
    follow = _follow_in_lines if progress_lines else console.follow
    found = [
        _score(one, folder, split, asked, best_threshold_from, follow)
        for one in predictors
    ]
    if against is None:
        title = f"{weights} on {split}, automatic mode"
        hand_out(found[0].report, out, as_json, title=title)
        return
    title = f"{weights} against {against} on {split}: weights less those against"
    report = compare_evaluations(found[0], found[1], asked.bootstrap)
    hand_out_comparison(report, out, as_json, title=title)


def _follow_in_lines(job: Any, _: str) -> Any:
    return console.follow_in_lines(job)


def _score(
    predictor: Any,
    folder: "DataFolder",
    split: str,
    asked: "EvaluationOptions",
    source: str | None,
    follow: "Callable[..., Any]",
) -> "Evaluation":
    """Choose a threshold where one is asked for, and score."""
    from dataclasses import replace

    from napari_segmoe.training.cases import choose_items
    from napari_segmoe.training.evaluation import score_folder
    from napari_segmoe.training.threshold_choice import (
        choose_threshold,
        choosing_items,
    )

    if source is None:
        return follow(score_folder(predictor, folder, split, asked), "Evaluating")
    scored = choose_items(folder, split)[1]
    items = choosing_items(folder, predictor.card, source, scored)
    job = choose_threshold(predictor, folder, items)
    choice = follow(job, "Choosing the threshold")
    asked = replace(asked, threshold=choice["threshold"])
    found = follow(score_folder(predictor, folder, split, asked), "Evaluating")
    found.report["threshold_from"] = {"split": source, **choice}
    return found
