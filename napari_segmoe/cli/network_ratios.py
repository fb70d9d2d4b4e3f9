"""Child process of `segmoe bench networks`: answers one question with JSON."""

import argparse
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from napari_segmoe.cli import console
from napari_segmoe.cli.bench_timing import time_in_turns
from napari_segmoe.data.phantom import make_breast_phantom
from napari_segmoe.inference.devices import choose_device, choose_precision
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.inference.predictor import SegmentationPredictor
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.models.efficientnet import efficientnet_lite0_encoder
from napari_segmoe.models.mixture_experts import dispatch_per_gate, mix_maps
from napari_segmoe.models.registry import create_model
from napari_segmoe.types import Click

_SIDE_PX = 256
_TURNS = 15

Figures = dict[str, dict[str, Any]]


def main(words: Sequence[str] | None = None) -> None:
    """Answer the question named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("question", choices=_QUESTIONS)
    parser.add_argument("preset", nargs="?", default="")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    asked = parser.parse_args(words)
    if asked.threads is not None:
        torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    answer = _QUESTIONS[asked.question]
    with torch.inference_mode():
        console.show_json(answer(asked.preset, choose_device(asked.device)))


def compare_experts(_preset: str, device: torch.device) -> Figures:
    """Compare all experts at once and one mixing with a run of experts a gate.

    On maps of the size that `utanet` has for one 256x256 image, with k = 2.
    """
    network: Any = create_model("utanet", infer_top_k=2)
    mixture = network.mixture.eval().to(device)
    side = _SIDE_PX // 2
    stripe = torch.rand(1, 64, side, side, device=device)
    weights, _ = mixture.weigh(mixture.routers(stripe))
    sizes = [(_SIDE_PX // step,) * 2 for step in (1, 2, 4, 8)]
    maps = [
        torch.rand(1, channels, *size, device=device)
        for channels, size in zip((64, 64, 128, 256), sizes, strict=True)
    ]

    def ours() -> Tensor:
        return mix_maps(mixture.experts(stripe), weights)

    def per_gate() -> Tensor:
        return dispatch_per_gate(mixture.experts, stripe, weights)

    def our_block() -> object:
        _, gates, experts = mixture.look(maps, (side, side))
        return mixture.mix(experts, mixture.weigh(gates)[0], sizes)

    def their_block() -> object:
        found = mixture.fuse(maps)
        shares, _ = mixture.weigh(mixture.routers(found))
        mixed = dispatch_per_gate(mixture.experts, found, shares)
        return [
            docker(norm(mixed[:, number]), size)
            for number, (norm, docker, size) in enumerate(
                zip(mixture.norms, mixture.dockers, sizes, strict=True)
            )
        ]

    quick, slow, quick_block, slow_block = time_in_turns(
        (ours, per_gate, our_block, their_block), device, turns=_TURNS
    )
    note = (
        f"64 channels, {side}x{side}, float32, {_milliseconds(slow, quick)}; "
        f"whole block {slow_block / quick_block:.2f}x"
    )
    difference = float((ours() - per_gate()).abs().max())
    return {
        "experts": {"value": slow / quick, "note": note},
        "difference": {"value": difference, "note": "same maps and weights"},
    }


def compare_progressive(_preset: str, device: torch.device) -> Figures:
    """Compare `mixsearch` with its fast mode, which skips the last diagonal."""
    network: Any = create_model("mixsearch").eval().to(device)
    image = _image(device)

    def run(left_out: int) -> object:
        network.progressive = left_out
        return network(image)

    full, fast = time_in_turns((lambda: run(0), lambda: run(1)), device, turns=_TURNS)
    note = f"{_SIDE_PX} px, float32, {_milliseconds(full, fast)}"
    return {"progressive": {"value": full / fast, "note": note}}


def compare_encoder(preset: str, device: torch.device) -> Figures:
    """Compare a lite preset with the bare EfficientNet-Lite0 encoder.

    Both in the arithmetic that the window would take, and channels-last.
    """
    network = _prepare(create_model(preset), device)
    encoder = _prepare(efficientnet_lite0_encoder(), device)
    precision = choose_precision(network, device)
    ours, bare = time_in_turns(
        [_forward(module, device, precision) for module in (network, encoder)],
        device,
        turns=_TURNS,
    )
    note = f"{_SIDE_PX} px, {precision}, {_milliseconds(ours, bare)}"
    return {"encoder": {"value": ours / bare, "note": note}}


def compare_explanations(preset: str, device: torch.device) -> Figures:
    """Compare what explanations add to a click with one forward."""
    card = WeightsCard(
        name=preset,
        model=preset,
        classes=("benign", "malignant", "normal"),
        object_classes=("benign", "malignant"),
        input_px=_SIDE_PX,
    )
    network = WindowNetwork(create_model(preset), card, device)
    predictor = SegmentationPredictor(network)
    phantom = make_breast_phantom(0, kind="benign")
    predictor.set_image(phantom.image)
    height, width = phantom.mask.shape
    counter = itertools.count()

    def click(*, explain: bool) -> object:
        # Never the same question twice: the network keeps the newest encoding.
        moved = height / 2 + 1e-3 * next(counter)
        return predictor.predict((Click(moved, width / 2),), explain=explain)

    plain, explained, forward = time_in_turns(
        (
            lambda: click(explain=False),
            lambda: click(explain=True),
            _forward(network.model, device, network.precision),
        ),
        device,
        turns=_TURNS,
    )
    note = (
        f"{_SIDE_PX} px, {network.precision}: click {1e3 * plain:.0f} ms, explained"
        f" {1e3 * explained:.0f} ms, bare forward {1e3 * forward:.0f} ms"
    )
    return {"explain": {"value": (explained - plain) / forward, "note": note}}


def _prepare(module: nn.Module, device: torch.device) -> nn.Module:
    module = module.eval().to(device)
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _forward(
    module: nn.Module, device: torch.device, precision: torch.dtype
) -> Callable[[], object]:
    image = _image(device).contiguous(memory_format=torch.channels_last)
    half = precision is not torch.float32

    def forward() -> object:
        dtype = precision if half else torch.bfloat16
        with torch.autocast(device.type, dtype=dtype, enabled=half):
            return module(image)

    return forward


def _image(device: torch.device) -> Tensor:
    return torch.rand(1, 3, _SIDE_PX, _SIDE_PX, device=device)


def _milliseconds(first: float, second: float) -> str:
    return f"{1e3 * first:.1f} and {1e3 * second:.1f} ms"


_QUESTIONS: dict[str, Callable[[str, torch.device], Figures]] = {
    "experts": compare_experts,
    "progressive": compare_progressive,
    "encoder": compare_encoder,
    "explain": compare_explanations,
}

if __name__ == "__main__":
    main()
