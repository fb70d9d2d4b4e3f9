"""The keyboard map, bound on our own layers only."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.layers import Labels, Layer

from napari_segmoe.errors import SegmoeError
from napari_segmoe.session.correction_tools import DrawingTool
from napari_segmoe.session.session import Session
from napari_segmoe.types import PromptKind

if TYPE_CHECKING:
    from napari_segmoe.viewer.layers import LayerSync


@dataclass(frozen=True, slots=True)
class KeyAction:
    """One key: its name for napari, for people, and what it does."""

    key: str
    shown: str
    title: str
    act: Callable[[Session], Any]
    in_labels: bool = True  # also bound on our labels layers, whose own keys stay


def _assign(place: int) -> Callable[[Session], None]:
    def act(session: Session) -> None:
        entries = session.classes.table.entries
        if place < len(entries):
            assign_or_choose(session, entries[place].id)

    return act


def assign_or_choose(session: Session, class_id: int | None) -> None:
    """Give a class to the object in the making, else to the selected one."""
    annotation = session.annotation
    if session.prompts or annotation.selected_id is None:
        annotation.choose_class(class_id)
    else:
        annotation.assign_class([annotation.selected_id], class_id)


KEY_ACTIONS = (
    KeyAction(
        "P",
        "P",
        "Point prompts",
        lambda s: s.prompting.choose_kind(PromptKind.POINT),
        in_labels=False,
    ),
    KeyAction(
        "B",
        "B",
        "Box prompts",
        lambda s: s.prompting.choose_kind(PromptKind.BOX),
        in_labels=False,
    ),
    KeyAction(
        "S",
        "S",
        "Scribble prompts",
        lambda s: s.prompting.choose_kind(PromptKind.STROKE),
        in_labels=False,
    ),
    KeyAction(
        "T",
        "T",
        "Switch between object (+) and background (-)",
        lambda s: s.prompting.toggle_positive(),
    ),
    KeyAction(
        "A",
        "A",
        "Segment the whole image",
        lambda s: s.prompting.segment_image(),
        in_labels=False,
    ),
    KeyAction(
        "Return",
        "Return",
        "Commit; or segment, where prompts wait",
        lambda s: commit_or_predict(s),
        in_labels=False,
    ),
    KeyAction("C", "C", "Commit the object", lambda s: s.annotation.commit()),
    KeyAction(
        "N",
        "N",
        "Keep it and start the next object",
        lambda s: s.annotation.next_object(),
    ),
    KeyAction(
        "Backspace",
        "⌫",
        "Reject: clear the prompts",
        lambda s: s.prompting.reject(),
        in_labels=False,
    ),
    KeyAction(
        "U",
        "U",
        "Go to the next uncertain object",
        lambda s: s.annotation.select_uncertain(),
    ),
    KeyAction(
        "D",
        "D",
        "Draw on the chosen object with the brush",
        lambda s: s.tools.draw(DrawingTool.BRUSH),
    ),
    KeyAction(
        "Shift-D",
        "⇧D",
        "Draw a new object with the brush",
        lambda s: s.tools.draw(DrawingTool.BRUSH, is_new=True),
    ),
    KeyAction("Y", "Y", "Accept the chosen objects", lambda s: s.tools.accept()),
    KeyAction("R", "R", "Mark them reviewed", lambda s: s.tools.review()),
    KeyAction("K", "K", "Lock or unlock them", lambda s: s.tools.toggle_lock()),
    KeyAction("J", "J", "Merge them", lambda s: s.tools.merge()),
    KeyAction("Shift-J", "⇧J", "Split it where it is thin", lambda s: s.tools.split()),
    KeyAction("O", "O", "Fill their holes", lambda s: s.tools.fill_holes()),
    KeyAction("Shift-O", "⇧O", "Smooth their outlines", lambda s: s.tools.smooth()),
    KeyAction("G", "G", "Grow them", lambda s: s.tools.grow()),
    KeyAction("Shift-G", "⇧G", "Shrink them", lambda s: s.tools.shrink()),
    KeyAction(
        "W", "W", "The field of view is finished", lambda s: s.tools.finish_view()
    ),
    KeyAction(
        "Shift-Return",
        "⇧↵",
        "The image is finished; again: it is not",
        lambda s: s.tools.toggle_image(),
    ),
    KeyAction("PageDown", "PgDn", "Next image", lambda s: s.worklist.next()),
    KeyAction("PageUp", "PgUp", "Image before", lambda s: s.worklist.previous()),
    KeyAction("Control-Z", "Ctrl+Z", "Undo", lambda s: s.undo()),
    KeyAction("Control-Shift-Z", "Ctrl+Shift+Z", "Redo", lambda s: s.redo()),
    *(
        KeyAction(f"Control-{n}", f"Ctrl+{n}", f"Assign class {n}", _assign(n - 1))
        for n in range(1, 10)
    ),
)

KEY_TEXTS = (
    *((a.shown, a.title) for a in KEY_ACTIONS if not a.key.startswith("Control-")),
    ("Ctrl+Z", "Undo prompt, commit, correction or class"),
    ("Ctrl+Shift+Z", "Redo"),
    ("Ctrl+1 … 9", "Give the object class 1 … 9"),
    ("H", "Hold to hide the mask"),
    ("Shift click", "Choose one object more (objects layer)"),
    ("Click", "Object here"),
    ("Right click", "Not here (the other sign)"),
    ("Drag", "Move the image; draw, with box or scribble"),
)


def commit_or_predict(session: Session) -> None:
    """Commit the mask; where there is none yet but prompts, ask for it."""
    if session.prompts and session.prediction is None:
        session.prompting.predict()
    else:
        session.annotation.commit()


def run_action(session: Session, act: Callable[[Session], Any]) -> None:
    """Carry an action out; what a user can mend goes to `Session.failed`."""
    try:
        act(session)
    except SegmoeError as error:
        session.report(error)


def bind_keys(layer: Layer, session: Session, sync: "LayerSync") -> None:
    """Bind the map on one of our layers; other layers keep napari's keys."""
    is_labels = isinstance(layer, Labels)
    for action in KEY_ACTIONS:
        if action.in_labels or not is_labels:
            layer.bind_key(action.key, _make_handler(session, action), overwrite=True)

    def hide(_: Any) -> Generator[None, None, None]:
        sync.flash_prediction(visible=False)
        yield
        sync.flash_prediction(visible=True)

    if not is_labels:
        layer.bind_key("H", hide, overwrite=True)


def _make_handler(session: Session, action: KeyAction) -> Callable[[Any], None]:
    def handler(_: Any) -> None:
        run_action(session, action.act)

    return handler
