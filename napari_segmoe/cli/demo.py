"""`segmoe demo`: the main job on a packaged sample, in a window or as files."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_segmoe.cli import console, options
from napari_segmoe.cli.answers import describe_prediction, write_answer
from napari_segmoe.cli.files import encode_png, write_files
from napari_segmoe.types import LoadedImage, Modality

_STEM = "phantom"
_SAMPLE = "phantom_benign"  # its key in napari.yaml


def demo(
    headless: Annotated[
        bool, typer.Option("--headless", help="Write files, open no window.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path(
        "demo-output"
    ),
    weights: options.Weights = options.DEFAULT_WEIGHTS,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    threads: options.Threads = None,
    as_json: options.AsJson = False,
) -> None:
    """Click a lesion of a made-up breast ultrasound image."""
    if not headless and not has_display():
        console.show_note("There is no display, so the demo writes files instead.")
        headless = True
    if not headless:
        from napari_segmoe.viewer.launch import launch, show_until_closed

        launch(sample=_SAMPLE)
        show_until_closed()
        return
    predictor = options.open_predictor(weights, device=device, threads=threads)
    report = click_phantom(predictor, out, seed=seed)
    if as_json:
        console.show_json(report)
        return
    console.show_text(_tell(report, out))


def has_display() -> bool:
    """Say whether a window can be opened here."""
    if sys.platform in ("win32", "darwin"):
        return True
    offscreen = os.environ.get("QT_QPA_PLATFORM", "").startswith("offscreen")
    screens = ("DISPLAY", "WAYLAND_DISPLAY")
    return not offscreen and any(os.environ.get(name) for name in screens)


def click_phantom(predictor: Any, out: Path, *, seed: int) -> dict[str, Any]:
    """Click the phantom's lesion once and write what comes back.

    Parameters
    ----------
    predictor : SegmentationPredictor
        Answers the click.
    out : Path
        Folder for phantom.png, its mask, JSON and overlay.
    seed : int
        Of the phantom.

    Returns
    -------
    dict
        The shape of `segmoe segment`, with "click", "iou", "true_class", "files".
    """
    from napari_segmoe.data.click_simulation import next_click
    from napari_segmoe.data.phantom import make_breast_phantom
    from napari_segmoe.training.metrics import measure_overlap

    kind = "malignant" if seed % 2 else "benign"
    phantom = make_breast_phantom(seed, kind=kind)
    image = LoadedImage(
        phantom.image, spacing_um=phantom.spacing_um, modality=Modality.ULTRASOUND
    )
    click = next_click(phantom.mask & False, phantom.mask)
    assert click is not None, "a phantom has a lesion"
    predictor.set_image(image.pixels, image.spacing_um, modality=image.modality)
    prediction = predictor.predict((click,))
    description = describe_prediction(
        f"{_STEM}.png", prediction, predictor.card, image
    ) | {
        "click": [click.y, click.x],
        "iou": measure_overlap(prediction.mask, phantom.mask).iou,
        "true_class": phantom.class_name,
    }
    picture = write_files(out, {f"{_STEM}.png": encode_png(phantom.image)})
    answer = write_answer(
        out,
        _STEM,
        image=image,
        prediction=prediction,
        description=description,
        card=predictor.card,
        clicks=(click,),
    )
    return description | {"files": [str(path) for path in (*picture, *answer)]}


def _tell(report: dict[str, Any], out: Path) -> str:
    y, x = report["click"]
    classes: dict[str, float] = report["classes"] or {}
    best = max(classes, key=lambda name: classes[name], default=None)
    named = f"{best} ({100 * classes[best]:.0f} %)" if best else "without a class"
    return (
        f"One click at y={y:.0f}, x={x:.0f}: {named}, IoU {report['iou']:.3f} with the "
        f"phantom's truth ({report['true_class']}).\n"
        f"Mask, JSON and overlay are in {out}. {report['intended_use']}"
    )
