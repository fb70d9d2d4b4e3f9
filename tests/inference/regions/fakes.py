"""A network that needs no weights, images that note what is read, and runs."""

import threading
import time

import numpy as np
import torch
from scipy import ndimage

from napari_segmoe.errors import SlideError
from napari_segmoe.inference.network import TileAnswers
from napari_segmoe.inference.regions.engine import segment_tiles
from napari_segmoe.inference.regions.options import TileOptions
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.models.outputs import SegmentationOutput

SIDE = 64
NO_MEMORY = "CUDA out of memory. Tried to allocate 20.00 MiB."


class DarkModel(torch.nn.Module):
    """Scores an object by its colour: the redder, the more of the first class."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.region_head = object()

    def classify_region(self, output, mask):
        feature = output.features[0]
        total = (feature * mask).sum(dim=(2, 3)) / mask.sum(dim=(2, 3))
        return torch.stack([total[:, 0], total[:, 2]], dim=1)


class DarkNetwork:
    """Marks what is dark, less surely at a tile's border; `failures` run first.

    Attributes
    ----------
    sizes : list of int
        Tiles in each batch that went well.
    """

    def __init__(self, failures=(), *, device="cpu", with_distance=True, classes=2):
        self.card = WeightsCard(
            name="dark",
            model="dark",
            input_px=SIDE,
            object_classes=("red", "blue")[:classes],
            smallest_object_fraction=0.005,
            spacing_um=1.0,
        )
        self.model = DarkModel()
        self.device = torch.device(device)
        self.with_distance = with_distance
        self.failures = list(failures)
        self.sizes = []

    def answer_tiles(self, tiles):
        assert tiles.shape[1:] == (SIDE, SIDE, 3)
        assert tiles.dtype == np.uint8
        if self.failures:
            failure = self.failures.pop(0)
            if failure is not None:
                raise failure
        self.sizes.append(len(tiles))
        grey = tiles.astype(np.float32).mean(-1)
        away = np.abs(np.arange(SIDE) - (SIDE - 1) / 2) / SIDE
        doubt = 20 * np.maximum.outer(away, away)
        probability = 1 / (1 + np.exp((grey - 128 + doubt) / 20))
        distance = None
        if self.with_distance:
            distance = np.stack([_depth(one > 0.5) for one in probability])
        features = torch.from_numpy(tiles.astype(np.float32)).permute(0, 3, 1, 2)
        output = SegmentationOutput(
            logits=torch.zeros(len(tiles), 1, 1, 1), features=(features / 255,)
        )
        return TileAnswers(probability.astype(np.float32), distance, output)


def _depth(mask):
    inside = ndimage.distance_transform_edt(mask)
    outside = ndimage.distance_transform_edt(~mask) if mask.any() else 9.0
    return np.tanh((inside - outside) / 12).astype(np.float32)


class Pixels:
    """An array as a `PixelSource`: mirrored beyond, and every read is noted."""

    def __init__(self, pixels, *, delay_s=0.0, broken=None):
        self.pixels = pixels
        self.shape = pixels.shape[:2]
        self.delay_s = delay_s
        self.broken = broken
        self.boxes = []
        self.threads = set()

    def read(self, box, shape=None):
        assert shape is None
        y0, x0, y1, x1 = box
        self.boxes.append(box)
        self.threads.add(threading.current_thread().name)
        if self.broken is not None and len(self.boxes) > self.broken:
            raise SlideError("The slide cannot be read there.")
        time.sleep(self.delay_s)
        height, width = self.shape
        rows = _mirror(np.arange(y0, y1), height)
        return self.pixels[rows][:, _mirror(np.arange(x0, x1), width)]


def _mirror(index, length):
    turned = np.mod(index, 2 * length)
    return np.where(turned < length, turned, 2 * length - 1 - turned)


def paint(shape, discs, *, background=235, grain=6):
    """Return tissue, (H, W, 3) uint8, with discs (y, x, radius, colour) in it."""
    rng = np.random.default_rng(3)
    pixels = np.full((*shape, 3), background, np.float32)
    y, x = np.ogrid[: shape[0], : shape[1]]
    for row, column, radius, colour in discs:
        pixels[(y - row) ** 2 + (x - column) ** 2 <= radius**2] = colour
    pixels += rng.normal(0, grain, pixels.shape)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def many_discs(shape, *, count=40, seed=0):
    """Return discs of two colours, some across borders of tiles, some touching."""
    rng = np.random.default_rng(seed)
    colours = ((150, 20, 60), (60, 20, 150))
    return [
        (
            rng.uniform(0, shape[0]),
            rng.uniform(0, shape[1]),
            rng.uniform(6, 22),
            colours[index % 2],
        )
        for index in range(count)
    ]


def run(network, pixels, *, locked=None, **options):
    """Return the answer and the steps that led to it."""
    options.setdefault("block_px", 160)
    options.setdefault("chunk_px", 96)
    steps, seen = (
        segment_tiles(network, pixels, options=TileOptions(**options), locked=locked),
        [],
    )
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as stop:
            return stop.value, seen


def reading_threads():
    """Return the threads that read now."""
    return [one for one in threading.enumerate() if "segmoe-read" in one.name]
