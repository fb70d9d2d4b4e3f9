"""What a click costs beside the bare network."""

from collections.abc import Callable
from dataclasses import replace

import torch

from napari_segmoe.cli.bench import Measurement
from napari_segmoe.cli.bench_subject import Subject, make_subject
from napari_segmoe.cli.bench_timing import time_in_turns
from napari_segmoe.data.prompt_maps import draw_prompts
from napari_segmoe.types import Click

_BOUND = 1.3
_ASIDE_PX = 12.0  # the second click beside the first


def measure_click(device: str, threads: int | None) -> list[Measurement]:
    """Compare warm clicks with one bare forward of the same network.

    A correcting click costs one forward. A first click is answered in the whole
    image and looked at once more from close by, so it costs two.

    Parameters
    ----------
    device : str
        auto, cpu, cuda:N or mps.
    threads : int, optional
        CPU threads.

    Returns
    -------
    list of Measurement
        The ratios of the medians; all are measured in turns in one process, with
        the same size, precision, memory format and threads.
    """
    subject = make_subject(device, threads)
    forward = _bare_forward(subject)
    predictor, first = subject.predictor, (subject.click,)
    before = predictor.predict(first)
    both = (*first, replace(subject.click, y=subject.click.y + _ASIDE_PX))
    corrections, clicks, forwards = time_in_turns(
        (
            lambda: predictor.predict(both, previous=before),
            lambda: predictor.predict(first),
            forward,
        ),
        subject.network.device,
    )
    note = (
        f"{subject.name}, {subject.network.card.input_px} px, "
        f"{torch.get_num_threads()} threads, {subject.network.precision}: "
        f"correction {1e3 * corrections:.1f} ms, first click {1e3 * clicks:.1f} ms, "
        f"forward {1e3 * forwards:.1f} ms"
    )
    return [
        Measurement(
            "warm click / bare forward",
            corrections / forwards,
            _BOUND,
            "ratio",
            note=note,
        ),
        Measurement(
            "first click, which changes the zoom / bare forward",
            clicks / forwards,
            2 * _BOUND,
            "ratio",
        ),
    ]


def _bare_forward(subject: Subject) -> Callable[[], object]:
    network = subject.network
    side = network.card.input_px
    image = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    image = image.to(network.device).contiguous(memory_format=torch.channels_last)
    drawn = draw_prompts((side, side), clicks=(Click(side / 2, side / 2),))
    prompts = torch.from_numpy(drawn)[None].to(network.device)
    half = network.precision is not torch.float32
    dtype = network.precision if half else torch.bfloat16

    @torch.inference_mode()
    def forward() -> object:
        with torch.autocast(network.device.type, dtype=dtype, enabled=half):
            return network.model(image, prompts)

    return forward
