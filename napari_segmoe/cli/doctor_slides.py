"""The checks of `segmoe doctor` for slides: one for each library that reads them.

The codecs of tiled TIFFs (JPEG, JPEG 2000 ...) are its check of TIFF codecs.
"""

from napari_segmoe.cli.doctor_finding import Finding
from napari_segmoe.data.slides.opening import Backend, list_backends


def check_slides() -> list[Finding]:
    """Say which kinds of slide can be opened here; never raises."""
    return [_check_backend(backend) for backend in list_backends()]


def _check_backend(backend: Backend) -> Finding:
    name, formats = f"slides: {backend.name}", ", ".join(backend.formats)
    if backend.version is None:
        found = f"not installed, or does not load; needed for {formats}"
        return Finding(name, False, found, backend.install)
    return Finding(name, True, f"{backend.version}: {formats}")
