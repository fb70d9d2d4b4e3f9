"""Device, precision, processes and seeds of a run."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning_fabric import Fabric

from napari_segmoe.training.config import Precision, TrainingConfig


def make_fabric(config: TrainingConfig) -> Fabric:
    """Return a launched Fabric: device, precision and processes of a run."""
    accelerator = config.device.partition(":")[0]
    devices: int | list[int] = config.devices
    if ":" in config.device:
        devices = [int(config.device.partition(":")[2])]
    precision = config.precision
    if precision is Precision.AUTO:
        precision = _fitting_precision(accelerator)
    fabric = Fabric(
        accelerator=accelerator,
        devices=devices,
        precision=precision.value,  # type: ignore[arg-type]
    )
    fabric.launch()
    return fabric


def _fitting_precision(accelerator: str) -> Precision:
    if accelerator in ("auto", "cuda", "gpu") and torch.cuda.is_available():
        return Precision.BF16 if torch.cuda.is_bf16_supported() else Precision.FP16
    if accelerator in ("auto", "cpu") and torch.cpu._is_avx512_bf16_supported():
        return Precision.BF16
    return Precision.FP32


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Give torch a seed inside, and its old state back afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
