"""Devices, their memory, and the arithmetic that suits them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from napari_segmoe.errors import DeviceError

logger = logging.getLogger(__name__)

_GOLDEN_PX = 128
_GOLDEN_TOLERANCE = 0.05
_GOLDEN_SHARE = 0.99
_CUDA_ADVICE = (
    "pip install --upgrade torch --index-url https://download.pytorch.org/whl/cu126"
)


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """One device.

    Attributes
    ----------
    name : str
        As torch writes it: cpu, cuda:0, mps.
    title : str
        For people.
    total_bytes, free_bytes : int or None
        Memory, where the device tells.
    note : str
        What hinders its use, and the command that mends it; else empty.
    """

    name: str
    title: str
    total_bytes: int | None = None
    free_bytes: int | None = None
    note: str = ""


def list_devices() -> tuple[DeviceInfo, ...]:
    """Return the devices of this machine, the fastest first."""
    found = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            found.append(_cuda_device(index))
    if torch.backends.mps.is_available():
        found.append(DeviceInfo("mps", "Apple GPU"))
    found.append(DeviceInfo("cpu", _cpu_title()))
    return tuple(found)


def choose_device(name: str = "auto") -> torch.device:
    """Return the device to run on.

    Parameters
    ----------
    name : str
        auto, cpu, cuda, cuda:N or mps. auto takes the first that can run.

    Raises
    ------
    DeviceError
        If the device asked for is absent or this torch cannot run it.
    """
    devices = list_devices()
    if name == "auto":
        return torch.device(next(device.name for device in devices if not device.note))
    wanted = "cuda:0" if name == "cuda" else name
    for device in devices:
        if device.name == wanted:
            if device.note:
                raise DeviceError(f"{device.title} cannot be used: {device.note}")
            return torch.device(device.name)
    known = ", ".join(device.name for device in devices)
    raise DeviceError(
        f"There is no device {name!r} here. Choose auto or one of: {known}."
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one CPU thread inside.

    Many small operations between other work are slower on several threads: each
    wakes the others up.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def beside_count() -> int:
    """Return how many CPU threads a network gets while another thread works.

    All but one: waiting OpenMP threads spin, so with as many as there are cores they
    slow down whoever works beside them, and then wait for their own late ones.
    """
    return max(torch.get_num_threads() - 1, 1)


@contextmanager
def thread_count(count: int) -> Iterator[None]:
    """Let torch use so many CPU threads inside.

    The count holds for the whole process: two threads must not change it at a time.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def memory_text(device: str) -> str:
    """Return a device and its memory in a few words, for a status line."""
    if device.startswith("cuda"):
        free, total = torch.cuda.mem_get_info(device)
        return f"{device.upper()} {(total - free) / 2**30:.1f}/{total / 2**30:.0f} GB"
    if device == "mps":
        used = torch.mps.current_allocated_memory()
        return f"Apple GPU {used / 2**30:.1f} GB"
    return _cpu_title()


def _cpu_title() -> str:
    count = torch.get_num_threads()
    return f"CPU, {count} thread{'s' if count > 1 else ''}"


def choose_precision(model: nn.Module, device: torch.device) -> torch.dtype:
    """Return the arithmetic in which this network runs fastest and still right.

    bf16 where the device computes in it, fp16 on older cards, else fp32. Half
    precision is taken only if 99 % of a golden tile's probabilities differ by less
    than 0.05.
    """
    half = _half_type(device)
    if half is None:
        return torch.float32
    if _golden_agreement(model, device, half) >= _GOLDEN_SHARE:
        return half
    logger.warning("%s differs from float32 on %s; using float32.", half, device)
    return torch.float32


def _half_type(device: torch.device) -> torch.dtype | None:
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if native else torch.float16
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return torch.bfloat16
    return None


@torch.inference_mode()
def _golden_agreement(
    model: nn.Module, device: torch.device, half: torch.dtype
) -> float:
    """Return the share of a golden tile's pixels on which both arithmetics agree."""
    tile = _golden_tile().to(device)
    exact = model(tile).foreground.sigmoid()
    with torch.autocast(device.type, dtype=half):
        quick = model(tile).foreground.sigmoid()
    return float(((exact - quick).abs() < _GOLDEN_TOLERANCE).float().mean())


def _golden_tile() -> torch.Tensor:
    """Return a grey tile with grain and a dark oval, (1, 3, n, n)."""
    generator = torch.Generator().manual_seed(0)
    axis = torch.linspace(-1, 1, _GOLDEN_PX)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    oval = torch.sigmoid(12 * ((y / 0.4) ** 2 + (x / 0.6) ** 2 - 1))
    grain = 0.2 * torch.randn((_GOLDEN_PX, _GOLDEN_PX), generator=generator)
    return (0.8 * oval - 0.6 + grain).expand(1, 3, -1, -1).contiguous()


def _cuda_device(index: int) -> DeviceInfo:
    name = f"cuda:{index}"
    title = torch.cuda.get_device_name(index)
    major, minor = torch.cuda.get_device_capability(index)
    if not _has_kernels(major, minor):
        note = (
            f"this torch build has no kernels for compute capability {major}.{minor}."
            f" Run: {_CUDA_ADVICE}"
        )
        return DeviceInfo(name, title, note=note)
    free, total = torch.cuda.mem_get_info(index)
    return DeviceInfo(name, title, total, free)


def _has_kernels(major: int, minor: int) -> bool:
    """Whether this torch build runs a card: same major, built for it or older."""
    built = [
        int(arch.rpartition("_")[2].rstrip("a"))
        for arch in torch.cuda.get_arch_list()
        if arch.startswith("sm_")
    ]
    return (
        any(number // 10 == major and number % 10 <= minor for number in built)
        or not built
    )
