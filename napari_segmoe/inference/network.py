"""One network on one device: a window of an image in, probabilities out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_segmoe.data.patches import Patch
from napari_segmoe.data.prompt_maps import draw_prompts
from napari_segmoe.data.windows import Window
from napari_segmoe.inference.devices import choose_precision
from napari_segmoe.inference.grids import WindowReader, shrink, spread
from napari_segmoe.inference.smoothing import smooth_scores
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.models.domain_guard import pool_maps
from napari_segmoe.models.network import State
from napari_segmoe.models.outputs import SegmentationOutput
from napari_segmoe.types import PixelSource, Prompts, Steering


@dataclass(frozen=True, slots=True, eq=False)
class WindowAnswer:
    """What the network says of one window.

    Attributes
    ----------
    window : Window
        The window asked about.
    probability : (n, n) float32
        Foreground probability on the grid.
    output : SegmentationOutput
        Everything else, on the device.
    """

    window: Window
    probability: NDArray[np.float32]
    output: SegmentationOutput


@dataclass(frozen=True, slots=True, eq=False)
class TileAnswers:
    """What the network says of several tiles of its own input size.

    Attributes
    ----------
    probability : (B, n, n) float32
        Foreground probability.
    distance : (B, n, n) float32, or None
        Predicted signed distance, positive inside.
    output : SegmentationOutput
        Everything else, on the device.
    classes : (B, n, n) uint8, or None
        Most probable class of each pixel, from 1, where the weights tell them apart.
    """

    probability: NDArray[np.float32]
    distance: NDArray[np.float32] | None
    output: SegmentationOutput
    classes: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Encoded:
    """What was asked last, and the network's state for it."""

    window: Window
    prompts: Prompts
    previous: Patch | None
    state: State

    def answers(self, window: Window, prompts: Prompts, previous: Patch | None) -> bool:
        """Whether this is the state for a question."""
        if self.window != window or self.prompts != prompts:
            return False
        if self.previous is None or previous is None:
            return self.previous is previous
        return self.previous.box == previous.box and np.array_equal(
            self.previous.values, previous.values
        )


class WindowNetwork:
    """Runs a network on windows of one image.

    Parameters
    ----------
    model : nn.Module
        In eval mode.
    card : WeightsCard
        Its input size, normalisation and temperatures.
    device : torch.device
    """

    def __init__(
        self, model: nn.Module, card: WeightsCard, device: torch.device
    ) -> None:
        model = model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model = model.eval().requires_grad_(False)
        self.card = card
        self.device = device
        self.precision = choose_precision(self.model, device)
        shape = (1, 3, 1, 1)
        self._mean = torch.tensor(card.mean, device=device).reshape(shape)
        self._std = torch.tensor(card.std, device=device).reshape(shape)
        self._reader: WindowReader | None = None
        self._encoded: _Encoded | None = None

    def set_image(self, image: NDArray[np.uint8] | PixelSource) -> None:
        """Take an image: (H, W) or (H, W, 3) uint8, or one read window by window."""
        self.model.to(self.device)
        self._reader = WindowReader(image)
        self._encoded = None

    @contextmanager
    def looking_at(self, image: NDArray[np.uint8] | PixelSource) -> Iterator[None]:
        """Ask about another image for a while."""
        kept = self._reader, self._encoded
        self.set_image(image)
        try:
            yield
        finally:
            self._reader, self._encoded = kept

    @torch.inference_mode()
    def answer(
        self,
        window: Window,
        prompts: Prompts,
        previous: Patch | None = None,
        *,
        explain: bool = False,
        steering: Steering | None = None,
    ) -> WindowAnswer:
        """Return the network's answer.

        The encoding of the newest explained or steered question is kept, so that
        pinning an expert, or asking without one, does not encode again.

        Parameters
        ----------
        window : Window
        prompts : Prompts
            In full-resolution pixels; empty asks for everything.
        previous : Patch, optional
            Probability of the answer before, float32, in pixels of the image.
        explain : bool
            Whether the output's traces are filled.
        steering : Steering, optional
            Experts that must or must not be asked.

        Raises
        ------
        ModelOptionError
            If the network cannot be steered so.
        """
        with self._autocast():
            if explain or steering is not None:
                state = self._encode(window, prompts, previous)
                output = self.model.decode(state, explain, steering)  # type: ignore[operator]
            else:
                maps = self._draw(window, prompts, previous)
                output = self.model(self._grid(window), maps)
        scores = smooth_scores(output.foreground, self.card.smoothing_px)
        probability = scores.sigmoid()[0, 0].cpu().numpy()
        return WindowAnswer(window, probability, output)

    @torch.inference_mode()
    def answer_tiles(self, tiles: NDArray[np.uint8]) -> TileAnswers:
        """Return what the network finds without prompts; needs no image.

        Parameters
        ----------
        tiles : (B, n, n, 3) uint8
            Pixels at the size that the network sees.
        """
        if next(self.model.parameters()).device.type != self.device.type:
            self.model.to(self.device)  # it was released
        planes = torch.from_numpy(np.ascontiguousarray(tiles)).to(self.device)
        grid = planes.permute(0, 3, 1, 2).float() / 255  # (B, 3, n, n), channels last
        with self._autocast():
            output = self.model((grid - self._mean) / self._std)
        scores = smooth_scores(output.foreground, self.card.smoothing_px)
        distance = output.distance
        return TileAnswers(
            scores.sigmoid()[:, 0].cpu().numpy(),
            None if distance is None else distance.float()[:, 0].cpu().numpy(),
            output,
            self._tile_classes(output),
        )

    def _tile_classes(self, output: SegmentationOutput) -> NDArray[np.uint8] | None:
        if not self.card.mask_classes:
            return None
        best: NDArray[np.uint8] = (
            output.logits[:, 1:].argmax(dim=1).byte().cpu().numpy()
        )
        return best + np.uint8(1)

    @torch.inference_mode()
    def probe(self, side_px: int) -> WindowAnswer:
        """Return an explained answer about an empty image; forgets no image."""
        self.model.to(self.device)
        empty = torch.zeros((1, 3, side_px, side_px), device=self.device)
        with self._autocast():
            output = self.model(empty, explain=True)
        probability = output.foreground.sigmoid()[0, 0].cpu().numpy()
        return WindowAnswer(Window(0, 0, side_px, side_px), probability, output)

    @torch.inference_mode()
    def pool(
        self, window: Window, *, change: Callable[[Tensor], Tensor] | None = None
    ) -> NDArray[np.float32]:
        """Return what a domain guard judges a window by, (D,); in full precision.

        Parameters
        ----------
        window : Window
        change : callable, optional
            Alters the window before, (3, n, n) in 0..1, on the CPU.
        """
        if self._reader is None:
            raise RuntimeError("set_image comes first")
        grid, inside = self._reader.grid(window), self._reader.inside(window)
        if change is not None:
            grid = change(grid[0])[None] * inside
        grid = (grid.to(self.device) - self._mean) / self._std
        grid = grid.contiguous(memory_format=torch.channels_last)
        maps = self.model.look(grid)  # type: ignore[operator]
        return pool_maps(maps, inside.to(self.device))[0].cpu().numpy()

    def pixels(self, window: Window) -> NDArray[np.uint8]:
        """Return a window as the network sees it, (n, n, 3)."""
        if self._reader is None:
            raise RuntimeError("set_image comes first")
        grid = self._reader.grid(window)[0].permute(1, 2, 0)
        return (grid * 255).round().to(torch.uint8).numpy()

    def padded_px(self, side_px: int) -> int:
        """Return the side that the network pads a square input to."""
        pad: Callable[[Tensor], Tensor] = self.model.pad  # type: ignore[assignment]
        return pad(torch.empty((1, 1, side_px, side_px))).shape[-1]

    @torch.inference_mode()
    def image_classes(self, answer: WindowAnswer) -> NDArray[np.float32] | None:
        """Return calibrated probabilities of the image's classes, (C,).

        They sum to one, or each is by itself where the card is multi-label.
        """
        if answer.output.class_logits is None or not self.card.classes:
            return None
        scores = answer.output.class_logits.float() / self.card.image_temperature
        if self.card.multi_label:
            return scores.sigmoid()[0].cpu().numpy()
        return scores.softmax(dim=1)[0].cpu().numpy()

    @torch.inference_mode()
    def pixel_classes(
        self, answer: WindowAnswer, shape: tuple[int, int]
    ) -> NDArray[np.uint8] | None:
        """Return the most probable class of each pixel, (H, W), from 1.

        None where the weights tell no classes of pixels apart. Whether a pixel is of
        any class is another question: see `WindowAnswer.probability`.
        """
        if not self.card.mask_classes:
            return None
        scores = answer.output.logits[0, 1:].float().cpu().numpy()
        maps = [spread(one, answer.window, shape) for one in scores]
        best = np.argmax(np.stack([one.values for one in maps]), axis=0)
        classes = np.ones(shape, np.uint8)
        Patch((1 + best).astype(np.uint8), maps[0].y0, maps[0].x0).write_to(classes)
        return classes

    @torch.inference_mode()
    def object_scores(
        self, answer: WindowAnswer, masks: Sequence[Patch]
    ) -> NDArray[np.float32] | None:
        """Return uncalibrated scores of objects, (N, C); None without class names.

        Parameters
        ----------
        answer : WindowAnswer
        masks : sequence of Patch
            Objects, bool, in pixels of the image; pooled with the answer's
            probability.
        """
        has_head = getattr(self.model, "region_head", None) is not None
        if not (has_head and self.card.object_classes and masks):
            return None
        output = answer.output
        rows = []
        for mask in masks:
            on_grid = shrink(mask, answer.window)
            soft = np.where(on_grid > 0.25, np.maximum(answer.probability, on_grid), 0)
            weight = torch.from_numpy(soft * on_grid)[None, None].to(self.device)
            scores = self.model.classify_region(output, weight)  # type: ignore[operator]
            rows.append(scores.float()[0].cpu().numpy())
        return np.stack(rows)

    def distance(
        self, answer: WindowAnswer, shape: tuple[int, int]
    ) -> NDArray[np.float32] | None:
        """Return the predicted signed distance at full resolution, (H, W), or None."""
        if answer.output.distance is None:
            return None
        values = answer.output.distance.float()[0, 0].cpu().numpy()
        return self.enlarge(values, answer.window, shape)

    def enlarge(
        self,
        values: NDArray[np.float32],
        window: Window,
        shape: tuple[int, int],
        *,
        outside: float = 0.0,
    ) -> NDArray[np.float32]:
        """Return grid values at full resolution, (H, W); ``outside`` the window."""
        found = spread(values, window, shape)
        if found.values.shape == tuple(shape):
            return found.values
        if outside == 0:
            return found.on(shape)
        full = np.full(shape, outside, np.float32)
        found.write_to(full)
        return full

    def release(self) -> None:
        """Forget the image and give the device's memory back."""
        self._reader = self._encoded = None
        self.model.to("cpu")
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _autocast(self) -> torch.autocast:
        half = self.precision is not torch.float32
        return torch.autocast(
            self.device.type,
            dtype=self.precision if half else torch.bfloat16,
            enabled=half,
        )

    def _draw(
        self, window: Window, prompts: Prompts, previous: Patch | None
    ) -> Tensor | None:
        """Return the prompts as maps, (1, 5, n, n)."""
        if not prompts:
            return None
        on_grid = window.prompts_to_grid(prompts)
        drawn = draw_prompts(
            (window.grid_px, window.grid_px),
            clicks=on_grid.clicks,
            strokes=on_grid.strokes,
            box=on_grid.box,
            previous=None if previous is None else shrink(previous, window),
            radius_px=self.card.disk_radius_px,
        )
        return torch.from_numpy(drawn)[None].to(self.device)

    def _encode(
        self, window: Window, prompts: Prompts, previous: Patch | None
    ) -> State:
        """Return the network's state; that of the newest question is kept."""
        kept = self._encoded
        if kept is not None and kept.answers(window, prompts, previous):
            return kept.state
        maps = self._draw(window, prompts, previous)
        state = self.model.encode(self._grid(window), maps)  # type: ignore[operator]
        self._encoded = _Encoded(window, prompts, previous, state)
        return state

    def _grid(self, window: Window) -> Tensor:
        """Return the normalised window, (1, 3, n, n)."""
        if self._reader is None:
            raise RuntimeError("set_image comes first")
        grid = self._reader.grid(window).to(self.device)
        grid = (grid - self._mean) / self._std
        return grid.contiguous(memory_format=torch.channels_last)
