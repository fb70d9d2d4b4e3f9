"""`segmoe explain`: every heatmap and matrix of one answer, and a page of them all."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from napari_segmoe.cli import console, options
from napari_segmoe.cli.files import encode_json, encode_png, write_files
from napari_segmoe.cli.requests import read_request
from napari_segmoe.cli.scenes import Scene, open_scene
from napari_segmoe.errors import RegionTooLargeError
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.types import Click, Explanation, Modality, Prediction

_MOST_PX = 2048


def explain(  # noqa: PLR0913, PLR0917  (the options are its arguments)
    image: Annotated[Path, typer.Argument(help="Image or slide.")],
    out: Annotated[Path, typer.Option(help="Folder for maps, tables and the sheet.")],
    weights: options.Weights = options.DEFAULT_WEIGHTS,
    click: options.Clicks = None,
    negative: options.NegativeClicks = None,
    box: options.BoxWords = None,
    region: options.RegionWords = None,
    modality: options.ImageModality = Modality.UNKNOWN,
    spacing_um: options.SpacingUm = None,
    counterfactuals: Annotated[
        bool, typer.Option(help="Also the mask without each expert, where there are.")
    ] = True,
    device: options.Device = "auto",
    threads: options.Threads = None,
    as_json: options.AsJson = False,
) -> None:
    """Show why the network answers as it does: heatmaps, matrices, one page of all."""
    request = read_request(
        click,
        negative,
        box=box,
        region=region,
        modality=modality,
        spacing_um=spacing_um,
    )
    predictor = options.open_predictor(weights, device=device, threads=threads)
    scene = open_scene(image, request, predictor.card)
    _check_extent(scene)
    scene.show_to(predictor)
    prediction = predictor.predict(scene.clicks, box=scene.box, explain=True)
    explanations = prediction.explanations
    if counterfactuals:
        without = predictor.counterfactuals(scene.clicks, box=scene.box)
        explanations = (*explanations, *without)
    report = scene.describe(prediction, predictor.card, request.clicks)
    report["explanations"] = [_describe(image.stem, one) for one in explanations]
    report["unavailable"] = predictor.unavailable_explanations()
    contents = _encode_all(image.stem, explanations)
    contents[f"{image.stem}.contact_sheet.png"] = _sheet(
        image.name,
        predictor.card,
        scene.image.pixels,
        prediction,
        explanations,
        scene.clicks,
    )
    contents[f"{image.stem}.explanations.json"] = encode_json(report)
    write_files(out, contents)
    if as_json:
        console.show_json(report)
    else:
        console.show_text(
            f"{len(explanations)} explanations written to {out}; begin with"
            f" {image.stem}.contact_sheet.png."
        )


def _check_extent(scene: Scene) -> None:
    """Refuse a part of a slide too large for maps of all of it."""
    height, width = scene.pixels.shape[:2]
    if scene.region is not None and max(height, width) > _MOST_PX:
        raise RegionTooLargeError(
            f"{height}x{width} px of {scene.name} are too many to be explained; "
            f"expected at most {_MOST_PX} a side. Give --click Y,X, or a part of it "
            "with --region Y0,X0,Y1,X1."
        )


def _sheet(
    name: str,
    card: WeightsCard,
    pixels: NDArray[np.uint8],
    prediction: Prediction,
    explanations: Sequence[Explanation],
    clicks: Sequence[Click],
) -> bytes:
    from napari_segmoe.cli.contact_sheet import draw_contact_sheet  # brings scipy

    sheet = draw_contact_sheet(
        pixels,
        prediction,
        explanations,
        title=name,
        subtitle=f"Why {card.title or card.name} ({card.model}) answers so",
        classes=card.object_classes or card.classes,
        clicks=clicks,
    )
    return encode_png(sheet)


def _describe(stem: str, one: Explanation) -> dict[str, Any]:
    """Describe an explanation; maps by their files, tables with their numbers."""
    described: dict[str, Any] = {
        "key": one.key,
        "title": one.name,
        "group": str(one.group),
        "kind": one.kind,
        "description": one.description,
        "value_range": list(one.value_range),
        "colormap": one.colormap,
        "files": [f"{_file_stem(stem, one)}{suffix}" for suffix in _suffixes(one)],
    }
    if one.kind == "table":
        return described | _table(one)
    if one.labels:
        described["labels"] = list(one.labels)
    return described


def _table(one: Explanation) -> dict[str, Any]:
    return {
        "rows": list(one.row_labels),
        "columns": list(one.labels),
        "values": [[round(float(cell), 6) for cell in row] for row in one.values],
    }


def _encode_all(stem: str, explanations: Sequence[Explanation]) -> dict[str, bytes]:
    """Return the content of every map's and table's files, by name."""
    contents: dict[str, bytes] = {}
    for one in explanations:
        encoded = _encode_table(one) if one.kind == "table" else _encode_map(one)
        for suffix in _suffixes(one):
            contents[f"{_file_stem(stem, one)}{suffix}"] = encoded[suffix]
    return contents


def _encode_map(one: Explanation) -> Mapping[str, bytes]:
    import tifffile

    from napari_segmoe.cli.sheet_panels import colour_map

    buffer = io.BytesIO()
    tifffile.imwrite(buffer, one.values, compression="zlib", metadata=None)
    return {".png": encode_png(colour_map(one)), ".tiff": buffer.getvalue()}


def _encode_table(one: Explanation) -> Mapping[str, bytes]:
    from napari_segmoe.cli.sheet_panels import draw_matrix

    table, text = _table(one), io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["", *table["columns"]])
    for name, row in zip(table["rows"], table["values"], strict=True):
        writer.writerow([name, *row])
    return {
        ".csv": text.getvalue().encode(),
        ".json": encode_json({"title": one.name} | table),
        ".png": encode_png(np.asarray(draw_matrix(one))),
    }


def _suffixes(one: Explanation) -> tuple[str, ...]:
    return (".csv", ".json", ".png") if one.kind == "table" else (".png", ".tiff")


def _file_stem(stem: str, one: Explanation) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", "_", one.key).strip("_")
    return f"{stem}.{words}"
