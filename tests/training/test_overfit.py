"""Each lite preset can learn: four real images by heart.

Slow; run one preset with ``-m slow -k utanet_lite``. With ``--basetemp DIR`` the
weights stay, in DIR/.../PRESET.safetensors, ready for `segmoe explain`.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from napari_segmoe.data.images import read_image
from napari_segmoe.data.masks import read_mask
from napari_segmoe.data.targets import boundary_ring, signed_distance
from napari_segmoe.data.windows import whole_window
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.models.outputs import foreground_scores
from napari_segmoe.models.registry import create_model, list_models
from napari_segmoe.models.weights import load_weights, save_weights

LITE = [name for name in list_models() if name.endswith("_lite")]
FOUR = (
    ("busi", "benign_002.jpg"),
    ("busi", "malignant_003.jpg"),
    ("glas", "train_01.jpg"),
    ("glas", "train_02.jpg"),
)
SIDE_PX, STEPS, CHECK_EVERY = 128, 300, 20
WANTED_DICE = 0.95


@pytest.fixture(scope="module")
def four_images(busi, glas):
    """Two ultrasound and two histology images with their masks, 128 px.

    Returns (4, 3, n, n) normalised as the default card, and (4, 1, n, n) of 0 and 1.
    """
    folders = {"busi": busi, "glas": glas}
    pairs = [_read(folders[name] / "images" / file) for name, file in FOUR]
    images, masks = zip(*pairs, strict=True)
    return torch.stack(images), torch.stack(masks)


def _read(path):
    pixels = torch.from_numpy(read_image(path).pixels.copy()).float() / 255
    planes = (
        pixels.expand(3, *pixels.shape) if pixels.ndim == 2 else pixels.movedim(2, 0)
    )
    labels = read_mask(path.parents[1] / "masks" / f"{path.stem}.png").labels
    image = _shrink((planes - 0.5) / 0.5)
    mask = _shrink(torch.from_numpy(labels > 0).float()[None])
    return image, (mask > 0.5).float()


def _shrink(planes):
    """Place (C, H, W) in the middle of a square, as the predictor does."""
    shape = planes.shape[-2:]
    window = whole_window(shape, SIDE_PX)
    in_image, in_window = window.overlap(shape)
    square = torch.zeros(planes.shape[0], window.side, window.side)
    square[(slice(None), *in_window)] = planes[(slice(None), *in_image)]
    size = (SIDE_PX, SIDE_PX)
    return F.interpolate(square[None], size=size, mode="bilinear", antialias=True)[0]


def _fields(masks):
    """Return distance and ring of each mask, (4, 1, n, n)."""
    ids = masks[:, 0].bool().numpy()
    distance = torch.stack([torch.from_numpy(signed_distance(one)) for one in ids])
    ring = torch.stack([torch.from_numpy(boundary_ring(one)) for one in ids])
    return distance[:, None], ring[:, None].float()


def _mask_loss(logits, masks):
    scores = foreground_scores(logits)
    masks = F.interpolate(masks, size=scores.shape[-2:])
    p = scores.sigmoid()
    overlap = 2 * (p * masks).sum() + 1
    dice = 1 - overlap / (p.sum() + masks.sum() + 1)
    return dice + F.binary_cross_entropy_with_logits(scores, masks)


def _loss(output, masks, distance, ring):
    terms = [_mask_loss(logits, masks) for logits in (output.logits, *output.auxiliary)]
    own = output.expert_outputs
    terms += [
        F.mse_loss(found, distance)
        for found in (output.distance, own.get("distance expert"))
        if found is not None
    ]
    terms += [
        F.binary_cross_entropy_with_logits(found, ring)
        for found in (output.boundary, own.get("boundary expert"))
        if found is not None
    ]
    return sum(terms)


@torch.no_grad()
def _dice(model, images, masks):
    """Return the worst image's Dice, as the network would answer a user."""
    model.eval()
    found = (foreground_scores(model(images).logits) > 0).float()
    overlap = 2 * (found * masks).sum(dim=(1, 2, 3))
    sizes = (found + masks).sum(dim=(1, 2, 3))
    return float((overlap / sizes).min())


def _learn(model, images, masks):
    """Train until the worst Dice suffices or the steps are used up; return both."""
    distance, ring = _fields(masks)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 0.1  # a pretrained encoder's 0.01 lags in a short run
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    dice = 0.0
    for step in range(1, STEPS + 1):
        model.train()
        optimizer.zero_grad()
        _loss(model(images), masks, distance, ring).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % CHECK_EVERY == 0:
            dice = _dice(model, images, masks)
            if dice >= WANTED_DICE:
                return dice, step
    return dice, STEPS


def test_the_four_images_have_objects(four_images):
    images, masks = four_images
    assert images.shape == (4, 3, SIDE_PX, SIDE_PX)
    share = masks.mean(dim=(1, 2, 3))
    assert ((share > 0.002) & (share < 0.9)).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", LITE)
def test_a_lite_preset_learns_four_real_images(name, four_images, tmp_path):
    torch.manual_seed(0)
    model = create_model(name)
    dice, steps = _learn(model, *four_images)
    assert dice >= WANTED_DICE, f"{name}: Dice {dice:.3f} after {steps} steps"
    path = tmp_path / f"{name}.safetensors"
    card = WeightsCard(name=name, model=name, input_px=SIDE_PX)
    save_weights(path, model, card)
    loaded, _ = load_weights(path)
    assert _dice(loaded, *four_images) == pytest.approx(dice, abs=1e-6)
