"""Click a lesion or a gland, get its mask and its class at once.

Public names load on first use, so that ``import napari_segmoe`` stays cheap: it
imports neither torch nor napari nor Qt.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "Box": "napari_segmoe.types",
    "Click": "napari_segmoe.types",
    "Prediction": "napari_segmoe.types",
    "Prompts": "napari_segmoe.types",
    "Stroke": "napari_segmoe.types",
    "create_model": "napari_segmoe.models.registry",
    "launch": "napari_segmoe.viewer.launch",
    "list_models": "napari_segmoe.models.registry",
    "load_predictor": "napari_segmoe.inference.predictor",
    "read_image": "napari_segmoe.data.images",
}

__all__ = [*sorted(_PUBLIC), "__version__"]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    """List the public names too."""
    return sorted({*globals(), *_PUBLIC})
