"""A small folder of made tissue with touching glands, one id each."""

import csv

import numpy as np
from PIL import Image

SHAPE = (200, 320)


def touching_glands():
    """Return ids, (200, 320): two glands that touch, one apart, one at the border."""
    ids = np.zeros(SHAPE, np.uint16)
    ids[60:120, 40:90] = 1
    ids[60:120, 90:140] = 2
    ids[40:100, 220:280] = 3
    ids[170:200, 150:210] = 4
    return ids


def many_glands():
    """Return 900 ids on a grid, more than fit into 8 bits."""
    ids = np.zeros(SHAPE, np.uint16)
    number = 0
    for y in range(0, 198, 8):
        for x in range(0, 316, 8):
            if number < 900:
                number += 1
                ids[y : y + 6, x : x + 6] = number
    return ids


def stained(ids, rng):
    """Return an image, (H, W, 3): violet glands on pink."""
    image = np.full((*ids.shape, 3), (235, 170, 205), np.float64)
    image[ids > 0] = (140, 80, 160)
    image += rng.normal(0, 6, image.shape)
    return image.clip(0, 255).astype(np.uint8)


def write_folder(root, masks, *, spacings=None):
    """Write images, masks and labels.csv; classes take turns, groups are single."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    rng = np.random.default_rng(0)
    with (root / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        columns = ["file", "class", "split", "group"]
        writer.writerow(columns + (["spacing_um"] if spacings else []))
        for number, ids in enumerate(masks):
            stem = f"tissue_{number:02d}"
            Image.fromarray(stained(ids, rng)).save(root / "images" / f"{stem}.png")
            Image.fromarray(ids).save(root / "masks" / f"{stem}.png")
            row = [f"{stem}.png", ("benign", "malignant")[number % 2], "train", stem]
            writer.writerow(row + ([spacings[number]] if spacings else []))
    return root
