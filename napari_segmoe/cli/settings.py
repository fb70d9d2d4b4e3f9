"""Settings given as KEY=VALUE words."""

from collections.abc import Sequence
from typing import Any

import yaml

from napari_segmoe.errors import ConfigError


def parse_settings(settings: Sequence[str], *, example: str) -> dict[str, Any]:
    """Return the values of ``--set`` by name; each value is read as YAML.

    Parameters
    ----------
    settings : sequence of str
        KEY=VALUE each; dashes in a key count as underscores.
    example : str
        One that would do, for the error.

    Raises
    ------
    ConfigError
        If a word has no equals sign, or its value is not YAML.
    """
    values = {}
    for setting in settings:
        key, equals, words = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set {setting!r} must be KEY=VALUE, as in {example}.")
        try:
            value = yaml.safe_load(words)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {setting!r}: the value is not YAML.") from error
        # YAML reads 3e-4, without a point, as a word: pydantic turns it to a number.
        values[key.strip().replace("-", "_")] = "" if value is None else value
    return values
