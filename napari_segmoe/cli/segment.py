"""`segmoe segment`: masks, classes and overlays of images and parts of slides."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from napari_segmoe.cli import console, options
from napari_segmoe.cli.answers import write_answer
from napari_segmoe.cli.requests import Request, read_request
from napari_segmoe.cli.scenes import Scene, open_scene
from napari_segmoe.errors import (
    ConfigError,
    PromptError,
    RegionTooLargeError,
    SegmoeError,
)
from napari_segmoe.types import Modality, Prediction

_SHARE = 0.8  # of the free memory


def segment(  # noqa: PLR0913, PLR0917  (the options are its arguments)
    images: Annotated[list[Path], typer.Argument(help="Images or slides.")],
    out: Annotated[Path, typer.Option(help="Folder for masks, JSON and overlays.")],
    weights: options.Weights = options.DEFAULT_WEIGHTS,
    click: options.Clicks = None,
    negative: options.NegativeClicks = None,
    box: options.BoxWords = None,
    region: options.RegionWords = None,
    modality: options.ImageModality = Modality.UNKNOWN,
    spacing_um: options.SpacingUm = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    as_json: options.AsJson = False,
) -> None:
    """Mark the clicked object, or without a click everything in each image."""
    request = read_request(
        click,
        negative,
        box=box,
        region=region,
        modality=modality,
        spacing_um=spacing_um,
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
    if (request or request.region) and len(images) > 1:
        raise PromptError(
            f"Clicks, boxes and regions belong to one image, but {len(images)} were "
            "given. Run the command once for each image."
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
                scene = open_scene(path, request, predictor.card)
                answers.append(
                    _segment_one(predictor, scene, request, out=out, progress=progress)
                )
            except SegmoeError as error:
                if failures:
                    console.show_note(str(failures[-1]))
                failures.append(error)
    return answers, failures


def _segment_one(
    predictor: Any, scene: Scene, request: Request, *, out: Path, progress: Progress
) -> dict[str, Any]:
    scene.show_to(predictor)
    if request or scene.region is None:
        prediction: Prediction = predictor.predict(scene.clicks, box=scene.box)
    else:
        _check_memory(predictor, scene)
        prediction = console.follow(
            predictor.predict_steps(), scene.name, progress=progress
        )
    description = scene.describe(prediction, predictor.card, request.clicks)
    write_answer(
        out,
        Path(scene.name).stem,
        image=scene.image,
        prediction=prediction,
        description=description,
        card=predictor.card,
        clicks=scene.clicks,
    )
    return description


def _check_memory(predictor: Any, scene: Scene) -> None:
    """Refuse a part of a slide whose answer does not fit into memory."""
    import psutil

    needed, free = predictor.estimate().memory_bytes, psutil.virtual_memory().available
    if needed > _SHARE * free:
        height, width = scene.pixels.shape[:2]
        raise RegionTooLargeError(
            f"{scene.name} at {height}x{width} px needs {needed / 2**30:.1f} GB of "
            f"memory, and {free / 2**30:.1f} GB are free. Give a part of it with "
            "--region Y0,X0,Y1,X1, in full-resolution pixels."
        )
