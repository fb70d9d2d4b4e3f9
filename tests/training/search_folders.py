"""Small data folders to search on."""

from pathlib import Path

import numpy as np
from PIL import Image

TINY = {
    "input_px": 32,
    "width": 4,
    "epochs": 2,
    "train_epochs": 2,
    "steps_per_epoch": 2,
    "batch_size": 2,
    "random_genotypes": 1,
    "threads": 1,
    "device": "cpu",
}


def write_folder(path: Path, *, count: int = 8, bright: bool = True) -> Path:
    """Write images of one square each, bright or dark, with masks and groups."""
    (path / "images").mkdir(parents=True)
    (path / "masks").mkdir()
    rng = np.random.default_rng(int(bright))
    lines = ["file,class,split,group"]
    for number in range(count):
        image = rng.normal(110, 12, (40, 44))
        mask = np.zeros((40, 44), np.uint8)
        y, x = rng.integers(2, 20, 2)
        mask[y : y + 16, x : x + 18] = 255
        image[mask > 0] = 220 if bright else 20
        name = f"{path.name}_{number}.png"
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(
            path / "images" / name
        )
        Image.fromarray(mask).save(path / "masks" / name)
        split = "test" if number == count - 1 else "train"
        lines.append(f"{name},object,{split},group_{number}")
    (path / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
