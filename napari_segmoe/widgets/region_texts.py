"""What is said of slides and regions: pixel sizes, costs, time left."""

from napari_segmoe.session.slide_scene import RegionRecord, SlideScene, SpacingSource
from napari_segmoe.types import RegionEstimate, RegionProgress, Spacing

# Micrometres per pixel that scanners call so.
MAGNIFICATIONS = {"5x": 2.0, "10x": 1.0, "20x": 0.5, "40x": 0.25, "80x": 0.125}
_NEAR = 1.25  # a pixel size within this factor bears the name
_SQUARE = 1.01


def say_spacing(spacing_um: Spacing) -> str:
    """Return a pixel size in words, as "0.499 µm/px (20x)"."""
    y, x = spacing_um
    if max(y, x) > _SQUARE * min(y, x):
        return f"{y:.3g} x {x:.3g} µm/px"
    name = name_magnification(y)
    return f"{y:.3g} µm/px" + (f" ({name})" if name else "")


def name_magnification(spacing_um: float) -> str:
    """Return the magnification that scanners call so, or nothing where none is near."""
    for name, usual in MAGNIFICATIONS.items():
        if usual / _NEAR < spacing_um < usual * _NEAR:
            return name
    return ""


def say_scale(
    scene: SlideScene, assumed_um: float | None, *, seen_um: float | None = None
) -> str:
    """Return what is said of a slide's pixel size, who said it, and what weights see.

    Parameters
    ----------
    scene : SlideScene
        The slide.
    assumed_um, seen_um : float or None
        Pixel sizes of the weights: what they assume where none is stated, and what
        they see images at.
    """
    if scene.spacing_um is None:
        if assumed_um is None:
            return "No pixel size: areas are in pixels"
        return f"No pixel size: {assumed_um:g} µm/px assumed"
    by = {SpacingSource.USER: ", set by you", SpacingSource.LAYER: ", the layer's"}
    stated = say_spacing(scene.spacing_um) + by.get(scene.spacing_source, "")
    return stated if seen_um is None else f"{stated}\nseen at {seen_um:g} µm/px"


def say_slide(scene: SlideScene) -> str:
    """Return what a tooltip says of a slide: size, who reads it, remarks."""
    height, width = scene.shape
    lines = [f"{height:,} x {width:,} px (height x width)"]
    if scene.backend:
        lines.append(f"Read by {scene.backend}")
    return "\n".join((*lines, *scene.notes))


def say_estimate(estimate: RegionEstimate) -> str:
    """Return what a region will cost, as "48 windows, about 6 s, 40 MB"."""
    count = estimate.windows
    windows = "1 window" if count == 1 else f"{count:,} windows"
    seconds = estimate.seconds
    time = "time not known yet" if seconds is None else say_seconds(seconds)
    return f"{windows}, {time}, {say_bytes(estimate.memory_bytes)}"


def say_seconds(seconds: float) -> str:
    """Return a duration as people say it."""
    if seconds < 1:
        return "under 1 s"
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min"


def say_bytes(count: int) -> str:
    """Return an amount of memory, as "40 MB"."""
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{max(1, round(count / 1e6))} MB"


def say_progress(progress: RegionProgress | None) -> str:
    """Return how far a run is, as "12 of 48 · 0:21 left"."""
    if progress is None:
        return "Starting…"
    text = f"{progress.done} of {progress.total}"
    if progress.seconds_left is None:
        return text
    minutes, seconds = divmod(round(progress.seconds_left), 60)
    return f"{text} · {minutes}:{seconds:02d} left"


def say_region(record: RegionRecord, objects: int) -> str:
    """Return what a tooltip says of a region."""
    height, width = record.region.shape
    size = f"{height} x {width} px"
    if record.spacing_um is not None:
        size += f" at {max(record.spacing_um):.3g} µm/px"
    kept = "no objects yet" if not objects else f"objects: {objects}"
    return f"{record.title}: {size}, {kept}. Click to go there."
