import csv

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """A data folder of 18 small images: bright squares, flat discs, and nothing."""
    root = tmp_path_factory.mktemp("tiny")
    (root / "images").mkdir()
    (root / "masks").mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for number in range(18):
        name = ("benign", "malignant", "normal")[number % 3]
        image = rng.normal(90, 15, (64, 72))
        mask = np.zeros((64, 72), np.uint8)
        y, x = rng.integers(8, 30, 2)
        if name != "normal":
            high, wide = (24, 14) if name == "malignant" else (14, 26)
            mask[y : y + high, x : x + wide] = 255
            image[mask > 0] = 200 if name == "benign" else 20
        stem = f"{name}_{number:02d}"
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(
            root / "images" / f"{stem}.png"
        )
        Image.fromarray(mask).save(root / "masks" / f"{stem}.png")
        rows.append((f"{stem}.png", name, "train", stem))
    with (root / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "class", "split", "group"))
        writer.writerows(rows)
    return root
