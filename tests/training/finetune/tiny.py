"""A tiny network that marks what is bright, and projects of bright discs."""

import sqlite3
from contextlib import closing

import imageio.v3 as iio
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from napari_segmoe.data.slides.fingerprint import fingerprint
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.models.network import SegmentationNetwork
from napari_segmoe.models.outputs import SegmentationOutput
from napari_segmoe.models.registry import list_models, register_model
from napari_segmoe.models.weights import save_weights
from napari_segmoe.project.importing import hide_group, set_objects
from napari_segmoe.project.local_files import note_paths
from napari_segmoe.project.records import ImageRecord
from napari_segmoe.project.store import ProjectStore

INPUT_PX = 64
SHAPE = (72, 80)
CLASSES = ("small", "large")
SALT = "0123456789abcdef" * 2


class TinyNetwork(SegmentationNetwork):
    """Mask, distance and classes from one convolution; brightness decides."""

    def __init__(self, in_channels, object_classes):
        super().__init__(
            in_channels=in_channels, stride=1, stem_channels=8, stem_stride=1
        )
        self.encoder = nn.Conv2d(in_channels, 8, 3, padding=1)
        self.mix = nn.Conv2d(8, 8, 3, padding=1)
        self.mask = nn.Conv2d(8, 1, 1)
        self.depth = nn.Conv2d(8, 1, 1)
        self.attach_prompt_stem()
        if object_classes:
            self.attach_region_head((8,), embedding_channels=0, classes=object_classes)

    def encode(self, image, prompts=None):
        padded, addition = self.prepare(image, prompts)
        stem = self.encoder(padded)
        if addition is not None:
            stem = stem + addition
        return {"features": F.relu(self.mix(F.relu(stem))), "size": image.shape[-2:]}

    def decode(self, state, explain=False, steering=None):
        features = state["features"]
        return SegmentationOutput(
            logits=self.mask(features),
            distance=self.depth(features).tanh(),
            features=(features,),
        )

    def look(self, image):
        return (F.relu(self.encoder(image)),)


def tiny_bright(*, in_channels=3, object_classes=0, **_):
    """Return a network that marks pixels brighter than the middle grey."""
    torch.manual_seed(5)
    model = TinyNetwork(in_channels, object_classes)
    with torch.no_grad():
        for layer in (model.encoder, model.mix):
            layer.weight.mul_(0.3)
            layer.weight[0].zero_()
            layer.bias[0] = 0.0
        model.encoder.weight[0, :, 1, 1] = 1 / in_channels
        model.encoder.bias[0] = 1.0
        model.mix.weight[0, 0, 1, 1] = 1.0
        model.mask.weight.mul_(0.02)
        model.mask.weight[0, 0] = 8.0
        model.mask.bias[0] = -8.0
    return model


def register_tiny():
    """Let this process make the tiny network by its name."""
    if "tiny_bright" not in list_models():
        register_model(tiny_bright)


def save_tiny(path, *, classes=CLASSES, **card):
    """Write weights of the tiny network, with a card."""
    register_tiny()
    options = {"in_channels": 3, "object_classes": len(classes)}
    model = tiny_bright(**options)
    save_weights(
        path,
        model,
        WeightsCard(
            name="tiny",
            model="tiny_bright",
            options=options,
            object_classes=classes,
            input_px=INPUT_PX,
            prompt_channels=5,
            **card,
        ),
    )
    return path


def paint(seed, *, bright=0.35, count=3):
    """Return an image with discs of some brightness, their ids, and a class."""
    rng = np.random.default_rng(seed)
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    ids = np.zeros(SHAPE, np.uint32)
    large = bool(seed % 2)
    for number in range(1, count + 1):
        radius = rng.uniform(9, 11) if large else rng.uniform(6, 8)
        y = rng.uniform(13, SHAPE[0] - 13)
        x = 13 + (number - 0.5) * (SHAPE[1] - 26) / count
        ids[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = number
    grey = np.where(ids > 0, bright, 0.12) + rng.normal(0, 0.02, SHAPE)
    pixels = (grey.clip(0, 1) * 255).astype(np.uint8)
    return np.repeat(pixels[..., None], 3, axis=2), ids, CLASSES[large]


def make_project(path, *, images=6, change=None, is_finished=False, **painted):
    """Make a project whose images' discs are all accepted.

    ``change`` takes (ids, class name, number) and returns what is stored.
    """
    folder = path.with_suffix("") / "images"
    folder.mkdir(parents=True, exist_ok=True)
    ProjectStore.create(path).close()
    with closing(sqlite3.connect(path / "project.db")) as database, database:
        # folds depend on it: the same in every test
        database.execute("UPDATE settings SET value = ? WHERE name = 'salt'", (SALT,))
    with ProjectStore.open(path) as store:
        for number in range(images):
            add_image(
                store,
                folder / f"{number}.png",
                number,
                change=change,
                is_finished=is_finished,
                **painted,
            )
    return path


def add_image(store, file, number, *, change=None, is_finished=False, **painted):
    """Add an image with its accepted discs to a project."""
    pixels, ids, name = paint(number, **painted)
    iio.imwrite(file, pixels)
    record = ImageRecord(
        name=store.next_image_name(),
        fingerprint=fingerprint(file),
        shape=SHAPE,
        group=hide_group(f"patient {number}", store.salt),
    )
    store.add_image(record)
    note_paths(store.path, {record.fingerprint: file})
    if change is not None:
        ids, name = change(ids, name, number)
    numbers = [int(one) for one in np.unique(ids) if one]
    set_objects(
        store,
        record,
        np.ascontiguousarray(ids, np.uint32),
        dict.fromkeys(numbers, name),
        is_finished=is_finished,
    )
    return record
