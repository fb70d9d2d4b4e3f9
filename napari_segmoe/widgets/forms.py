"""Forms made from pydantic models, one field a row."""

from collections.abc import Callable
from typing import Any

from magicgui.widgets import Container, create_widget
from pydantic import BaseModel
from pydantic.fields import FieldInfo


def make_form(
    values: BaseModel, on_changed: Callable[[BaseModel], None] | None = None
) -> Container:
    """Return a form that shows a model's fields and edits copies of it.

    Parameters
    ----------
    values : BaseModel
        Values to begin with; frozen models are fine.
    on_changed : callable or None
        Called with the new, validated model after each edit.

    Returns
    -------
    Container
        ``.native`` is the QWidget; ``.asdict()`` the values by field.
    """
    kind = type(values)
    rows = [
        make_row(name, info, getattr(values, name))
        for name, info in kind.model_fields.items()
    ]
    form = Container(widgets=rows, labels=True)
    form.margins = (0, 0, 0, 0)

    def changed(_: Any) -> None:
        if on_changed is not None:
            on_changed(kind.model_validate(form.asdict()))

    form.changed.connect(changed)
    return form


def make_row(name: str, info: FieldInfo, value: Any) -> Any:
    """Return the magicgui widget of one field, with its limits and tooltip.

    Parameters
    ----------
    name : str
        Of the field; its title is the label.
    info : FieldInfo
    value : object
        To begin with.
    """
    options: dict[str, Any] = {"tooltip": info.description or ""}
    for rule in info.metadata:
        options.update(_limits(rule))
    if isinstance(value, float):
        low, high = options.get("min", 0.0), options.get("max", 1.0)
        options["step"] = (high - low) / 20 if high > low else None
    return create_widget(
        value=value,
        annotation=info.annotation,
        name=name,
        label=info.title or name.replace("_", " ").capitalize(),
        options=options,
    )


def _limits(rule: Any) -> dict[str, Any]:
    limits = {"ge": "min", "gt": "min", "le": "max", "lt": "max"}
    return {
        ours: getattr(rule, theirs)
        for theirs, ours in limits.items()
        if getattr(rule, theirs, None) is not None
    }
