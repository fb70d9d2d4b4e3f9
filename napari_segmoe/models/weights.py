"""Write and read weights: safetensors with a card."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from napari_segmoe.errors import WeightsError
from napari_segmoe.models.card import CARD_KEY, DomainCard, WeightsCard, read_card
from napari_segmoe.models.domain_guard import DomainGuard
from napari_segmoe.models.network import SegmentationNetwork
from napari_segmoe.models.registry import create_model

GUARD = "domain_guard."


def save_weights(
    path: Path, model: nn.Module, card: WeightsCard, *, half: bool = False
) -> WeightsCard:
    """Write a model's tensors and card, atomically.

    Parameters
    ----------
    path : Path
        File to write.
    model : nn.Module
        Its ``state_dict`` is written.
    card : WeightsCard
        Its ``tensors_sha256`` is filled in.
    half : bool
        Store floating tensors as float16.

    Returns
    -------
    WeightsCard
        The card as written.
    """
    tensors = {
        name: _for_storage(tensor, half=half)
        for name, tensor in model.state_dict().items()
    }
    return _write(path, tensors, card)


def replace_card(path: Path, card: WeightsCard) -> WeightsCard:
    """Give a weights file another card, atomically; its tensors stay as they are.

    Raises
    ------
    WeightsError
        If the file cannot be read.
    """
    return _write(path, _read_tensors(path), card)


def replace_guard(path: Path, guard: DomainGuard, domain: DomainCard) -> WeightsCard:
    """Give a weights file another domain guard, atomically; all else stays as it is.

    Raises
    ------
    WeightsError
        If the file cannot be read.
    """
    card = read_card(path)
    tensors = {
        name: tensor
        for name, tensor in _read_tensors(path).items()
        if not name.startswith(GUARD)
    }
    for name, value in guard.state_dict().items():
        tensors[GUARD + name] = _for_storage(value, half=True)
    return _write(path, tensors, card.model_copy(update={"domain": domain}))


def load_weights(path: Path) -> tuple[nn.Module, WeightsCard]:
    """Build the network of a weights file and load its tensors, in float32.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, altered, or does not fit its card.
    """
    card = read_card(path)
    tensors = _read_tensors(path)
    if hash_tensors(tensors) != card.tensors_sha256:
        raise WeightsError(
            f"{path.name} does not match the hash in its card: it was altered or"
            " damaged. Copy or download it again."
        )
    model = create_model(card.model, **card.options)
    if card.domain is not None and isinstance(model, SegmentationNetwork):
        model.attach_domain_guard(card.domain.features, card.domain.components)
    load_tensors(model, tensors, source=path.name)
    return model.eval(), card


def load_tensors(
    model: nn.Module, tensors: Mapping[str, Tensor], *, source: str
) -> None:
    """Load ``tensors`` into ``model``; only a prompt stem may be missing.

    A domain guard is left out where the network has none: a run that starts from
    other weights learns another domain.

    Raises
    ------
    WeightsError
        If a tensor is missing, unknown or of another shape.
    """
    own = model.state_dict()
    guarded = any(name.startswith(GUARD) for name in own)
    tensors = {
        name: tensor
        for name, tensor in tensors.items()
        if guarded or not name.startswith(GUARD)
    }
    missing = sorted(
        name for name in own.keys() - tensors.keys() if "prompt_stem." not in name
    )
    unknown = sorted(tensors.keys() - own.keys())
    shapes = sorted(
        name
        for name in own.keys() & tensors.keys()
        if own[name].shape != tensors[name].shape
    )
    if missing or unknown or shapes:
        faults = [
            f"{len(names)} {word} (first: {names[0]})"
            for word, names in (
                ("missing", missing),
                ("unknown", unknown),
                ("of another shape", shapes),
            )
            if names
        ]
        raise WeightsError(
            f"The tensors of {source} do not fit the network: {', '.join(faults)}."
            " Use weights of the same preset and options."
        )
    model.load_state_dict(
        {name: tensor.to(own[name].dtype) for name, tensor in tensors.items()},
        strict=False,
    )


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 over names, types, shapes and bytes of all tensors."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path.name} cannot be read: {error}.") from error


def _for_storage(tensor: Tensor, *, half: bool) -> Tensor:
    tensor = tensor.detach().cpu()
    if half and tensor.is_floating_point():
        tensor = tensor.to(torch.float16)
    return tensor.contiguous()


def _write(path: Path, tensors: dict[str, Tensor], card: WeightsCard) -> WeightsCard:
    card = card.model_copy(update={"tensors_sha256": hash_tensors(tensors)})
    partial = path.with_name(f".{path.name}.partial")
    try:
        save_file(tensors, partial, metadata={CARD_KEY: card.model_dump_json()})
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return card
