"""The real predictor and its devices, in a process of their own."""

import os

from napari_segmoe.inference.predictor_process import PredictorProcess
from napari_segmoe.session.predictor import DeviceChoice, Predictor


def load_torch_predictor(weights: str, *, device: str) -> Predictor:
    """Return the predictor of shipped weights or a weights file.

    Raises
    ------
    WeightsError
        If the weights are missing or damaged.
    DeviceError
        If the device cannot be used.
    """
    return PredictorProcess(weights, device=device, threads=_inference_threads())


def _inference_threads() -> int:
    """Return the threads of a click: one core is left to the window."""
    return max((os.cpu_count() or 2) - 1, 1)


class TorchDevices:
    """Tells about the devices that a predictor's process sees."""

    def list_devices(self, predictor: Predictor) -> tuple[DeviceChoice, ...]:
        """Return the devices, the automatic choice first; none of other predictors."""
        if not isinstance(predictor, PredictorProcess):
            return ()
        found = predictor.list_devices()
        return (
            DeviceChoice("auto", "Auto"),
            *(DeviceChoice(name, title) for name, title in found),
        )

    def memory_text(self, predictor: Predictor) -> str:
        """Return the predictor's device and its memory in words."""
        if not isinstance(predictor, PredictorProcess):
            return ""
        return predictor.memory_text()
