"""Networks by name."""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from napari_segmoe.errors import ModelOptionError, UnknownModelError

if TYPE_CHECKING:
    from torch import nn

_ARCHITECTURES = (
    "decoder_interaction",
    "mixsearch",
    "utanet",
    "semi_moe",
    "resformer",
)
_LEAST = {"in_channels": 1, "classes": 1, "image_classes": 0, "object_classes": 0}
_BUILDERS: dict[str, Callable[..., "nn.Module"]] = {}

B = TypeVar("B", bound=Callable[..., "nn.Module"])


def register_model(builder: B) -> B:
    """Make ``builder`` available to `create_model` under its own name.

    Raises
    ------
    ValueError
        If the name is taken.
    """
    name = builder.__name__
    if name in _BUILDERS:
        raise ValueError(f"Model {name!r} is already registered.")
    _BUILDERS[name] = builder
    return builder


def list_models() -> tuple[str, ...]:
    """Return the names of all registered presets, sorted."""
    _import_architectures()
    return tuple(sorted(_BUILDERS))


def create_model(name: str, **options: Any) -> "nn.Module":
    """Build the preset ``name``.

    Parameters
    ----------
    name : str
        One of `list_models`.
    **options
        Options of that preset's builder, e.g. ``in_channels`` and ``classes``.

    Raises
    ------
    UnknownModelError
        If no preset has that name.
    ModelOptionError
        If the preset does not take an option, or a count of channels or classes is
        out of range.
    """
    _import_architectures()
    if name not in _BUILDERS:
        known = ", ".join(sorted(_BUILDERS))
        raise UnknownModelError(f"No model {name!r}. Known models: {known}.")
    try:
        _check_counts(name, options)
        return _BUILDERS[name](**options)
    except TypeError as error:
        raise ModelOptionError(
            f"Model {name!r} cannot be built with {options}: {error}."
        ) from error


def _check_counts(name: str, options: dict[str, Any]) -> None:
    for option, least in _LEAST.items():
        if options.get(option, least) < least:
            raise ModelOptionError(
                f"Model {name!r} cannot be built with {option}={options[option]};"
                f" give at least {least}."
            )


def _import_architectures() -> None:
    for architecture in _ARCHITECTURES:
        import_module(f"napari_segmoe.models.{architecture}")
