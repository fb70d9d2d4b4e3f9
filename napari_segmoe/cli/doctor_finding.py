"""What a check of `segmoe doctor` found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check.

    Attributes
    ----------
    name : str
        What was looked for.
    ok : bool
        Whether it is there and works.
    found : str
        What was found.
    mend : str
        The command that mends it; empty where nothing is to be done.
    """

    name: str
    ok: bool
    found: str
    mend: str = ""
