"""What bf16 with channels-last memory gains, and that masks stay the same."""

import torch

from napari_segmoe.cli.bench import Measurement
from napari_segmoe.cli.bench_subject import make_subject
from napari_segmoe.cli.bench_timing import time_in_turns
from napari_segmoe.training.metrics import measure_overlap


def measure_precision(device: str, threads: int | None) -> list[Measurement]:
    """Compare the chosen precision with plain fp32 in the default memory format.

    Parameters
    ----------
    device : str
        auto, cpu, cuda:N or mps.
    threads : int, optional
        CPU threads.

    Returns
    -------
    list of Measurement
        The speed-up, and the IoU of the two masks of one click. Where the device
        does not gain from bf16 both runs are fp32.
    """
    chosen, plain = make_subject(device, threads), make_subject(device, threads)
    plain.network.precision = torch.float32
    for value in plain.network.model.parameters():
        value.data = value.data.contiguous()

    def click_chosen() -> object:
        return chosen.predictor.predict((chosen.click,))

    def click_plain() -> object:
        return plain.predictor.predict((plain.click,))

    quick, slow = time_in_turns((click_chosen, click_plain), chosen.network.device)
    masks = [
        subject.predictor.predict((subject.click,)).mask for subject in (chosen, plain)
    ]
    note = f"{chosen.name}: {chosen.network.precision}, channels-last"
    return [
        Measurement(
            "fp32 click / chosen precision",
            slow / quick,
            1.0,
            "ratio",
            at_least=True,
            note=f"{note}; {1e3 * slow:.1f} and {1e3 * quick:.1f} ms",
        ),
        Measurement(
            "IoU of masks, chosen precision and fp32",
            measure_overlap(*masks).iou if masks[1].any() else None,
            0.995,
            "IoU",
            at_least=True,
            note=note if masks[1].any() else f"{note}: the mask is empty, no evidence",
        ),
    ]
