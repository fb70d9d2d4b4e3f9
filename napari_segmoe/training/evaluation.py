"""Score the automatic mode on a data folder: masks, objects and image classes.

Figures are without test-time augmentation and at the fixed threshold 0.5, or at one
chosen on other images (`threshold_choice`). Mask scores are means over images that
have an object; images without one are reported apart (`normal_images_marked`), since
an empty answer there scores a trivial 1. Pooled scores take all images as one.

What else a kind of weights or data has to say (routing, several classes in a mask) is
a `MoreScores`; `more_scores` lists those of a predictor and a folder.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from napari_segmoe.data.folder import DataFolder, DataItem
from napari_segmoe.training.bootstrap import BootstrapOptions
from napari_segmoe.training.cases import (
    Case,
    ScoredPredictor,
    ScoringProgress,
    choose_items,
    count_leaky_groups,
    describe_split,
    read_case,
    shared_classes,
)
from napari_segmoe.training.evaluation_report import EvaluationOptions, summarise
from napari_segmoe.training.image_scores import (
    ImageScores,
    ask_for_everything,
    score_answer,
)
from napari_segmoe.training.routing_scores import RoutingScores
from napari_segmoe.training.semantic_scores import SemanticScores
from napari_segmoe.training.threshold_choice import with_settings
from napari_segmoe.training.unseen_groups import unseen_groups
from napari_segmoe.types import Prediction


class MoreScores(Protocol):
    """Figures beside the usual ones, gathered image by image."""

    @property
    def key(self) -> str:
        """Where the figures stand in the report."""
        ...

    def add(
        self, predictor: ScoredPredictor, case: Case, prediction: Prediction
    ) -> None:
        """Take one image, which the predictor still has, and its answer."""
        ...

    def report(self, options: BootstrapOptions) -> Any:
        """Return the figures, ready for JSON; None leaves them out."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Scores of a folder's images, and the report that they make."""

    folder: DataFolder
    items: tuple[DataItem, ...]
    scores: tuple[ImageScores, ...]
    report: dict[str, Any]


def evaluate_folder(
    predictor: ScoredPredictor,
    folder: DataFolder | Path | str,
    split: str = "test",
    *,
    options: EvaluationOptions | None = None,
    **changes: Any,
) -> Generator[ScoringProgress, None, dict[str, Any]]:
    """Score a predictor's automatic mode on one split of a data folder.

    Parameters
    ----------
    predictor : ScoredPredictor
        The network to score.
    folder : DataFolder or path
        The data.
    split : str
        Names separated by commas.
    options : EvaluationOptions, optional
        How to score.
    **changes
        Single options, such as ``limit=10``.

    Yields
    ------
    ScoringProgress
        After each image.

    Returns
    -------
    dict
        The report, ready for JSON; see `summarise`.

    Raises
    ------
    DataFolderError
        If the folder is unusable or an image has no mask.
    """
    options = replace(options or EvaluationOptions(), **changes)
    found = yield from score_folder(predictor, folder, split, options)
    return found.report


def score_folder(
    predictor: ScoredPredictor,
    folder: DataFolder | Path | str,
    split: str,
    options: EvaluationOptions,
) -> Generator[ScoringProgress, None, Evaluation]:
    """Do what `evaluate_folder` does, and keep the scores of single images."""
    folder, items = choose_items(folder, split, limit=options.limit)
    if predictor.card.mask_threshold != options.threshold:
        predictor = with_settings(predictor, mask_threshold=options.threshold)
    more = more_scores(predictor, folder, len(items), options)
    meaning = shared_classes(folder, predictor.card)
    scores = []
    for done, item in enumerate(items, start=1):
        case = read_case(item, folder.mask_kind, meaning)
        prediction = ask_for_everything(predictor, case)
        scores.append(
            score_answer(prediction, case, predictor.card, threshold=options.threshold)
        )
        for one in more:
            one.add(predictor, case, prediction)
        yield ScoringProgress(done, len(items), item.name)
    card = predictor.card  # without an image head, images get their objects' mean
    classes = tuple(card.classes or card.object_classes)
    unseen = unseen_groups(folder, items, card)
    report = summarise(scores, classes, options=options, unseen=unseen)
    for one in more:
        figures = one.report(options.bootstrap)
        report |= {} if figures is None else {one.key: figures}
    leaky = count_leaky_groups(folder, items)
    report |= describe_split(folder, split) | {"weights": card.name}
    report |= {"leaky_groups": leaky} if leaky else {}
    rows = [score.as_row() for score in scores]
    report |= {"images": rows} if options.per_image else {}
    return Evaluation(folder, items, tuple(scores), report)


def more_scores(
    predictor: ScoredPredictor,
    folder: DataFolder,
    count: int,
    options: EvaluationOptions,
) -> list[MoreScores]:
    """Return what a predictor and a folder have to say beside the usual figures.

    Parameters
    ----------
    predictor : ScoredPredictor
        Its card and network.
    folder : DataFolder
        Its kind of masks.
    count : int
        Number of images that will be scored.
    options : EvaluationOptions
        What is wanted.
    """
    found: list[MoreScores] = []
    if options.routing:
        found += RoutingScores.of(predictor, count)
    return found + SemanticScores.of(predictor.card, folder)
