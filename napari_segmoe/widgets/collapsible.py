"""A quiet header that folds what is below it."""

from superqt import QCollapsible

from napari_segmoe.widgets.icons import arrow_icon


def make_collapsible(title: str) -> QCollapsible:
    """Return a folded section, flush with its neighbours."""
    section = QCollapsible(
        title,
        expandedIcon=arrow_icon(down=True),
        collapsedIcon=arrow_icon(down=False),
    )
    margins = ((section.layout(), 0), (section.content().layout(), 4))
    for layout, above_and_below in margins:
        if layout is not None:
            layout.setContentsMargins(0, above_and_below, 0, above_and_below)
    button = section.toggleButton()
    button.setStyleSheet(
        "text-align: left; border: none; background: transparent; padding: 4px 0;"
    )
    return section
