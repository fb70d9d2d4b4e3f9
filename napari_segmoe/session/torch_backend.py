"""The real predictor and devices; torch is imported on first use, on the worker."""

import os

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
    from napari_segmoe.inference.preload import preload_torch

    preload_torch()
    from napari_segmoe.inference.predictor import load_predictor

    return load_predictor(weights, device=device, threads=_inference_threads())


def _inference_threads() -> int:
    """Return the threads of a click: one core is left to the window."""
    return max((os.cpu_count() or 2) - 1, 1)


class TorchDevices:
    """Tells about torch's devices; only asked after torch was loaded."""

    def list_devices(self) -> tuple[DeviceChoice, ...]:
        """Return the devices, the automatic choice first."""
        from napari_segmoe.inference.devices import list_devices

        found = (DeviceChoice(d.name, d.title) for d in list_devices())
        return (DeviceChoice("auto", "Auto"), *found)

    def memory_text(self, predictor: Predictor) -> str:
        """Return the predictor's device and its memory in words."""
        from napari_segmoe.inference.devices import memory_text

        return memory_text(getattr(predictor, "device_name", "cpu"))
