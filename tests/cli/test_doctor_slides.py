"""What `segmoe doctor` says of the libraries that read slides."""

import sys

import pytest

from napari_segmoe.cli import doctor_checks, doctor_slides
from napari_segmoe.data.slides import backends


def test_every_library_has_a_line_with_its_formats():
    findings = {finding.name: finding for finding in doctor_slides.check_slides()}
    assert set(findings) == {
        "slides: OpenSlide", "slides: tifffile", "slides: wsidicom", "slides: zarr",
        "slides: Pillow",
    }  # fmt: skip
    assert "svs" in findings["slides: OpenSlide"].found
    assert "OME-Zarr" in findings["slides: zarr"].found
    assert all(finding.ok and not finding.mend for finding in findings.values())


@pytest.mark.parametrize(
    ("package", "line"), [("wsidicom", "wsidicom"), ("openslide", "OpenSlide")]
)
def test_a_missing_library_names_the_command_that_mends_it(monkeypatch, package, line):
    real = backends.version

    def version(name):
        if name == package:
            raise backends.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(backends, "version", version)
    monkeypatch.setitem(sys.modules, package, None)
    findings = {finding.name: finding for finding in doctor_slides.check_slides()}
    finding = findings[f"slides: {line}"]
    assert not finding.ok
    assert finding.mend == 'pip install "napari-segmoe[slides]"'


def test_an_openslide_package_without_its_library_is_missing(monkeypatch):
    class Loader:
        def find_spec(self, name, path=None, target=None):
            if name == "openslide":
                raise OSError("libopenslide.so.1: cannot open shared object file")
            return

    monkeypatch.delitem(sys.modules, "openslide", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Loader(), *sys.meta_path])
    assert backends.openslide_version() is None


def test_the_doctor_shows_the_slide_lines(monkeypatch):
    monkeypatch.setattr(doctor_checks, "_run_python", lambda _: (True, "as it should"))
    names = [finding.name for finding in doctor_checks.run_checks()]
    assert "slides: OpenSlide" in names
    assert "TIFF codecs" in names
