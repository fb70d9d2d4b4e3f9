"""Where objects agree with a truth, drawn over the image; and truths to choose."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_segmoe.data.folder import read_data_folder
from napari_segmoe.data.masks import read_mask
from napari_segmoe.errors import DataFolderError
from napari_segmoe.session.evaluating import TruthChoice
from napari_segmoe.session.session import Session
from napari_segmoe.viewer.drawing import rgb
from napari_segmoe.viewer.layers import LayerSync
from napari_segmoe.viewer.our_layers import MARK, is_ours
from napari_segmoe.viewer.placement import place_like

NAME = "SegMoE: agreement"
# told apart by colour-blind people too (Okabe and Ito)
COLOURS: Mapping[int, tuple[str, str]] = {
    1: ("#009E73", "Found and true"),
    2: ("#E69F00", "Found only (false positive)"),
    3: ("#CC79A7", "True only (missed)"),
}
OPACITY = 0.6


class AgreementLayer:
    """Keeps one labels layer with the session's overlay, where it is wanted.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer.
    session : Session
        Its session.
    layers : LayerSync
        Knows the image layer.
    """

    def __init__(self, viewer: Any, session: Session, layers: LayerSync) -> None:
        self._viewer = viewer
        self._session = session
        self._sync = layers
        self._layer: Labels | None = None
        self._shown: Any = None
        self.is_wanted = True
        viewer.layers.events.removed.connect(self._on_removed)
        session.evaluating.changed.connect(self.refresh)
        self.refresh()

    def close(self) -> None:
        """Let go of viewer and session; the layer stays."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._session.evaluating.changed.disconnect(self.refresh)

    def want(self, wanted: bool) -> None:
        """Show the overlay, or not."""
        self.is_wanted = wanted
        self.refresh()

    def refresh(self) -> None:
        """Show what the newest evaluation says of the present image."""
        overlay = self._session.evaluating.overlay
        image = self._sync.image_layer
        if overlay is None or image is None or not self.is_wanted:
            self._remove()
            return
        if overlay is self._shown and self._layer in self._viewer.layers:
            return
        self._shown = overlay
        if self._layer is None or self._layer.data.shape != overlay.shape:
            self._remove()
            self._make(image, overlay)
        else:
            self._layer.data = overlay
            self._layer.affine = self._placing(image)["affine"]

    def truths(self) -> list[Labels]:
        """Return the labels layers that may be a truth: none that we made."""
        return [
            layer
            for layer in self._viewer.layers
            if isinstance(layer, Labels) and not is_ours(layer) and layer.ndim == 2
        ]

    def open_case(self, data: Path, name: str) -> None:
        """Open an image of a data folder, its truth beside it.

        Raises
        ------
        DataFolderError
            If the folder has no such image, or it has no mask.
        """
        folder = read_data_folder(data)
        item = next((one for one in folder.items if one.name == name), None)
        if item is None or item.mask_path is None:
            raise DataFolderError(
                f"{name} is not in the data folder with a mask now. Evaluate again."
            )
        mask = read_mask(item.mask_path, kind=folder.mask_kind)
        self._viewer.open(str(item.image_path), plugin="napari-segmoe")
        image = self._sync.image_layer
        placing = {} if image is None else place_like(image)
        labels = mask.labels.astype(np.uint32)
        self._viewer.add_labels(labels, name=f"Truth of {name}", opacity=0.5, **placing)
        self._sync.activate_prompts()

    def _make(self, image: Any, overlay: Any) -> None:
        colours: dict[int | None, Any] = {None: (0, 0, 0, 0), 0: (0, 0, 0, 0)}
        colours |= {value: (*rgb(one), 1.0) for value, (one, _) in COLOURS.items()}
        layer = Labels(
            overlay,
            name=NAME,
            opacity=OPACITY,
            colormap=DirectLabelColormap(color_dict=colours),
            metadata={MARK: NAME},
            **self._placing(image),
        )
        layer.editable = False
        active = self._viewer.layers.selection.active
        self._viewer.add_layer(layer)
        self._layer = layer
        if active is not None:
            self._viewer.layers.selection.active = active

    def _placing(self, image: Any) -> dict[str, Any]:
        """Return where the session's image lies: it may be a region of a slide."""
        objects = self._sync.objects.current
        if objects is None:
            return place_like(image)
        return {"affine": objects.affine, "units": objects.units}

    def _remove(self) -> None:
        layer, self._layer, self._shown = self._layer, None, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _on_removed(self, event: Any) -> None:
        if self._layer is not None and event.value is self._layer:
            self._layer = None


def truth_of(layer: Labels) -> TruthChoice:
    """Return a labels layer as a truth; classes come from its features table."""
    features = layer.features
    class_of = None
    if {"index", "class"} <= set(features.columns):
        rows = zip(features["index"], features["class"], strict=True)
        class_of = {int(index): str(name) for index, name in rows if name}
    return TruthChoice(np.asarray(layer.data), layer.name, class_of=class_of)
