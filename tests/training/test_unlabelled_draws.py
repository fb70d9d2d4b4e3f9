"""Views of images without masks: order, seeds, weak and strong, mixing."""

import numpy as np
import pytest
import torch

from napari_segmoe.training.config import make_config
from napari_segmoe.training.sources import Source
from napari_segmoe.training.unlabelled_draws import UnlabelledDrawer, stack_views


def _source(number, *, spaced):
    """An image of one brightness, which says which it is."""
    level = torch.full((3, 48, 64), 40 * (number + 1), dtype=torch.uint8)
    return Source(
        name=f"image_{number}",
        shape=(48, 64),
        levels=(level,),
        labels=(torch.zeros(48, 64, dtype=torch.int32 if spaced else torch.uint8),),
        objects=(),
        image_class=-1,
        object_class=-1,
        spacing_um=1.0 if spaced else None,
    )


def _drawer(tmp_path, *, count=5, spaced=True, **changes):
    values = {"spacing_um": 1.0, "modality": "histology"} if spaced else {}
    config = make_config(
        data=tmp_path,
        out=tmp_path / "run",
        input_px=32,
        batch_size=2,
        **(values | changes),
    )
    sources = [_source(number, spaced=spaced) for number in range(count)]
    return UnlabelledDrawer(config, sources)


def _which(view):
    """Return the image that a plain view shows most of."""
    return round(float(view.image.median()) * 255 / 40) - 1


@pytest.mark.parametrize("spaced", [True, False])
def test_all_images_come_before_any_comes_again(tmp_path, spaced):
    drawer = _drawer(tmp_path, spaced=spaced, weak_to_strong=True, warp_reach=0.0)
    places = [place for number in range(5) for place in drawer.places(number)]
    assert places == list(range(10))
    shown = [_which(drawer.draw(0, place)) for place in places]
    assert sorted(shown[:5]) == sorted(shown[5:]) == list(range(5))
    assert shown[:5] != shown[5:]


def test_a_view_is_a_function_of_seed_epoch_and_place(tmp_path):
    first, again = (_drawer(tmp_path, seed=3).draw(1, 4) for _ in range(2))
    assert torch.equal(first.image, again.image)
    others = [
        _drawer(tmp_path, seed=4).draw(1, 4),
        _drawer(tmp_path, seed=3).draw(2, 4),
    ]
    assert not any(torch.equal(first.image, other.image) for other in others)


def test_a_batch_size_of_its_own(tmp_path):
    drawer = _drawer(tmp_path, unlabelled_batch_size=3)
    assert drawer.places(2) == [6, 7, 8]


@pytest.mark.parametrize("spaced", [True, False])
def test_plain_views_keep_their_colours_and_strong_ones_do_not(tmp_path, spaced):
    drawer = _drawer(tmp_path, spaced=spaced, weak_to_strong=True)
    changed = 0
    for place in range(10):
        view = drawer.draw(0, place)
        levels = np.unique((view.image.numpy() * 255).round())
        assert set(levels) <= {0, 40, 80, 120, 160, 200, 255} | set(range(201))
        changed += not torch.equal(view.image, view.strong)
        assert view.strong.shape == view.image.shape
    assert changed >= 8


def test_without_strong_views_there_is_one_augmented_view(tmp_path):
    view = _drawer(tmp_path).draw(0, 0)
    assert view.strong is None
    batch = stack_views([view, view])
    assert batch.strong is None
    assert batch.pasted is None
    assert batch.image.shape == (2, 3, 32, 32)
    assert torch.allclose(batch.image[0], (view.image - 0.5) / 0.5)


def test_about_half_of_the_strong_views_are_mixed_by_a_box(tmp_path):
    drawer = _drawer(tmp_path, weak_to_strong=True)
    views = [drawer.draw(0, place) for place in range(60)]
    shares = np.array([view.pasted.mean() for view in views])
    mixed = shares[shares > 0]
    assert 15 < mixed.size < 45
    assert mixed.max() < 0.5
    one = next(view.pasted for view in views if view.pasted.any())
    rows, columns = one.any(axis=1), one.any(axis=0)
    assert one.sum() == rows.sum() * columns.sum()  # a full box
    batch = stack_views(views[:4])
    assert batch.pasted.shape == (4, 1, 32, 32)
    assert batch.pasted.dtype == torch.bool
