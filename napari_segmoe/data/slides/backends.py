"""The libraries that read slides: which are here, and how to get the others."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

INSTALL_SLIDES = 'pip install "napari-segmoe[slides]"'


@dataclass(frozen=True, slots=True)
class Backend:
    """A library that reads slides.

    Attributes
    ----------
    name : str
    version : str or None
        None where it is not installed, or does not load.
    install : str
        The command that installs it.
    formats : tuple of str
        What it reads.
    """

    name: str
    version: str | None
    install: str
    formats: tuple[str, ...]


def list_backends() -> tuple[Backend, ...]:
    """Return every library that a slide may need, here or not."""
    return (
        Backend(
            "OpenSlide",
            openslide_version(),
            INSTALL_SLIDES,
            ("svs", "ndpi", "mrxs", "scn", "bif", "vms", "vmu", "svslide", "czi"),
        ),
        Backend(
            "tifffile",
            _version("tifffile"),
            "pip install tifffile imagecodecs",
            ("OME-TIFF", "tiled TIFF", "svs"),
        ),
        Backend(
            "wsidicom", _version("wsidicom"), INSTALL_SLIDES, ("DICOM whole slide",)
        ),
        Backend("zarr", _version("zarr"), 'pip install "zarr>=3"', ("OME-Zarr",)),
        Backend(
            "Pillow",
            _version("pillow"),
            "pip install pillow",
            ("PNG", "JPEG", "BMP", "WebP"),
        ),
    )


def openslide_version() -> str | None:
    """Return the version of the OpenSlide library, or None where it does not load."""
    try:
        import openslide
    except (ImportError, OSError):  # the package without its library is an OSError
        return None
    return str(openslide.__library_version__)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
