"""What a round told before it was killed, and after its last saved state."""

import json

from napari_segmoe.training.run_folder import RunFolder

_EVENTS = "events.jsonl"


def keep_told(folder: RunFolder, count: int) -> None:
    """Keep the first so many events; what is told again is not told twice."""
    kept = folder.read_events()[:count]
    partial = folder.path / ".events.partial"
    text = "".join(json.dumps(event) + "\n" for event in kept)
    partial.write_text(text, encoding="utf-8")
    partial.replace(folder.path / _EVENTS)
