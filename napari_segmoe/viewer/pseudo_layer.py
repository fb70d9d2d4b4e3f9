"""Pseudo-labels that wait for a word, drawn over their image."""

from typing import Any

import numpy as np
from napari.layers import Labels, Layer
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from napari_segmoe.session.session import Session
from napari_segmoe.viewer.drawing import draw_outlined, outline_width, rgb
from napari_segmoe.viewer.layer_order import index_below
from napari_segmoe.viewer.layers import LayerSync
from napari_segmoe.viewer.our_layers import BOXES, MARK, PREDICTION, PROMPTS, STROKES

NAME = "Pseudo-labels"
# neither stained tissue nor a class nor a prediction has it; and no object is hatched
COLOUR = "#C8FF2E"
HATCH_OPACITY = 0.5
HATCHED, OUTLINE = 1, 2
_STRIPES = 20  # across an image's longer side
_ABOVE = (PREDICTION, BOXES, STROKES, PROMPTS)


class PseudoLayer:
    """Keeps one labels layer with the chosen pseudo-labels, where they are shown.

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
        self._shown: Any = None  # the label pixels that the layer shows
        # viewer -> session
        viewer.layers.events.removed.connect(self._on_removed)
        # session -> viewer
        session.pseudo_labels.changed.connect(self.refresh)
        layers.image_placed.connect(self._on_image_placed)
        self.refresh()

    @property
    def layer(self) -> Labels | None:
        """The layer, where there is one."""
        return self._layer

    def close(self) -> None:
        """Let go of viewer and session; the layer stays."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._session.pseudo_labels.changed.disconnect(self.refresh)
        self._sync.image_placed.disconnect(self._on_image_placed)

    def refresh(self) -> None:
        """Show what is chosen, if it lies on the present image."""
        found = self._session.pseudo_labels.overlay
        image = self._session.image
        if found is None or image is None or self._sync.image_layer is None:
            self._remove()
            return
        box, labels = found
        if self._layer is None or self._layer.data.shape != image.shape:
            self._remove()
            self._make(_draw(box, labels, image.shape))
        elif self._shown is not labels:
            self._layer.data = _draw(box, labels, image.shape)
        self._shown = labels
        assert self._layer is not None, "it was made"
        self._raise(self._sync.image_layer)
        placing = self._sync.placing()
        self._layer.units, self._layer.affine = placing["units"], placing["affine"]

    def _make(self, drawn: NDArray[np.uint32]) -> None:
        tint, none = rgb(COLOUR), (0.0, 0.0, 0.0, 0.0)
        colours: dict[int | None, Any] = {
            None: none,
            0: none,
            HATCHED: (*tint, HATCH_OPACITY),
            OUTLINE: (*tint, 1.0),
        }
        layer = Labels(
            drawn,
            name=NAME,
            opacity=1.0,
            colormap=DirectLabelColormap(color_dict=colours),
            metadata={MARK: NAME},
            **self._sync.placing(),
        )
        layer.editable = False
        layers = self._viewer.layers
        with self._sync.keeping_selection():
            layers.insert(index_below(layers, self._above()), layer)
        self._layer = layer

    def _above(self) -> list[Layer]:
        """Return our layers that lie above it."""
        found = self._viewer.layers
        return [one for one in found if one.metadata.get(MARK) in _ABOVE]

    def _raise(self, image: Layer) -> None:
        """Lie above an image that was added on top."""
        layers = self._viewer.layers
        if self._layer in layers and layers.index(self._layer) < layers.index(image):
            with self._sync.keeping_selection():
                at = max(index_below(layers, self._above()), layers.index(image) + 1)
                layers.move(layers.index(self._layer), at)

    def _remove(self) -> None:
        layer, self._layer, self._shown = self._layer, None, None
        if layer is not None and layer in self._viewer.layers:
            with self._sync.keeping_selection():
                self._viewer.layers.remove(layer)

    def _on_removed(self, event: Any) -> None:
        if self._layer is not None and event.value is self._layer:
            self._layer = self._shown = None  # by the user: it is not wanted
            self._session.pseudo_labels.show(is_shown=False)

    def _on_image_placed(self, _: object = None) -> None:
        self.refresh()


def _draw(
    box: tuple[int, int, int, int], labels: NDArray[np.uint32], shape: tuple[int, int]
) -> NDArray[np.uint32]:
    """Return an image's pixels, (H, W): the objects of a box, hatched and outlined."""
    whole = np.zeros(shape, np.uint32)
    y0, x0, y1, x1 = box
    whole[y0:y1, x0:x1] = labels
    drawn = draw_outlined(whole, outline_width(shape) + 1)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    stripe = max(max(shape) // (4 * _STRIPES), 1)
    is_hatched = (rows + columns) % (4 * stripe) < stripe
    is_inside = drawn % 2 == 1
    found: NDArray[np.uint32] = np.where(drawn > 0, OUTLINE, 0).astype(np.uint32)
    found[is_inside] = np.where(is_hatched, HATCHED, 0)[is_inside]
    return found
