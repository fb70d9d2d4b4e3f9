"""A quiet header that folds what is below it."""

from superqt import QCollapsible


def make_collapsible(title: str) -> QCollapsible:
    """Return a folded section, flush with its neighbours."""
    section = QCollapsible(title)
    section.layout().setContentsMargins(0, 0, 0, 0)
    section.content().layout().setContentsMargins(0, 4, 0, 4)
    button = section.toggleButton()
    button.setStyleSheet(
        "text-align: left; border: none; background: transparent; padding: 4px 0;"
    )
    return section
