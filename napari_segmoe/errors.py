"""Every error that this package raises on purpose.

A message says what was wrong, what was expected and what to do. The command line
turns a `SegmoeError` into one sentence and exit status 2; the window into a toast.
"""


class SegmoeError(Exception):
    """Base of all errors that a user can understand and mend."""


class ImageReadError(SegmoeError):
    """An image file cannot be read, or its pixels cannot be used."""


class SlideError(ImageReadError):
    """A slide, or a part of it, cannot be opened, read or written."""


class RegionTooLargeError(SegmoeError):
    """A region is larger than memory, or than the window can hold."""


class DataFolderError(SegmoeError):
    """A data folder is incomplete or contradicts itself."""


class SplitError(DataFolderError):
    """A split leaks a group, is empty, or has an unknown name."""


class UnknownModelError(SegmoeError):
    """No model is registered under that name."""


class WeightsError(SegmoeError):
    """A weights file is missing, damaged, or does not fit its card."""


class ModelOptionError(SegmoeError):
    """A model was asked for with options it cannot be built with."""


class NoImageError(SegmoeError):
    """An action needs an image, and none is chosen."""


class PromptError(SegmoeError):
    """A click, box or stroke cannot be used."""


class DeviceError(SegmoeError):
    """A device is absent or cannot run the model."""


class ConfigError(SegmoeError):
    """A configuration value is unknown or out of range."""


class RunFolderError(SegmoeError):
    """A run folder cannot be made, read or resumed."""


class TrainingError(SegmoeError):
    """Training cannot go on."""


class JobError(SegmoeError):
    """A background job failed for a reason that is not ours."""


class ClassListError(SegmoeError):
    """A class cannot be made, renamed, mapped or deleted."""


class ProjectError(SegmoeError):
    """A project cannot be made, opened, read or written."""


class ProjectConflictError(ProjectError):
    """Somebody else changed what was about to be changed."""


class AnnotationFileError(SegmoeError):
    """A GeoJSON or COCO file cannot be read or written."""
