"""What a click costs beside the bare network."""

from collections.abc import Callable

import torch

from napari_segmoe.cli.bench import Measurement
from napari_segmoe.cli.bench_subject import Subject, make_subject
from napari_segmoe.cli.bench_timing import time_in_turns
from napari_segmoe.data.prompt_maps import draw_prompts
from napari_segmoe.types import Click

_BOUND = 1.3


def measure_click(device: str, threads: int | None) -> list[Measurement]:
    """Compare a warm first click with one bare forward of the same network.

    Parameters
    ----------
    device : str
        auto, cpu, cuda:N or mps.
    threads : int, optional
        CPU threads.

    Returns
    -------
    list of Measurement
        The ratio of the medians; both are measured in turns in one process, with
        the same size, precision, memory format, prompts and threads.
    """
    subject = make_subject(device, threads)
    forward = _bare_forward(subject)
    clicks, forwards = time_in_turns(
        (lambda: subject.predictor.predict((subject.click,)), forward),
        subject.network.device,
    )
    note = (
        f"{subject.name}, {subject.network.card.input_px} px, "
        f"{torch.get_num_threads()} threads, {subject.network.precision}: "
        f"click {1e3 * clicks:.1f} ms, forward {1e3 * forwards:.1f} ms"
    )
    return [
        Measurement(
            "warm click / bare forward", clicks / forwards, _BOUND, "ratio", note=note
        )
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
