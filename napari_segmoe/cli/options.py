"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_segmoe.types import Modality

DEFAULT_WEIGHTS = "breast_ultrasound"

AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda:N or mps.")]
Threads = Annotated[
    int | None, typer.Option(min=1, help="CPU threads; by default all cores.")
]
Weights = Annotated[
    str, typer.Option("--weights", "-w", help="A shipped name or a .safetensors file.")
]
Data = Annotated[
    Path, typer.Option(help="Data folder: images/, masks/ and labels.csv.")
]
Split = Annotated[
    str,
    typer.Option(help="Splits, separated by commas; test takes all that begin so."),
]
Limit = Annotated[
    int | None, typer.Option(min=1, help="Take only the first so many images.")
]
Seed = Annotated[int, typer.Option(min=0, help="Same seed, same answer.")]
Clicks = Annotated[
    list[str] | None, typer.Option(metavar="Y,X", help="This is the object.")
]
NegativeClicks = Annotated[
    list[str] | None, typer.Option(metavar="Y,X", help="This is not.")
]
BoxWords = Annotated[
    str | None, typer.Option(metavar="Y0,X0,Y1,X1", help="The object lies in here.")
]
RegionWords = Annotated[
    str | None,
    typer.Option(
        metavar="Y0,X0,Y1,X1", help="The part of a slide, full-resolution pixels."
    ),
]
SpacingUm = Annotated[
    float | None,
    typer.Option(min=1e-6, help="Pixel size in micrometres, over what the file says."),
]
ImageModality = Annotated[
    Modality, typer.Option(help="What made the images, where the files are silent.")
]
ReportFile = Annotated[
    Path | None, typer.Option("--out", help="JSON file to write the report to.")
]


def open_predictor(weights: str, *, device: str, threads: int | None) -> Any:
    """Load weights onto a device; torch is imported here and not before.

    Raises
    ------
    WeightsError
        If there are no such weights, or they are damaged.
    DeviceError
        If the device is absent.
    """
    from napari_segmoe.inference.predictor import load_predictor

    return load_predictor(weights, device=device, threads=threads)
