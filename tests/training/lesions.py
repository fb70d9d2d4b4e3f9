"""A data folder of small images with several classes of objects in each."""

import csv

import numpy as np
from PIL import Image

NAMES = ("spot", "gap", "speck")  # values 1, 2, 3
SHAPE = (48, 64)


def write_lesions(root, *, count=12, unknown=False):
    """Write images with a bright spot and a dark gap, some with a faint speck.

    Spot and gap touch in every third image. With ``unknown`` the rightmost columns of
    each mask are 255.
    """
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        image = rng.normal(110, 8, SHAPE)
        mask = np.zeros(SHAPE, np.uint8)
        y, x = int(rng.integers(3, 20)), int(rng.integers(3, 12))
        mask[y : y + 12, x : x + 12] = 1
        left = x + 12 if number % 3 == 0 else x + 18
        mask[y + 4 : y + 12, left : left + 14] = 2
        if number % 4 == 0:
            mask[36:44, 8:16] = 3
        image[mask == 1], image[mask == 2], image[mask == 3] = 220, 20, 160
        if unknown:
            mask[:, -6:] = 255
        stem = f"image_{number:02d}"
        pixels = image.clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"{stem}.png")
        Image.fromarray(mask).save(root / "masks" / f"{stem}.png")
        counts = [int((mask == value).sum()) for value in (1, 2, 3)]
        split = "test" if number % 4 == 3 else "train"
        rows.append((f"{stem}.png", "scan", split, stem, *counts))
    with (root / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        columns = ("file", "class", "split", "group")
        writer.writerow((*columns, *(f"px_{name}" for name in NAMES)))
        writer.writerows(rows)
    return root
