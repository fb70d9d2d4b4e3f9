"""`segmoe segment`: masks, classes and overlays of image files."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_segmoe.cli import console, options
from napari_segmoe.cli.answers import describe_prediction, write_answer
from napari_segmoe.errors import ConfigError, PromptError, SegmoeError
from napari_segmoe.types import Box, Click, Modality


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of each image."""

    clicks: tuple[Click, ...]
    box: Box | None
    modality: Modality
    spacing_um: float | None

    def __bool__(self) -> bool:
        """Whether there is any prompt."""
        return bool(self.clicks) or self.box is not None


def segment(  # noqa: PLR0913, PLR0917  (the options are its arguments)
    images: Annotated[list[Path], typer.Argument(help="Image files.")],
    out: Annotated[Path, typer.Option(help="Folder for masks, JSON and overlays.")],
    weights: options.Weights = options.DEFAULT_WEIGHTS,
    click: options.Clicks = None,
    negative: options.NegativeClicks = None,
    box: options.BoxWords = None,
    modality: options.ImageModality = Modality.UNKNOWN,
    spacing_um: Annotated[
        float | None, typer.Option(min=1e-6, help="Pixel size in micrometres.")
    ] = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    as_json: options.AsJson = False,
) -> None:
    """Mark the clicked object, or without a click everything in each image."""
    positives = [options.read_click(words, positive=True) for words in click or ()]
    negatives = [options.read_click(words, positive=False) for words in negative or ()]
    request = Request(
        (*positives, *negatives), options.read_box(box), modality, spacing_um
    )
    _check_request(images, request)
    predictor = options.open_predictor(weights, device=device, threads=threads)
    answers, failures = _segment_all(predictor, images, request, out=out)
    if as_json:
        console.show_json(answers[0] if len(images) == 1 and answers else answers)
    elif answers:
        console.show_text(f"{len(answers)} of {len(images)} images written to {out}.")
    if failures:
        raise failures[-1]


def _check_request(images: Sequence[Path], request: Request) -> None:
    if request and len(images) > 1:
        raise PromptError(
            f"Clicks and boxes belong to one image, but {len(images)} were given. "
            "Run the command once for each image."
        )
    stem, count = Counter(path.stem for path in images).most_common(1)[0]
    if count > 1:
        raise ConfigError(
            f"{count} images are called {stem!r} and would overwrite each other. "
            "Give them other --out folders."
        )


def _segment_all(
    predictor: Any, images: Sequence[Path], request: Request, *, out: Path
) -> tuple[list[dict[str, Any]], list[SegmoeError]]:
    """Answer each image; a bad one is said and does not stop the others."""
    answers: list[dict[str, Any]] = []
    failures: list[SegmoeError] = []
    with console.make_progress() as progress:
        for path in progress.track(images, description="Segmenting"):
            try:
                answers.append(_segment_one(predictor, path, request, out=out))
            except SegmoeError as error:
                if failures:
                    console.show_note(str(failures[-1]))
                failures.append(error)
    return answers, failures


def _segment_one(
    predictor: Any, path: Path, request: Request, *, out: Path
) -> dict[str, Any]:
    from napari_segmoe.data.images import read_image

    image = read_image(path)
    if request.spacing_um is not None:
        image = replace(image, spacing_um=(request.spacing_um, request.spacing_um))
    if image.modality is Modality.UNKNOWN:
        image = replace(image, modality=request.modality)
    options.check_clicks(request.clicks, *image.pixels.shape[:2])
    predictor.set_image(image.pixels, image.spacing_um, modality=image.modality)
    prediction = predictor.predict(request.clicks, box=request.box)
    description = describe_prediction(path.name, prediction, predictor.card, image)
    description["clicks"] = [[c.y, c.x, c.positive] for c in request.clicks]
    write_answer(
        out,
        path.stem,
        image=image,
        prediction=prediction,
        description=description,
        card=predictor.card,
        clicks=request.clicks,
    )
    return description
