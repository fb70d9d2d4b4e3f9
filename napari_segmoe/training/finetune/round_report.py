"""`report.md` of a learning round: the decision with its figures, curves, answers."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import nn

from napari_segmoe.data.page_layout import place_beside, stack
from napari_segmoe.training.curves import draw_chart
from napari_segmoe.training.finetune.network import Machine
from napari_segmoe.training.finetune.probes import Probe, ProbeAnswer, ask_probes
from napari_segmoe.training.run_folder import RunFolder
from napari_segmoe.training.sample_sheet import draw_answers, framed
from napari_segmoe.training.samples import Sample
from napari_segmoe.types import Prompts

ENDINGS = ("done", "stopped", "failed")
_FOLDER, _PAGE = "report", "report.md"
_SHOWN = 6
_COMPARED = (
    ("Dice of held-out objects", "dice"),
    ("IoU after one click", "click_iou"),
    ("Right classes", "accuracy"),
    ("Dice of old images", "old_domain_dice"),
)
_OLD = {"old_domain_dice": "old_domain_old_dice"}
_JUDGED = {
    "quarantine": "objects that no round learns from",
    "cross_fitting": "cross-fitting: each object by a training that did not see it",
}

Event = Mapping[str, Any]


def write_round_report(folder: RunFolder) -> None:
    """Write the page anew from all events of a round; a full disk leaves it out."""
    events = folder.read_events()
    with suppress(OSError):
        charts = draw_round(events)
        if charts is not None:
            _save(folder.path, "curves.png", charts)
        pictures = folder.path / _FOLDER
        text = describe_round(
            events,
            has_curves=charts is not None,
            has_answers=(pictures / "answers.png").exists(),
        )
        partial = folder.path / f".{_PAGE}.partial"
        partial.write_text(text, encoding="utf-8")
        partial.replace(folder.path / _PAGE)


def show_round_answers(
    folder: RunFolder,
    model: nn.Module,
    probes: Sequence[Probe],
    before: Sequence[ProbeAnswer],
    machine: Machine,
) -> None:
    """Draw what was marked in a few views before the round, and after it.

    Parameters
    ----------
    folder : RunFolder
    model : nn.Module
        The candidate.
    probes : sequence of Probe
    before : sequence of ProbeAnswer
        Of the weights that the round began with, one a probe.
    machine : Machine
    """
    places = np.linspace(0, len(probes) - 1, min(_SHOWN, len(probes))).round()
    chosen = [int(place) for place in dict.fromkeys(places)]
    if not chosen:
        return
    shown = [probes[number] for number in chosen]
    known = [one.ids >= 0 for one in shown]
    answers = list(ask_probes(model, shown, machine))
    after = [(a.scores > 0) & k for a, k in zip(answers, known, strict=True)]
    old = [(before[n].scores > 0) & k for n, k in zip(chosen, known, strict=True)]
    samples = [_sample(one) for one in shown]
    pages = [
        draw_answers(zip(samples, masks, strict=True), title=title)
        for title, masks in (("Before the round", old), ("After the round", after))
    ]
    with suppress(OSError):
        _save(folder.path, "answers.png", stack(pages, gap=0))


def draw_round(events: Sequence[Event]) -> Image.Image | None:
    """Draw losses and hold-out figures of each training over its steps."""
    losses: dict[str, list[tuple[float, float]]] = {}
    figures: dict[str, list[tuple[float, float]]] = {}
    pseudo: dict[str, list[tuple[float, float]]] = {}
    for event in events:
        kind, number = event["event"], event.get("epoch", 0) + 1
        if kind == "progress":
            line = losses.setdefault(f"training {number}", [])
            line.append((event["step"], event["loss"]))
        elif kind == "validation":
            for name, value in event["validation"].items():
                figures.setdefault(name, []).append((event["step"], value))
        elif kind == "pseudo_labels" and event["is_on"]:
            for name in ("agreement", "counted", "weight"):
                if isinstance(event.get(name), int | float):
                    line = pseudo.setdefault(f"{name} {number}", [])
                    line.append((event["step"], event[name]))
    charts = [
        draw_chart(title, lines, x_name="step")
        for title, lines in (
            ("Training loss", losses),
            ("Held-out objects", figures),
            ("Pseudo-labels", pseudo),
        )
        if lines
    ]
    if not charts:
        return None
    rows = [place_beside(charts[i : i + 2], gap=20) for i in range(0, len(charts), 2)]
    return framed(stack(rows, gap=20))


def describe_round(
    events: Sequence[Event], *, has_curves: bool, has_answers: bool
) -> str:
    """Return the page as Markdown."""
    start = _last(events, "start") or {}
    guard = _last(events, "guard") or {}
    figures = guard.get("figures", {})
    parts = [
        f"# {start.get('round', 'Learning round')}",
        _say_decision(events),
        _facts(start, events),
        _comparison(figures),
        _trainings(events),
    ]
    if has_curves:
        parts.append("## Curves\n\n![Losses and figures](report/curves.png)")
    if has_answers:
        parts.append(
            "## Answers\n\nViews of accepted objects, marked only where something is"
            " known. What is published has learnt from some of them; the figures"
            " above are of objects that were held out.\n\n"
            "![Image, truth, answer](report/answers.png)"
        )
    remarks = [*start.get("notes", ()), *_remarks(events)]
    if remarks:
        parts.append("## Remarks\n\n" + "\n".join(f"- {one}" for one in remarks))
    parts.append("Research use only, not a medical device.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _say_decision(events: Sequence[Event]) -> str:
    last = events[-1] if events else {"event": "none"}
    if last["event"] == "failed":
        return f"**Broken off.** {last['reason']}"
    if last["event"] == "stopped":
        return "**Stopped after a training.** It can be resumed; nothing was published."
    guard = _last(events, "guard")
    if guard is None:
        return "Still running, or interrupted: nothing was published yet."
    version = guard.get("version")
    made = f"Published as version {version}." if guard["published"] else "Rolled back."
    return f"**{made}** {guard['reason']}"


def _facts(start: Event, events: Sequence[Event]) -> str:
    if not start:
        return ""
    classes = ", ".join(start.get("classes", ()))
    learnt = f"{start['objects']} objects of {start['images']} images"
    mode = str(start.get("mode", ""))
    old = " and real old images" if start.get("replay_data") else ""
    rows = [
        ("began with", str(start["weights"])),
        ("corrections", learnt + (f" ({classes})" if classes else "")),
        ("judged by", f"{_JUDGED.get(mode, mode)}, parted by {start.get('level')}"),
        ("replayed", f"{start.get('replay', 0)} views of old answers{old}"),
        ("device", str(start["device"])),
    ]
    done = _last(events, "done")
    if done is not None:
        rows.append(("time", f"{done['seconds'] / 60:.1f} min"))
    return "| | |\n|---|---|\n" + "\n".join(f"| {a} | {b} |" for a, b in rows)


def _comparison(figures: Mapping[str, float]) -> str:
    """Return the guard's figures before and after."""
    lines = []
    for title, name in _COMPARED:
        old = _OLD.get(name, f"old_{name}")
        if name in figures and old in figures:
            change = figures[name] - figures[old]
            before, after = _interval(figures, old), _interval(figures, name)
            lines.append(f"| {title} | {before} | {after} | {change:+.3f} |")
    if "agreement_loss" in figures:
        loss = figures["agreement_loss"]
        lines.append(f"| Agreement with old answers | | | {-loss:+.3f} |")
    if not lines:
        return ""
    head = "| | before | after | change |\n|---|---|---|---|"
    return "## Figures\n\n" + "\n".join((head, *lines))


def _interval(figures: Mapping[str, float], name: str) -> str:
    low, high = figures.get(f"{name}_low"), figures.get(f"{name}_high")
    text = f"{figures[name]:.3f}"
    return text if low is None or high is None else f"{text} ({low:.3f} to {high:.3f})"


def _trainings(events: Sequence[Event]) -> str:
    epochs = [event for event in events if event["event"] == "epoch"]
    if not epochs:
        return ""
    lines = ["| training | loss | Dice | click IoU | seconds |", "|---" * 5 + "|"]
    for event in epochs:
        found = event.get("validation", {})
        cells = [f"{found[n]:.3f}" if n in found else "" for n in ("dice", "click_iou")]
        loss = event["train"].get("loss")
        cells.insert(0, "" if loss is None else f"{loss:.3g}")
        cells.append(f"{event['seconds']:.0f}")
        lines.append(f"| {event['stage']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _remarks(events: Sequence[Event]) -> list[str]:
    found = [str(event["note"]) for event in events if event["event"] == "memory"]
    kept = _last(events, "pseudo_labels_kept")
    if kept is not None:
        found.append(
            f"Pseudo-labels: {kept['objects']} objects in {kept['places']} places were"
            " learnt from; accept or reject them in the Train tab."
        )
    seen = _last(events, "consistency")
    if seen is not None and "agreement" in seen:
        found.append(
            "Corrections agree with the weights they began with by"
            f" {seen['agreement']:.2f}."
        )
    return found


def _last(events: Sequence[Event], kind: str) -> Event | None:
    return next((one for one in reversed(events) if one["event"] == kind), None)


def _sample(probe: Probe) -> Sample:
    image = probe.image.float() / 255
    return Sample(image, probe.ids > 0, Prompts(), None, -1, -1)


def _save(path: Path, name: str, picture: Image.Image) -> None:
    folder = path / _FOLDER
    folder.mkdir(exist_ok=True)
    partial = folder / f".{name}.partial"
    picture.save(partial, format="PNG")
    partial.replace(folder / name)
