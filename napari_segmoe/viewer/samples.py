"""Open Sample entries; none of them needs a network."""

from typing import Any

from napari_segmoe.data.phantom import make_breast_phantom
from napari_segmoe.types import LoadedImage, Modality
from napari_segmoe.viewer.readers import LayerData, to_layer

_SEED = 1


def open_benign_phantom() -> list[LayerData]:
    """Return a made-up breast ultrasound with a benign lesion."""
    return [_phantom_layer("benign")]


def open_malignant_phantom() -> list[LayerData]:
    """Return a made-up breast ultrasound with a malignant lesion."""
    return [_phantom_layer("malignant")]


def open_immunohistochemistry() -> list[LayerData]:
    """Return the stained colon section that comes with scikit-image."""
    from skimage.data import immunohistochemistry

    pixels: Any = immunohistochemistry()
    image = LoadedImage(pixels, modality=Modality.HISTOLOGY)
    return [to_layer(image, name="immunohistochemistry")]


def _phantom_layer(kind: str) -> LayerData:
    phantom = make_breast_phantom(_SEED, kind=kind)
    image = LoadedImage(
        phantom.image,
        spacing_um=phantom.spacing_um,
        modality=Modality.ULTRASOUND,
        notes=("This image is made up: no patient was scanned.",),
    )
    return to_layer(image, name=f"{kind} phantom")
