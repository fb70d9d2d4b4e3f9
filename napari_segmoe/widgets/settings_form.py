"""A form for many settings: only what a user changed counts, errors are said below."""

from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import yaml
from magicgui.widgets import create_widget
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from qtpy.QtWidgets import QFormLayout, QLabel, QWidget

from napari_segmoe.errors import ConfigError
from napari_segmoe.widgets.forms import make_row

_SIMPLE = (bool, int, str, Enum)


class SettingsForm:
    """Rows for some fields of a pydantic model, without a whole model to begin with.

    Numbers with a point, lists and mappings are typed as text, as after ``--set``: a
    spin box would show 3e-4 as 0.0.

    Parameters
    ----------
    kind : type of BaseModel
        Tells names, defaults and limits.
    names : iterable of str
        Its fields to show, in their order.
    layout : QFormLayout or None
        Takes the rows; by default one of its own, in ``native``.
    """

    def __init__(
        self,
        kind: type[BaseModel],
        names: Iterable[str],
        *,
        layout: QFormLayout | None = None,
    ) -> None:
        self._fields = {name: kind.model_fields[name] for name in names}
        self._defaults = {name: _default(one) for name, one in self._fields.items()}
        self._rows = {name: self._make_row(name) for name in self._fields}
        self.native = QWidget()
        rows = layout or make_form_layout(self.native)
        for row in self._rows.values():
            row.native.setMinimumWidth(60)
            label = QLabel(row.label)
            label.setToolTip(row.tooltip)
            rows.addRow(label, row.native)

    def row(self, name: str) -> Any:
        """Return the magicgui widget of a field."""
        return self._rows[name]

    def changed(self) -> dict[str, Any]:
        """Return the values that differ from the defaults.

        Raises
        ------
        ConfigError
            If a text is not YAML.
        """
        values = {name: self._read(name) for name in self._fields}
        return {
            name: value
            for name, value in values.items()
            if value != self._shown_default(name)
        }

    def show(self, values: Mapping[str, Any]) -> None:
        """Show values; fields that are not among them show their defaults."""
        for name, row in self._rows.items():
            value = values.get(name, self._defaults[name])
            row.value = value if self._is_simple(name) else _as_text(value)

    def _make_row(self, name: str) -> Any:
        info = self._fields[name]
        default = self._defaults[name]
        if isinstance(default, Enum):
            choices = [(str(one.value).replace("_", " "), one) for one in type(default)]
            return create_widget(
                value=default,
                widget_type="ComboBox",
                name=name,
                label=_label(name, info),
                options={"choices": choices, "tooltip": info.description or ""},
            )
        if self._is_simple(name):
            row = make_row(name, info, default)
            if isinstance(default, bool):
                row.text = ""  # its label stands beside it
            return row
        return create_widget(
            value=_as_text(self._defaults[name]),
            annotation=str,
            name=name,
            label=_label(name, info),
            options={"tooltip": info.description or ""},
        )

    def _is_simple(self, name: str) -> bool:
        return isinstance(self._defaults[name], _SIMPLE)

    def _read(self, name: str) -> Any:
        value = self._rows[name].value
        if self._is_simple(name):
            return value
        try:
            return yaml.safe_load(value) if str(value).strip() else None
        except yaml.YAMLError as error:
            label = self._rows[name].label
            raise ConfigError(
                f"{label}: {value!r} cannot be read. Write a number, text, [a, b] or"
                " {a: b}."
            ) from error

    def _shown_default(self, name: str) -> Any:
        """Return what an untouched row reads as."""
        default = self._defaults[name]
        if self._is_simple(name):
            return default
        text = _as_text(default)
        return yaml.safe_load(text) if text else None


def make_form_layout(parent: QWidget | None) -> QFormLayout:
    """Return an empty form that fits a narrow dock."""
    layout = QFormLayout() if parent is None else QFormLayout(parent)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setHorizontalSpacing(10)
    layout.setVerticalSpacing(6)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    # else long names push the fields out
    layout.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
    return layout


def _label(name: str, info: FieldInfo) -> str:
    return info.title or name.replace("_", " ").capitalize().replace(" um", " (µm)")


def _default(info: FieldInfo) -> Any:
    value = info.get_default(call_default_factory=True)
    return list(value) if isinstance(value, tuple) else value


def _as_text(value: Any) -> str:
    if value is None or value in ([], {}, ()):
        return ""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Path):
        return str(value)
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6)
    return text.removesuffix("...\n").strip()
