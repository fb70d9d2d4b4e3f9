"""A slide of bright discs on disk, and a predictor that goes through regions."""

import itertools
from dataclasses import dataclass, field

import numpy as np
import tifffile

from napari_segmoe.session.slide_scene import SlideScene, SpacingSource
from napari_segmoe.types import RegionEstimate, RegionProgress
from tests.session.fakes import FakeCard, FakePredictor, make_session

SIDE = 1536
SPACING_UM = 0.5
# (y, x, radius) in level-0 pixels
DISCS = (
    (200, 200, 60),
    (300, 900, 90),
    (700, 420, 120),
    (1200, 1250, 100),
    (1100, 500, 80),
)


def disc_pixels() -> np.ndarray:
    """Bright discs, (SIDE, SIDE, 3) uint8, on dark; see `DISCS`."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    pixels = np.full((SIDE, SIDE), 30, np.uint8)
    for y, x, radius in DISCS:
        pixels[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = 220
    return np.repeat(pixels[..., None], 3, axis=2)


def write_slide(path, *, spacing_um=SPACING_UM):
    """Write `disc_pixels` as a tiled TIFF pyramid of three levels."""
    pixels = disc_pixels()
    metadata = {"axes": "YXS"}
    if spacing_um is not None:
        metadata |= {"PhysicalSizeX": spacing_um, "PhysicalSizeXUnit": "µm"}
        metadata |= {"PhysicalSizeY": spacing_um, "PhysicalSizeYUnit": "µm"}
    options = {"tile": (256, 256), "photometric": "rgb", "compression": "zlib"}
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(pixels, subifds=2, metadata=metadata, **options)
        for _ in range(2):
            means = pixels.reshape(len(pixels) // 2, 2, -1, 2, 3).mean((1, 3))
            pixels = means.round().astype(np.uint8)
            writer.write(pixels, subfiletype=1, **options)
    return path


@dataclass
class SlidePredictor(FakePredictor):
    """Marks what is bright, strip by strip; reads the image only when asked."""

    card: FakeCard = field(default_factory=lambda: FakeCard(spacing_um=1.0))
    fail_at: int | None = None  # step at which `error` is raised
    strips: int = 4
    runs: list[str] = field(default_factory=list)

    def set_image(self, image, spacing_um=None, *, modality=None):
        self.source, self.spacing_um, self._pixels = image, spacing_um, None

    @property
    def image(self):
        if self._pixels is None:
            pixels = self.source
            if not isinstance(pixels, np.ndarray):
                pixels = pixels.read((0, 0, *pixels.shape)).mean(axis=2)
            self._pixels = pixels
        return self._pixels

    @image.setter
    def image(self, value):
        self._pixels = value

    def estimate(self):
        height, width = self.source.shape
        return RegionEstimate(height * width // 65536, 1.5, height * width * 9)

    def predict_steps(self, *, locked=None):
        pixels, answer = self.image, self._answer  # those it began with
        bright = pixels > 128
        if locked is not None:
            bright &= ~locked
        height, width = bright.shape
        edges = np.linspace(0, height, self.strips + 1).astype(int)
        self.runs.append("begun")
        try:
            for done, (y0, y1) in enumerate(itertools.pairwise(edges)):
                if self.fail_at == done:
                    raise self.error
                box = (int(y0), 0, int(y1), width)
                yield RegionProgress(done + 1, self.strips, 1.0, box, bright[y0:y1])
        except GeneratorExit:
            self.runs.append("closed")
            raise
        self.runs.append("ended")
        self.image = pixels
        return answer(bright, split=True)


def make_scene(path, **changes) -> SlideScene:
    values = {
        "key": "slide",
        "path": path,
        "name": "discs",
        "shape": (SIDE, SIDE),
        "spacing_um": (SPACING_UM, SPACING_UM),
        "spacing_source": SpacingSource.FILE,
        "backend": "tifffile",
    }
    return SlideScene(**{**values, **changes})


def make_slide_session(path, *, folder=None, predictor=None, runner=None, **changes):
    """Return a session on the slide; regions are kept beside it."""
    session = make_session(
        predictor=predictor or SlidePredictor(),
        runner=runner,
        image=False,
        region_folder=folder or path.parent / "regions",
    )
    session.regions.open_slide(make_scene(path, **changes))
    return session
