"""A threshold is chosen on images that are not scored."""

from dataclasses import replace

import numpy as np
import pytest

from napari_segmoe.data.folder import read_data_folder
from napari_segmoe.data.splits import split_groups, split_hash
from napari_segmoe.errors import ConfigError
from napari_segmoe.training.threshold_choice import choose_threshold, choosing_items


def _finish(job):
    while True:
        try:
            next(job)
        except StopIteration as end:
            return end.value


class _Timid:
    """Right everywhere, but never surer than 0.3."""

    def __init__(self, inner):
        self.inner, self.card = inner, inner.card

    def set_image(self, *args, **more):
        self.inner.set_image(*args, **more)

    def predict(self):
        answer = self.inner.predict()
        probability = np.where(answer.mask, 0.3, 0.12).astype(np.float32)
        return replace(answer, probability=probability)


def test_the_threshold_with_the_best_dice_is_found(brightness_predictor, bright_folder):
    folder = read_data_folder(bright_folder)
    items = folder.select("train")
    choice = _finish(choose_threshold(_Timid(brightness_predictor), folder, items))
    assert choice["threshold"] == 0.3  # of 0.15 to 0.3 the nearest to 0.5
    assert choice["dice"] == 1
    assert choice["dice_at_half"] == 0
    assert choice["n"] == 2  # the normal image says nothing


def test_equal_thresholds_leave_the_half(brightness_predictor, bright_folder):
    folder = read_data_folder(bright_folder)
    items = folder.select("train")
    choice = _finish(choose_threshold(brightness_predictor, folder, items))
    assert choice["threshold"] == 0.5


def test_scored_images_are_never_chosen_on(brightness_predictor, bright_folder):
    folder = read_data_folder(bright_folder)
    card = brightness_predictor.card
    with pytest.raises(ConfigError, match="scored images"):
        choosing_items(folder, card, "test", folder.select("test"))
    chosen = choosing_items(folder, card, "train", folder.select("test"))
    assert {item.split for item in chosen} == {"train"}
    with pytest.raises(ConfigError, match="no split 'elsewhere'"):
        choosing_items(folder, card, "elsewhere", folder.select("test"))


def test_the_weights_own_validation_images_are_carved_again(
    brightness_predictor, bright_folder
):
    folder = read_data_folder(bright_folder)
    train, validation = split_groups(folder.select("train"), 0.4, 3)
    marked = [
        *(replace(item, split="train") for item in train),
        *(replace(item, split="validation") for item in validation),
    ]
    split = {
        "from": "train",
        "seed": 3,
        "validation_fraction": 0.4,
        "sha256": split_hash(marked),
    }
    card = brightness_predictor.card.model_copy(update={"split": split})
    found = choosing_items(folder, card, "validation", folder.select("test"))
    assert {item.name for item in found} == {item.name for item in validation}
    changed = card.model_copy(update={"split": split | {"sha256": "other"}})
    unknown = card.model_copy(update={"split": {}})
    with pytest.raises(ConfigError, match="not trained on this folder"):
        choosing_items(folder, changed, "validation", folder.select("test"))
    with pytest.raises(ConfigError, match="does not say"):
        choosing_items(folder, unknown, "validation", folder.select("test"))


def test_a_folder_with_a_validation_split_uses_its_own(
    brightness_predictor, bright_folder
):
    labels = bright_folder / "labels.csv"
    labels.write_text(labels.read_text().replace(",train,", ",validation,"))
    folder = read_data_folder(bright_folder)
    found = choosing_items(
        folder, brightness_predictor.card, "validation", folder.select("test")
    )
    assert len(found) == 3
