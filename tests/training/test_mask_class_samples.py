"""Samples, batches and losses of masks that tell classes apart."""

import numpy as np
import pytest
import torch

from napari_segmoe.errors import ConfigError, DataFolderError
from napari_segmoe.models.registry import create_model
from napari_segmoe.training.batches import make_batch
from napari_segmoe.training.class_balance import balance_classes, repeat_rare
from napari_segmoe.training.class_losses import class_mask_loss, image_class_loss
from napari_segmoe.training.config import make_config
from napari_segmoe.training.recipes import recipe_for
from napari_segmoe.training.run_data import load_run_data
from napari_segmoe.training.samples import SampleOptions, draw_sample, plain_sample
from napari_segmoe.training.sources import label_class_objects
from napari_segmoe.training.spaced_samples import SpacedOptions, draw_spaced_sample
from tests.training.lesions import NAMES, write_lesions


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_lesions(tmp_path_factory.mktemp("lesions") / "data")


def _config(folder, tmp_path, **more):
    settings = {"data": folder, "out": tmp_path / "run", "validation_fraction": 0.3}
    return make_config(**settings, input_px=64, image_head=False, **more)


@pytest.fixture
def data(folder, tmp_path):
    return load_run_data(_config(folder, tmp_path))


def _draw(source, seed, *, prompts):
    options = SampleOptions(output_px=64, prompt_share=prompts, background_share=0.0)
    return draw_sample(source, np.random.default_rng(seed), options=options)


def test_pieces_of_each_class_are_objects_and_specks_are_unknown():
    numbers = np.zeros((40, 40), np.uint8)
    numbers[2:12, 2:12], numbers[2:12, 12:22], numbers[30:33, 30:33] = 1, 3, 2
    numbers[20:30, 2:12], numbers[38, :] = 1, 255
    ids, classes = label_class_objects(numbers)
    assert classes == {1: 0, 2: 0, 3: 2}
    assert ids[5, 15] == 3
    assert ids[31, 31] == ids[38, 0] == -1


def test_objects_have_classes_of_their_own(data):
    assert data.mask_classes == data.object_classes == NAMES
    assert data.classes == ()
    for source in data.train:
        shown = {one.class_number for one in source.objects}
        assert {0, 1} <= shown
        assert source.class_of_id[-1] == 255


@pytest.mark.parametrize("seed", range(10))
def test_the_class_asked_for_is_that_of_the_clicked_object(data, seed):
    sample = _draw(data.train[seed % len(data.train)], seed, prompts=1.0)
    known = sample.classes[sample.truth]
    assert np.unique(known).tolist() == [sample.object_class + 1]
    assert sample.present[sample.object_class]


@pytest.mark.parametrize("seed", range(6))
def test_without_prompt_one_of_several_objects_is_asked_for(data, seed):
    sample = _draw(data.train[seed % len(data.train)], seed, prompts=0.0)
    assert len(np.unique(sample.classes[sample.truth])) >= 2
    assert sample.pooled.sum() < sample.truth.sum()
    assert set(np.unique(sample.classes[sample.pooled])) == {sample.object_class + 1}


def test_background_clicks_keep_what_is_present_and_mark_nothing(data):
    options = SampleOptions(output_px=64, prompt_share=1.0, background_share=1.0)
    sample = draw_sample(data.train[0], np.random.default_rng(1), options=options)
    assert not sample.truth.any()
    assert not sample.classes.any()
    assert sample.present[:2].all()
    assert sample.object_class == -1


def test_samples_at_a_pixel_size_have_classes_too(folder, tmp_path):
    config = _config(folder, tmp_path, spacing_um=1.0, data_spacing_um=1.0)
    source = load_run_data(config).train[0]
    options = SpacedOptions(48, 1.0, prompt_share=1.0, background_share=0.0)
    for seed in range(4):
        sample = draw_spaced_sample(
            source, np.random.default_rng(seed), options=options
        )
        found = np.unique(sample.classes[sample.truth])
        if sample.prompts:
            assert found.tolist() == [sample.object_class + 1]


def test_unknown_pixels_are_neither_object_nor_background(tmp_path):
    folder = write_lesions(tmp_path / "unknown", unknown=True)
    data = load_run_data(_config(folder, tmp_path))
    sample = plain_sample(data.train[0], output_px=64)
    unknown = sample.classes == 255
    assert unknown.any()
    assert not sample.truth[unknown].any()
    batch = make_batch([sample])
    assert batch.counted[0, 0].numpy()[unknown].max() == 0
    assert batch.counted[0, 0].numpy()[~unknown].min() == 1


def test_batches_of_masks_with_and_without_classes_go_together(data, tiny_folder):
    other = load_run_data(make_config(data=tiny_folder, out=tiny_folder / "none"))
    plain = next(one for one in other.train if one.objects)
    batch = make_batch(
        [plain_sample(data.train[0], output_px=64), plain_sample(plain, output_px=64)]
    )
    assert batch.truth_classes.shape == (2, 64, 64)
    assert set(batch.truth_classes[1].unique().tolist()) == {0, 255}
    assert batch.counted[1].min() == 1
    assert batch.present[1].isnan().all()


def test_masks_without_classes_make_batches_as_before(tiny_folder):
    data = load_run_data(make_config(data=tiny_folder, out=tiny_folder / "none"))
    batch = make_batch([plain_sample(data.train[0], output_px=32)])
    assert batch.truth_classes is batch.present is batch.counted is None


def test_classes_are_merged_and_left_out(folder, tmp_path):
    data = load_run_data(_config(folder, tmp_path, merge_classes={"speck": "spot"}))
    assert data.mask_classes == ("spot", "gap")
    assert "speck counts as spot" in data.notes[-1]
    one = load_run_data(
        _config(folder, tmp_path, merge_classes={"speck": "spot", "gap": "background"})
    )
    assert one.mask_classes == ()
    assert one.train[0].mask_classes == 0


def test_names_of_the_configuration_replace_those_of_the_folder(folder, tmp_path):
    data = load_run_data(_config(folder, tmp_path, mask_classes=("a", "b", "c")))
    assert data.mask_classes == ("a", "b", "c")


def test_merging_what_is_not_there_is_refused(folder, tiny_folder, tmp_path):
    with pytest.raises(DataFolderError, match="'spots'"):
        load_run_data(_config(folder, tmp_path, merge_classes={"spots": "gap"}))
    with pytest.raises(ConfigError, match="merge_classes needs masks"):
        load_run_data(_config(tiny_folder, tmp_path, merge_classes={"spot": "gap"}))


def test_rare_classes_weigh_more_and_pixels_one_on_average(data):
    balance = balance_classes(data.train)
    assert balance.pixels[0] == 1
    assert balance.pixels[3] > balance.pixels[1]
    assert balance.images[2] > balance.images[0]
    shares = np.zeros(3)
    for source in data.train:
        ids = source.labels[0].numpy()
        shares += np.bincount(source.class_of_id[ids[ids > 0]], minlength=4)[1:]
    assert (balance.pixels[1:].numpy() * shares).sum() == pytest.approx(shares.sum())


def test_images_of_rare_classes_are_repeated(data):
    rare = [s for s in data.train if any(o.class_number == 2 for o in s.objects)]
    share = len(rare) / len(data.train)
    repeated = repeat_rare(data.train, min(4 * share, 1.0))
    for source in data.train:
        expected = round(min(4.0, 1 / share) ** 0.5) if source in rare else 1
        assert repeated.count(source) == expected
    assert repeat_rare(data.train, 0.0) == data.train


def test_the_multi_label_loss_learns_what_is_in_the_view(folder, tmp_path):
    config = _config(folder, tmp_path, class_loss="multi_label")
    config = config.model_copy(update={"image_head": True})
    data = load_run_data(config)
    assert data.classes == NAMES
    assert data.card(config, {}, validation={}).multi_label
    batch = make_batch([plain_sample(one, output_px=64) for one in data.train[:2]])
    right = torch.where(batch.present > 0, 20.0, -20.0)
    assert image_class_loss(right, batch, config).item() == pytest.approx(0, abs=1e-6)
    assert image_class_loss(-right, batch, config).item() > 10


def test_the_multi_label_loss_of_single_classes_is_one_against_the_rest(tiny_folder):
    config = make_config(
        data=tiny_folder, out=tiny_folder / "none", class_loss="multi_label"
    )
    data = load_run_data(config)
    assert data.classes == ("benign", "malignant", "normal")
    batch = make_batch([plain_sample(one, output_px=32) for one in data.train[:3]])
    right = torch.nn.functional.one_hot(batch.image_class, 3) * 40.0 - 20.0
    assert image_class_loss(right, batch, config).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        "decoder_interaction_lite",
        "mixsearch_lite",
        "resformer_lite",
        "semi_moe_lite",
        "utanet_lite",
    ],
)
@pytest.mark.parametrize("recipe", ["multitask", "supervised"])
def test_each_network_learns_classes_by_each_recipe(folder, tmp_path, model, recipe):
    config = _config(folder, tmp_path, model=model, recipe=recipe)
    data = load_run_data(config)
    found = recipe_for(config, data)
    stage = found.stages()[0]
    options = found.model_options(stage)
    assert (options["classes"], options["object_classes"]) == (4, 3)
    torch.manual_seed(0)
    network = create_model(model, **options)
    step = found.make_step(network)
    batch = found.stack([_draw(data.train[0], 2, prompts=p) for p in (0.0, 1.0)])
    losses = step(batch)
    losses["loss"].backward()
    assert torch.isfinite(losses["loss"])
    output = network.eval()(batch.image, batch.prompts)
    assert output.logits.shape[1] == 4
    assert class_mask_loss(output.logits, batch) is not None
    grads = [p.grad.abs().sum() for p in network.parameters() if p.grad is not None]
    assert all(torch.isfinite(one) for one in grads)
    head = network.region_head.out.weight.grad
    assert head is not None
    assert head.abs().sum() > 0
