"""The network of a round: device, arithmetic, and what is asked of it."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from napari_segmoe.data.prompt_maps import draw_prompts
from napari_segmoe.models.outputs import SegmentationOutput
from napari_segmoe.models.prompt_stem import PROMPT_CHANNELS
from napari_segmoe.training.config import Precision
from napari_segmoe.training.finetune.views import PartialSample


@dataclass(frozen=True, slots=True, eq=False)
class Machine:
    """Where and how a round computes.

    Attributes
    ----------
    device : torch.device
    dtype : torch.dtype or None
        Of autocast; None: float32.
    batch : int
        Images asked at once.
    """

    device: torch.device
    dtype: torch.dtype | None
    batch: int = 8

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Compute in the round's precision inside."""
        if self.dtype is None:
            yield
            return
        with torch.autocast(self.device.type, dtype=self.dtype):
            yield

    def place(self, model: nn.Module) -> nn.Module:
        """Return a copy of a network on the device, its statistics frozen."""
        placed = copy.deepcopy(model).to(self.device)
        placed = placed.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return placed.eval()


def choose_machine(device: str, precision: Precision) -> Machine:
    """Return device and arithmetic; bf16 where the device gains from it.

    Raises
    ------
    DeviceError
        If the device is absent.
    """
    from napari_segmoe.inference.devices import choose_device

    chosen = choose_device(device)
    halves = {Precision.BF16: torch.bfloat16, Precision.FP16: torch.bfloat16}
    dtype = halves.get(precision)
    if precision is Precision.AUTO and _gains_from_bf16(chosen):
        dtype = torch.bfloat16
    return Machine(chosen, dtype)


def _gains_from_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()


def stack_images(images: Sequence[Tensor]) -> Tensor:
    """Return images in 0..1 as a normalised batch."""
    stacked = (torch.stack(list(images)) - 0.5) / 0.5
    return stacked.contiguous(memory_format=torch.channels_last)


def stack_prompts(samples: Sequence[PartialSample]) -> Tensor:
    """Return the prompt maps of samples, (B, 5, n, n)."""
    maps = [
        draw_prompts(
            one.ids.shape,
            clicks=one.prompts.clicks,
            strokes=one.prompts.strokes,
            box=one.prompts.box,
            previous=one.previous,
        )
        for one in samples
    ]
    return torch.from_numpy(np.stack(maps))


def answer(
    model: nn.Module, images: Tensor, prompts: Tensor | None
) -> SegmentationOutput:
    """Ask a network, with prompts where it takes any; None: without."""
    if getattr(model, "prompt_stem", None) is None:
        return model(images)
    if prompts is None:
        shape = (images.shape[0], PROMPT_CHANNELS, *images.shape[-2:])
        prompts = images.new_zeros(shape)
    return model(images, prompts)
