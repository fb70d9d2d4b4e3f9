"""Readers and samples give napari layers with scale, units and origin."""

import numpy as np
import pytest
from napari.components import ViewerModel
from PIL import Image

from napari_segmoe.errors import ImageReadError
from napari_segmoe.viewer import readers, samples


def add(layers):
    viewer = ViewerModel()
    for data, options, kind in layers:
        getattr(viewer, f"add_{kind}")(data, **options)
    return viewer.layers[0]


def test_dicom_layer_has_scale_units_and_modality(dicom_samples):
    layer = add(readers.read_layers(str(dicom_samples / "examples_palette.dcm")))
    assert layer.rgb
    assert layer.scale == pytest.approx([262.287877, 262.287877])
    assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
    assert layer.metadata["modality"] == "ultrasound"
    assert layer.metadata["origin_yx"] == (60, 120)


def test_a_clip_becomes_a_stack_of_frames(dicom_samples):
    layer = add(readers.read_layers(str(dicom_samples / "examples_ybr_color.dcm")))
    assert layer.data.shape[0] == 30
    assert layer.data.ndim == 4
    assert layer.data[29].any()


def test_notes_are_shown(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(readers, "show_info", shown.append)
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / "a.png")
    layer = add(readers.read_layers(str(tmp_path / "a.png")))
    assert layer.name == "a"
    assert shown == ["The image is entirely black."]
    assert layer.metadata["spacing_um"] is None


def test_folders_and_missing_files_are_left_to_others(tmp_path):
    assert readers.get_image_reader(str(tmp_path)) is None
    assert readers.get_image_reader(str(tmp_path / "a.dcm")) is None


def test_a_broken_file_is_one_sentence(tmp_path):
    (tmp_path / "a.png").write_text("nothing")
    reader = readers.get_image_reader(str(tmp_path / "a.png"))
    with pytest.raises(ImageReadError, match="not an image"):
        reader(str(tmp_path / "a.png"))


def test_phantom_samples_open_with_their_scale():
    layer = add(samples.open_benign_phantom())
    assert layer.data.shape == (420, 560)
    assert layer.metadata["modality"] == "ultrasound"
    assert layer.scale == pytest.approx([38_000 / 420] * 2)
    other = add(samples.open_malignant_phantom())
    assert not np.array_equal(layer.data, other.data)


def test_the_histology_sample_needs_no_network(monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("a network was asked for")

    monkeypatch.setattr("socket.socket.connect", refuse)
    layer = add(samples.open_immunohistochemistry())
    assert layer.data.shape == (512, 512, 3)
    assert layer.metadata["modality"] == "histology"
