"""Asking a child process of `segmoe bench` for its figures."""

import json
import subprocess
from collections.abc import Sequence
from typing import Any


def ask_child(command: Sequence[str], *, seconds: float) -> dict[str, Any]:
    """Return the JSON object that a child prints.

    Parameters
    ----------
    command : sequence of str
        Its words.
    seconds : float
        How long it may take.

    Returns
    -------
    dict
        Its figures; where it failed ``reason`` alone, one sentence.
    """
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return {"reason": f"no answer within {seconds} s"}
    if answer.returncode != 0:
        return {"reason": (answer.stderr.strip().splitlines() or ["no message"])[-1]}
    try:
        return dict(json.loads(answer.stdout[answer.stdout.index("{") :]))
    except ValueError:
        return {"reason": "the child process printed no JSON"}
