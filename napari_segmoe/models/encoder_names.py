"""Which layer of our EfficientNet encoder a name in another library's file means."""

from __future__ import annotations

import re
from collections.abc import Sequence

from napari_segmoe.errors import WeightsError

_OUTER = {
    # efficientnet_pytorch
    "_conv_stem": "stem",
    "_bn0": "stem_norm",
    "_conv_head": "head",
    "_bn1": "head_norm",
    # timm
    "conv_stem": "stem",
    "bn1": "stem_norm",
    "conv_head": "head",
    "bn2": "head_norm",
    # torchvision
    "features.0.0": "stem",
    "features.0.1": "stem_norm",
    "features.8.0": "head",
    "features.8.1": "head_norm",
}
_CLASSIFIER = frozenset({"_fc", "fc", "classifier", "classifier.1"})
_EFFICIENTNET_PYTORCH = {
    "_expand_conv": "expand",
    "_bn0": "expand_norm",
    "_depthwise_conv": "depthwise",
    "_bn1": "depthwise_norm",
    "_se_reduce": "squeeze.reduce",
    "_se_expand": "squeeze.restore",
    "_project_conv": "project",
    "_bn2": "project_norm",
}
_TIMM = {
    "conv_pw": "expand",
    "bn1": "expand_norm",
    "conv_dw": "depthwise",
    "bn2": "depthwise_norm",
    "se.conv_reduce": "squeeze.reduce",
    "se.conv_expand": "squeeze.restore",
    "conv_pwl": "project",
    "bn3": "project_norm",
}
# Blocks without expansion: the same names count from another layer.
_TIMM_UNEXPANDED = {
    "conv_dw": "depthwise",
    "bn1": "depthwise_norm",
    "se.conv_reduce": "squeeze.reduce",
    "se.conv_expand": "squeeze.restore",
    "conv_pw": "project",
    "bn2": "project_norm",
}
_TORCHVISION_UNEXPANDED = {
    "block.0.0": "depthwise",
    "block.0.1": "depthwise_norm",
    "block.1.fc1": "squeeze.reduce",
    "block.1.fc2": "squeeze.restore",
    "block.2.0": "project",
    "block.2.1": "project_norm",
}
_TORCHVISION = {
    "block.0.0": "expand",
    "block.0.1": "expand_norm",
    "block.1.0": "depthwise",
    "block.1.1": "depthwise_norm",
    "block.2.fc1": "squeeze.reduce",
    "block.2.fc2": "squeeze.restore",
    "block.3.0": "project",
    "block.3.1": "project_norm",
}
_NUMBERED_THROUGH = re.compile(r"_blocks\.(\d+)\.(.+)")
_NUMBERED_BY_STAGE = re.compile(r"(blocks|features)\.(\d+)\.(\d+)\.(.+)")


def name_in_our_encoder(name: str, stage_starts: Sequence[int]) -> str | None:
    """Translate a tensor's name of timm, torchvision or efficientnet_pytorch.

    Parameters
    ----------
    name : str
        For example `blocks.1.0.conv_pw.weight` (timm).
    stage_starts : sequence of int
        Index of each stage's first block, counted through all stages.

    Returns
    -------
    str or None
        For example `blocks.2.expand.weight`; None for the classifier, which encoders
        lack.

    Raises
    ------
    WeightsError
        If the name belongs to no EfficientNet of these libraries.
    """
    layer, _, tensor = name.rpartition(".")
    if layer in _CLASSIFIER:
        return None
    ours = _OUTER.get(layer) or _layer_in_block(layer, stage_starts)
    if ours is None:
        raise WeightsError(
            f"Tensor {name} belongs to no EfficientNet layer that we know. Give "
            "weights in the naming of timm, torchvision or efficientnet_pytorch."
        )
    return f"{ours}.{tensor}"


def _layer_in_block(layer: str, stage_starts: Sequence[int]) -> str | None:
    if found := _NUMBERED_THROUGH.fullmatch(layer):
        return _join(int(found[1]), _EFFICIENTNET_PYTORCH.get(found[2]))
    found = _NUMBERED_BY_STAGE.fullmatch(layer)
    if found is None:
        return None
    is_timm = found[1] == "blocks"
    stage = int(found[2]) if is_timm else int(found[2]) - 1
    if not 0 <= stage < len(stage_starts):
        return None
    if is_timm:
        parts = _TIMM if stage else _TIMM_UNEXPANDED
    else:
        parts = _TORCHVISION if stage else _TORCHVISION_UNEXPANDED
    return _join(stage_starts[stage] + int(found[3]), parts.get(found[4]))


def _join(block: int, part: str | None) -> str | None:
    return None if part is None else f"blocks.{block}.{part}"
