"""Device, precision, processes and seeds of a run."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from inspect import signature
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from napari_segmoe.errors import ConfigError
from napari_segmoe.training.config import Precision, TrainingConfig

_VALIDATION_TAKES = timedelta(hours=6)  # others wait that long for the first process
_EXACT_CUBLAS = ":4096:8"


def make_fabric(config: TrainingConfig) -> Fabric:
    """Return a launched Fabric: device, precision and processes of a run.

    Under `torchrun` or Slurm's `srun` their number of processes counts, else
    ``config.devices``; without a launcher Fabric starts the other processes itself.

    Raises
    ------
    ConfigError
        If a step's samples are too few for that many processes.
    """
    accelerator = config.device.partition(":")[0]
    nodes, count = _launched(os.environ) or (1, config.devices)
    devices: int | list[int] = count
    if ":" in config.device and count == 1:
        devices = [int(config.device.partition(":")[2])]
    parts = nodes * count * config.accumulate
    if config.batch_size < 2 * parts:
        raise ConfigError(
            f"batch_size is {config.batch_size} for {nodes * count} processes with"
            f" {config.accumulate} pieces each; each piece needs two samples. Set it to"
            f" {2 * parts} or more."
        )
    precision = config.precision
    if precision is Precision.AUTO:
        precision = _fitting_precision(accelerator)
    fabric = Fabric(
        accelerator=accelerator,
        devices=devices,
        num_nodes=nodes,
        strategy=_strategy() if nodes * count > 1 else "auto",
        precision=precision.value,  # type: ignore[arg-type]
    )
    fabric.launch()
    return fabric


def _launched(environment: Mapping[str, str]) -> tuple[int, int] | None:
    """Return nodes and processes a node of torchrun or srun; None without them."""
    if "TORCHELASTIC_RUN_ID" in environment:
        each = int(environment["LOCAL_WORLD_SIZE"])
        return int(environment["WORLD_SIZE"]) // each, each
    if SLURMEnvironment.detect():
        nodes = int(environment.get("SLURM_NNODES", "1"))
        return nodes, int(environment["SLURM_NTASKS"]) // nodes
    return None


def _strategy() -> DDPStrategy:
    # Routing leaves experts unused; BatchNorm's statistics are joined once a step.
    known = signature(DistributedDataParallel).parameters
    newer = "forward_sync_buffers" in known  # from torch 2.13 on
    options: dict[str, Any] = {
        "forward_sync_buffers" if newer else "broadcast_buffers": False,
        "find_unused_parameters": True,
    }
    return DDPStrategy(timeout=_VALIDATION_TAKES, **options)


def spread(model: nn.Module, fabric: Fabric) -> nn.Module:
    """Return the network as several processes train it.

    On GPUs BatchNorm sees the samples of all processes; on the CPU each its own.
    """
    if fabric.world_size > 1 and fabric.device.type == "cuda":
        convert = cast(
            "Callable[[nn.Module], nn.Module]",
            nn.SyncBatchNorm.convert_sync_batchnorm,
        )
        return convert(model)
    return model


def sum_over_processes(values: Tensor, fabric: Fabric) -> Tensor:
    """Return the sum of a tensor over the processes of a run."""
    if fabric.world_size == 1:
        return values
    total = fabric.all_reduce(values, reduce_op="sum")
    assert isinstance(total, Tensor)
    return total


def _fitting_precision(accelerator: str) -> Precision:
    if accelerator in ("auto", "cuda", "gpu") and torch.cuda.is_available():
        return Precision.BF16 if torch.cuda.is_bf16_supported() else Precision.FP16
    if accelerator in ("auto", "cpu") and torch.cpu._is_avx512_bf16_supported():
        return Precision.BF16
    return Precision.FP32


@contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Give torch a seed inside, and its old state back afterwards."""
    is_used = bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
    devices = [torch.cuda.current_device()] if is_used else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(_joined(key))
        yield


def _joined(key: tuple[int, ...]) -> int:
    """Return one seed for a few numbers; a single number stands for itself."""
    seed = 0
    for number in key:
        seed = (seed * 1_000_003 + number) % 2**63
    return seed


@contextmanager
def arithmetic(config: TrainingConfig) -> Iterator[None]:
    """Choose threads and exactness inside; torch's old choice comes back afterwards."""
    threads, exact = (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
    )
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)  # denormal activations halve the speed on CPUs
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", _EXACT_CUBLAS)
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(exact)
