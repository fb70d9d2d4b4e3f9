"""Shipped gland weights learn a new stain from twenty corrected glands."""

import json
import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch

from napari_segmoe.data.images import read_image
from napari_segmoe.data.masks import read_mask
from napari_segmoe.data.slides.fingerprint import fingerprint
from napari_segmoe.data.splits import split_groups
from napari_segmoe.project.importing import hide_group, set_objects
from napari_segmoe.project.local_files import note_paths
from napari_segmoe.project.records import ImageRecord
from napari_segmoe.project.store import ProjectStore
from napari_segmoe.training.stain import mix_stains

pytestmark = pytest.mark.slow
SPACING_UM = 0.62
REPOSITORY = Path(__file__).resolve().parents[3]


def change_stain(pixels):
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255
    tints = np.array([[-0.8, 0.2, 0.9], [1.2, -0.3, 0.3], [0, 0, 0]])
    mixed = mix_stains(image, np.array([0.5, 1.0, 1.0]), tints=tints)
    return (mixed * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()


def make_gland_project(path, items):
    """Accept two glands in each of ten restained images."""
    images = path.parent / "images"
    images.mkdir()
    rng = np.random.default_rng(0)
    with ProjectStore.create(path) as store:
        for number, item in enumerate(items[:10]):
            pixels = change_stain(read_image(item.image_path).pixels)
            file = images / f"{number}.png"
            iio.imwrite(file, pixels)
            ids = read_mask(item.mask_path, pixels.shape[:2]).labels
            sizes = np.bincount(ids.ravel())
            large = [n for n in range(1, len(sizes)) if sizes[n] > 400]
            chosen = rng.permutation(large)[:2]
            labels = np.where(np.isin(ids, chosen), ids, 0).astype(np.uint32)
            record = ImageRecord(
                name=store.next_image_name(),
                fingerprint=fingerprint(file),
                shape=pixels.shape[:2],
                spacing_um=(SPACING_UM, SPACING_UM),
                group=hide_group(item.group, store.salt),
            )
            store.add_image(record)
            note_paths(path, {record.fingerprint: file})
            names = {int(one): item.class_name for one in chosen}
            set_objects(store, record, labels, names)


@pytest.mark.filterwarnings("ignore:.*groups are on two sides")
def test_twenty_glands_of_a_new_stain_are_learnt_and_published(tmp_path, glas):
    from napari_segmoe.data.folder import read_data_folder

    folder = read_data_folder(glas)
    _, held = split_groups(folder.select("train"), 0.15, 0)  # not learnt by `glands`
    project = tmp_path / "p.segmoe"
    make_gland_project(project, held)
    command = [sys.executable, "-P", "-m", "napari_segmoe", "finetune", str(project)]
    done = subprocess.run(
        [*command, "--weights", "glands", "--json", "--set", "nice=0"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["decision"] == "publish", last["reason"]
    assert last["hold_out"]["dice"] > last["hold_out"]["old_dice"]
    assert last["old_domain"]["old_domain_loss"] <= 0.01
