"""`segmoe make-slide`: a made-up slide with the truth of every gland."""

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_segmoe.cli import console, options
from napari_segmoe.errors import ConfigError

_SPACING_UM = 0.5
_TISSUE_SHARE = 0.5


def make_slide(
    size: Annotated[
        str, typer.Option(metavar="H,W", help="Height and width in pixels.")
    ],
    out: Annotated[
        Path, typer.Option(help="NAME.ome.tif or NAME.ome.zarr; it must not exist.")
    ],
    seed: options.Seed = 0,
    spacing_um: Annotated[
        float, typer.Option(help="Pixel size in micrometres, 0.2 to 2.")
    ] = _SPACING_UM,
    tissue: Annotated[
        float, typer.Option(help="Share of the slide that is tissue, 0.01 to 0.9.")
    ] = _TISSUE_SHARE,
    as_json: options.AsJson = False,
) -> None:
    """Make a synthetic H&E slide with its truth; the same seed gives the same bytes."""
    from napari_segmoe.data.synthetic_slide import SyntheticSlide, synthesise_slide

    slide: SyntheticSlide = console.follow(
        synthesise_slide(
            out,
            _read_size(size),
            spacing_um=spacing_um,
            seed=seed,
            tissue_share=tissue,
        ),
        "Making the slide",
    )
    report = _describe(slide)
    if as_json:
        console.show_json(report)
        return
    height, width = slide.shape
    console.show_text(
        f"{slide.path}: {height} x {width} px at {slide.spacing_um:g} um, "
        f"{slide.levels} levels, {100 * slide.tissue_share:.0f} % tissue, "
        f"{slide.benign} benign and {slide.malignant} malignant glands, "
        f"{slide.nuclei} nuclei.\n"
        f"The truth is in {slide.truth_path.name} (gland ids) and "
        f"{slide.table_path.name} (a line for each gland)."
    )


def _read_size(words: str) -> tuple[int, int]:
    try:
        height, width = (int(word) for word in words.split(","))
    except ValueError:
        raise ConfigError(
            f"Cannot read the size {words!r}; give height and width in whole pixels, "
            "as 6000,8000."
        ) from None
    return height, width


def _describe(slide: Any) -> dict[str, Any]:
    return {
        "slide": str(slide.path),
        "truth": str(slide.truth_path),
        "table": str(slide.table_path),
        "size": list(slide.shape),
        "spacing_um": slide.spacing_um,
        "seed": slide.seed,
        "levels": slide.levels,
        "bytes": slide.size_bytes,
        "tissue_share": slide.tissue_share,
        "glands": {"benign": slide.benign, "malignant": slide.malignant},
        "nuclei": slide.nuclei,
    }
