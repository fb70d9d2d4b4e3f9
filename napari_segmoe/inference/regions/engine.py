"""Segment everything in an image of any size, window by window."""

import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.inference.devices import beside_count, thread_count
from napari_segmoe.inference.network import TileAnswers, WindowNetwork
from napari_segmoe.inference.regions.blending import Blender, Chunk
from napari_segmoe.inference.regions.class_plane import ClassPlane
from napari_segmoe.inference.regions.components import Component, Stitcher
from napari_segmoe.inference.regions.estimating import check_memory, remember_rate
from napari_segmoe.inference.regions.forwarding import TileForward
from napari_segmoe.inference.regions.numbering import Numbering
from napari_segmoe.inference.regions.options import TileOptions
from napari_segmoe.inference.regions.reading import BlockReader, Place
from napari_segmoe.inference.regions.scoring import score_voteless
from napari_segmoe.inference.regions.voting import (
    Vote,
    can_vote,
    find_pieces,
    tally,
    votes_of,
)
from napari_segmoe.types import Mask, PixelSource, RegionProgress

_UNIFORM = 4.0  # grey steps: less contrast is glass or an empty border
_NO_TISSUE = "No tissue was found."
_NO_OBJECT = "No object was found."

_Tile = tuple[Place, NDArray[np.uint8]]
_Computed = tuple[list[_Tile], TileAnswers, WindowNetwork]  # who answered


@dataclass(frozen=True, slots=True, eq=False)
class RegionAnswer:
    """What was found in an image, in the image's own pixels.

    Attributes
    ----------
    probability : (H, W) uint8
        Foreground probability in steps of 1/255.
    labels : (H, W) uint32
        One id an object, from 1 by size, however many there are.
    scores : mapping of int to (C,) float32
        The region head's mean scores by object, uncalibrated; empty where the
        network has none.
    windows, empty_windows : int
        Windows of the image, and those without contrast, which no network saw.
    notes : tuple of str
        Sentences for the user.
    distance : (H, W) float16, or None
        Predicted signed distance, -1 where no network looked; None unless kept.
    """

    probability: NDArray[np.uint8]
    labels: NDArray[np.uint32]
    scores: Mapping[int, NDArray[np.float32]]
    windows: int
    empty_windows: int
    notes: tuple[str, ...] = ()
    distance: NDArray[np.float16] | None = None


def segment_tiles(
    network: WindowNetwork,
    pixels: PixelSource,
    *,
    options: TileOptions | None = None,
    locked: Mask | None = None,
) -> Generator[RegionProgress, None, RegionAnswer]:
    """Find every object of an image at the weights' pixel size.

    Parameters
    ----------
    network : WindowNetwork
        Its image is neither asked for nor changed.
    pixels : PixelSource
        Read in blocks, each once.
    options : TileOptions, optional
        Speed and memory; the result does not depend on them.
    locked : (H, W) bool, optional
        Pixels that belong to no object.

    Yields
    ------
    RegionProgress
        After each batch and each part that is finished. Closing the generator ends
        the work and its threads.

    Returns
    -------
    RegionAnswer

    Raises
    ------
    RegionTooLargeError
        If the answer does not fit into memory; before anything is read.
    SlideError
        If a part cannot be read.
    DeviceError
        If memory does not suffice for one window on the CPU.

    Notes
    -----
    Windows of ``card.input_px`` overlap by a quarter, and are blended by Gaussians.
    Components are joined across parts and parted by the blended distance, each in
    its own box. A window scores the pieces whose middle it sees best; scores vote,
    by area, for the object at that middle.
    """
    options = options or TileOptions()
    check_memory(pixels.shape, options, network.card.input_px)
    return _Region(network, pixels, options, locked).steps()


class _Region:
    """One run."""

    def __init__(
        self,
        network: WindowNetwork,
        pixels: PixelSource,
        options: TileOptions,
        locked: Mask | None,
    ) -> None:
        self._pixels = pixels
        self._options = options
        self._locked = locked
        self._card = network.card
        self._lattice = options.lattice(pixels.shape, network.card)
        self._forward = TileForward(network, options.batch_size)
        self._blender = Blender(self._lattice, options.chunk_px)
        self._stitcher = Stitcher(pixels.shape)
        self._numbering = Numbering(
            self._stitcher,
            smallest_px=self._card.smallest_object_fraction
            * self._lattice.window_px**2,
            neck=self._card.part_below,
            least_mean=self._card.keep_above,
        )
        self._complete: deque[Component] = deque()
        self._probability = np.zeros(pixels.shape, np.uint8)
        self._distance: NDArray[np.float16] | None = None
        self._classes = ClassPlane(self._lattice) if self._card.mask_classes else None
        self._votes: list[Vote] = []
        self._can_vote = can_vote(network)
        self._thread_count = beside_count()
        self._torch = ThreadPoolExecutor(1, thread_name_prefix="segmoe-network")
        self._computed: list[_Computed] = []
        self._done = self._empty = 0
        self._busy_s = 0.0

    def steps(self) -> Generator[RegionProgress, None, RegionAnswer]:
        """Read, compute and join; then number and classify."""
        work = self._windows()
        try:
            yield from self._timed(work)
        finally:
            work.close()
        network = self._forward.network
        if self._done > self._empty:
            remember_rate(network, self._busy_s / (self._done - self._empty))
        for _ in self._sparingly(self._number()):
            yield self._progress()
        scores: dict[int, NDArray[np.float32]] = {}
        if self._can_vote:
            labels = self._stitcher.labels
            scores = tally(self._votes, labels)
            for _ in score_voteless(self._forward, self._pixels, labels, scores):
                yield self._progress()
        return self._answer(scores)

    def _answer(self, scores: dict[int, NDArray[np.float32]]) -> RegionAnswer:
        notes = list(self._forward.notes)
        if self._empty == self._done:
            notes.append(_NO_TISSUE)
        elif not self._stitcher.labels.any():
            notes.append(_NO_OBJECT)
        return RegionAnswer(
            probability=self._probability,
            labels=self._stitcher.labels,
            scores=dict(sorted(scores.items())),
            windows=self._done,
            empty_windows=self._empty,
            notes=tuple(notes),
            distance=self._distance if self._options.keep_distance else None,
        )

    def _number_next(self) -> None:
        component = self._complete.popleft()
        classes = None if self._classes is None else self._classes.values
        self._numbering.add(component, self._distance, self._probability, classes)

    def _number(self) -> Iterator[None]:
        while self._complete:
            self._number_next()
            yield
        yield from self._numbering.finish()

    def _timed(self, work: Iterator[RegionProgress]) -> Iterator[RegionProgress]:
        """Give what ``work`` gives; count the time that it takes, not the pauses."""
        while True:
            began = time.perf_counter()
            step = next(work, None)
            self._busy_s += time.perf_counter() - began
            if step is None:
                return
            yield step

    def _sparingly(self, work: Iterator[None], pause_s: float = 0.1) -> Iterator[None]:
        began = time.perf_counter()
        for _ in work:
            if time.perf_counter() - began > pause_s:
                yield
                began = time.perf_counter()

    def _progress(self, chunk: Chunk | None = None) -> RegionProgress:
        total = len(self._lattice)
        left = None
        if self._done:
            left = self._busy_s / self._done * (total - self._done)
        if chunk is None:
            return RegionProgress(self._done, total, left)
        return RegionProgress(self._done, total, left, chunk.box, self._mask(chunk))

    def _windows(self) -> Generator[RegionProgress, None, None]:
        reader = BlockReader(
            self._pixels,
            self._lattice,
            self._options.block_px,
            self._options.reader_count,
        )
        tiles: list[_Tile] = []
        windows = reader.windows()
        try:
            for window in windows:
                if window is None:
                    yield self._progress()
                elif is_uniform(window[1]):
                    self._empty += 1
                    yield from self._take(window[0], None, None)
                else:
                    tiles.append(window)
                    if len(tiles) >= self._forward.batch_size:
                        yield from self._compute(tiles)
                        tiles = []
            yield from self._compute(tiles)
            yield from self._compute([])
        finally:
            windows.close()
            self._torch.shutdown()

    def _compute(self, tiles: list[_Tile]) -> Iterator[RegionProgress]:
        """Run the network while the batch before is joined to the rest.

        The network rests between the steps, when others may use it.
        """
        before, self._computed = self._computed, []
        with thread_count(self._thread_count):  # one of them for what is here
            network = self._torch.submit(self._run_network, tiles)
            try:
                steps = [step for one in before for step in self._join(*one)]
                while self._complete and not network.done():
                    self._number_next()
            finally:
                self._computed = network.result()
        yield from steps
        yield self._progress()

    def _run_network(self, tiles: list[_Tile]) -> list[_Computed]:
        answered = self._forward.answer([pixels for _, pixels in tiles])
        return [
            (tiles[place], answers, self._forward.network)
            for place, answers in answered
        ]

    def _join(
        self, tiles: list[_Tile], answers: TileAnswers, network: WindowNetwork
    ) -> Iterator[RegionProgress]:
        for index, (window, _) in enumerate(tiles):
            if self._can_vote:
                found = find_pieces(
                    answers, index, self._card, lattice=self._lattice, place=window
                )
                if found is not None:
                    self._votes += votes_of(network, found)
            distance = None if answers.distance is None else answers.distance[index]
            if self._classes is not None and answers.classes is not None:
                self._classes.add(*window, answers.classes[index])
            yield from self._take(window, answers.probability[index], distance)

    def _take(
        self,
        window: Place,
        probability: NDArray[np.float32] | None,
        distance: NDArray[np.float32] | None,
    ) -> Iterator[RegionProgress]:
        """Blend a window, and give what is finished with it."""
        self._done += 1
        for chunk in self._blender.add(*window, probability, distance):
            self._keep(chunk)
            yield self._progress(chunk)

    def _keep(self, chunk: Chunk) -> None:
        if chunk.probability is not None:
            self._write(chunk, chunk.probability)
            self._stitcher.add(chunk.box, self._mask(chunk))
        self._complete += self._stitcher.take_complete(self._blender.is_done)

    def _write(self, chunk: Chunk, probability: NDArray[np.uint8]) -> None:
        y0, x0, y1, x1 = chunk.box
        self._probability[y0:y1, x0:x1] = probability
        if chunk.distance is not None:
            if self._distance is None:
                self._distance = np.full(self._probability.shape, -1, np.float16)
            self._distance[y0:y1, x0:x1] = chunk.distance

    def _mask(self, chunk: Chunk) -> Mask:
        y0, x0, y1, x1 = chunk.box
        if chunk.probability is None:
            return np.zeros((y1 - y0, x1 - x0), bool)
        mask: Mask = chunk.probability > self._card.mask_threshold * 255
        if self._locked is not None:
            mask &= ~self._locked[y0:y1, x0:x1]
        return mask


def is_uniform(tile: NDArray[np.uint8]) -> bool:
    """Whether a tile, (n, n, 3) uint8, is glass or an empty border: no network."""
    some = tile[::2, ::2].astype(np.uint16)
    grey = some[..., 0] + some[..., 1] + some[..., 2]
    return bool(grey.std() < 3 * _UNIFORM)
