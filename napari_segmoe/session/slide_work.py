"""The regions made on one slide; kept while other images are worked on."""

from dataclasses import replace

from napari_segmoe.data.slides.region import SlideRegion
from napari_segmoe.session.image import SessionImage
from napari_segmoe.session.slide_scene import RegionRecord, SlideScene, SpacingSource


class SlideWork:
    """One slide's regions and which of them is current; `Regions` keeps one a slide.

    Parameters
    ----------
    scene : SlideScene
        The slide.
    """

    def __init__(self, scene: SlideScene) -> None:
        self.scene = scene
        self.records: tuple[RegionRecord, ...] = ()
        self.current: int | None = None
        self._told: set[tuple[float, float]] = set()

    def add(self, region: SlideRegion) -> RegionRecord:
        """Make a region one of the slide's."""
        number = 1 + max((one.number for one in self.records), default=0)
        key = f"{self.scene.key}:region-{number}"
        record = RegionRecord(number, key, region).rescaled(self.scene.spacing_um)
        self.records = (*self.records, record)
        return record

    def image_of(self, record: RegionRecord) -> SessionImage:
        """Return a region as the session and the predictor take it."""
        record = record.rescaled(self.scene.spacing_um)
        return SessionImage(
            key=record.key,
            pixels=record.region,
            spacing_um=record.spacing_um,
            modality=self.scene.modality,
            name=f"{self.scene.name}, {record.title.lower()}",
            region=record.number,
        )

    def has_others(self, step_yx: tuple[float, float]) -> bool:
        """Whether there are regions of another pixel size; said once for each."""
        is_told = step_yx in self._told
        self._told.add(step_yx)
        return not is_told and any(r.region.step_yx != step_yx for r in self.records)

    def take_scene(self, scene: SlideScene) -> None:
        """Take newer facts of the slide; regions keep their pixels."""
        self.scene = scene
        self.records = tuple(
            replace(one, region=_moved(one.region, scene)).rescaled(scene.spacing_um)
            for one in self.records
        )


class SlideWorks:
    """The slides worked on in a session, and their regions."""

    def __init__(self) -> None:
        self._works: dict[str, SlideWork] = {}

    def open(self, scene: SlideScene) -> SlideWork:
        """Return the work on a slide; what the user said of its spacing holds."""
        known = self._works.setdefault(scene.key, SlideWork(scene))
        if known.scene.spacing_source is SpacingSource.USER:
            scene = replace(
                scene,
                spacing_um=known.scene.spacing_um,
                spacing_source=SpacingSource.USER,
            )
        known.scene = scene
        return known

    def find(self, key: str) -> SlideWork | None:
        """Return the work on the slide on which the image of that key lies."""
        for work in self._works.values():
            if key in {one.key for one in work.records}:
                return work
        return None

    def neighbours(self, key: str) -> tuple[RegionRecord, ...]:
        """Return the other regions of the slide on which the image of that key lies."""
        work = self.find(key)
        return tuple(one for one in work.records if one.key != key) if work else ()


def _moved(region: SlideRegion, scene: SlideScene) -> SlideRegion:
    return region if region.path == scene.path else replace(region, path=scene.path)
