"""The single checks of `segmoe doctor`."""

import ctypes.util
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from platformdirs import user_cache_dir, user_config_dir, user_log_dir

from napari_segmoe.cli.doctor_finding import Finding
from napari_segmoe.cli.doctor_slides import check_slides

_PACKAGES = (
    "napari-segmoe",
    "napari",
    "numpy",
    "scipy",
    "scikit-image",
    "torch",
    "monai",
    "pydicom",
    "tifffile",
    "safetensors",
)
_BINDINGS = ("PySide6", "PyQt6")
_DICOM_DECODERS = ("pylibjpeg", "libjpeg", "openjpeg")
_PROBE_SECONDS = 120


def run_checks() -> list[Finding]:
    """Run every check; none of them raises."""
    findings = [_check_python(), *(_check_package(name) for name in _PACKAGES)]
    checks: tuple[Callable[[], Finding], ...] = (
        _check_torch,
        _check_image_codecs,
        _check_dicom_decoders,
        _check_readers,
        _check_weights,
        _check_qt,
        _check_display,
        _check_opengl,
    )
    findings += [check() for check in checks]
    findings += check_slides()
    folders = {
        "settings folder": user_config_dir("napari-segmoe", False),
        "cache folder": user_cache_dir("napari-segmoe", False),
        "log folder": user_log_dir("napari-segmoe", False),
    }
    return findings + [_check_folder(name, Path(at)) for name, at in folders.items()]


def _check_python() -> Finding:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    ok = sys.version_info >= (3, 11)
    return Finding("Python", ok, found, "" if ok else "install Python 3.11 or newer")


def _check_package(name: str) -> Finding:
    try:
        return Finding(name, True, version(name))
    except PackageNotFoundError:
        return Finding(name, False, "not installed", f"pip install {name}")


def _check_torch() -> Finding:
    """Look at the device in another process: a broken torch may end its process."""
    code = (
        "import torch\n"
        "b = f'torch {torch.__version__}, CUDA {torch.version.cuda}'\n"
        "if torch.cuda.is_available():\n"
        "    float(torch.ones(8, device='cuda').sum())\n"
        "    print(b, '-', torch.cuda.get_device_name())\n"
        "elif torch.backends.mps.is_available():\n"
        "    print(b, '- Apple GPU')\n"
        "else:\n"
        "    print(b, '- CPU,', torch.get_num_threads(), 'threads')\n"
    )
    ok, output = _run_python(code)
    card = _graphics_card()
    if not ok:
        mend = "pip install --force-reinstall torch"
        return Finding("device", False, _last_line(output), mend)
    if card and "- CPU" in output:
        mend = (
            "pip install --force-reinstall torch --index-url "
            "https://download.pytorch.org/whl/cu126"
        )
        return Finding("device", False, f"{output}; {card} is not used", mend)
    return Finding("device", True, output)


def _check_image_codecs() -> Finding:
    try:
        import imagecodecs
    except ImportError as error:
        return Finding("TIFF codecs", False, str(error), "pip install imagecodecs")
    needed = ("JPEG8", "JPEG2K", "LZW", "DEFLATE", "ZSTD", "WEBP")
    absent = [name for name in needed if not getattr(imagecodecs, name).available]
    found = f"imagecodecs {imagecodecs.__version__}"
    if absent:
        mend = "pip install --force-reinstall imagecodecs"
        return Finding("TIFF codecs", False, f"{found} lacks {', '.join(absent)}", mend)
    return Finding("TIFF codecs", True, f"{found}: {', '.join(needed)}")


def _check_dicom_decoders() -> Finding:
    absent = [name for name in _DICOM_DECODERS if find_spec(name) is None]
    if absent:
        mend = 'pip install "napari-segmoe[dicom]"'
        return Finding("compressed DICOM", False, f"no {', '.join(absent)}", mend)
    return Finding("compressed DICOM", True, "JPEG, JPEG-LS, JPEG 2000")


def _check_readers() -> Finding:
    """Read the plugin's own manifest, as napari would find it."""
    try:
        from npe2 import PluginManifest

        manifest = PluginManifest.from_distribution("napari-segmoe")
    except (ImportError, ValueError, PackageNotFoundError, FileNotFoundError) as error:
        mend = "pip install --force-reinstall napari-segmoe"
        return Finding("plugin", False, _last_line(str(error)), mend)
    contributions = manifest.contributions
    readers = len(contributions.readers or ())
    widgets = len(contributions.widgets or ())
    return Finding("plugin", True, f"{readers} readers, {widgets} docks")


def _check_weights() -> Finding:
    from napari_segmoe.errors import WeightsError
    from napari_segmoe.models.card import list_weights, read_card

    mend = "pip install --force-reinstall napari-segmoe"
    try:
        names = [f"{name} ({read_card(path).model})" for name, path in list_weights()]
    except WeightsError as error:
        return Finding("weights", False, str(error), mend)
    if not names:
        return Finding("weights", False, "none in resources/weights", mend)
    return Finding("weights", True, ", ".join(names))


def _check_qt() -> Finding:
    for binding in _BINDINGS:
        if find_spec(binding) is None:
            continue
        ok, output = _run_python(
            f"import {binding}.QtWidgets, {binding}.QtCore as core;"
            "print(core.qVersion())"
        )
        if ok:
            return Finding("Qt", True, f"{binding}, Qt {output}")
        return Finding("Qt", False, f"{binding}: {_last_line(output)}", _qt_mend())
    return Finding("Qt", False, "no binding", 'pip install "napari-segmoe[all]"')


def _check_display() -> Finding:
    if sys.platform in ("win32", "darwin"):
        return Finding("display", True, "native")
    for name in ("WAYLAND_DISPLAY", "DISPLAY"):
        if os.environ.get(name):
            return Finding("display", True, f"{name}={os.environ[name]}")
    return Finding(
        "display", False, "none", "sudo apt install xvfb; xvfb-run segmoe demo"
    )


def _check_opengl() -> Finding:
    if sys.platform in ("win32", "darwin"):
        return Finding("OpenGL", True, "native")
    absent = [name for name in ("GL", "EGL") if ctypes.util.find_library(name) is None]
    if absent:
        found = f"no {', '.join(f'lib{name}' for name in absent)}"
        mend = "sudo apt install libgl1 libegl1 libgl1-mesa-dri"
        return Finding("OpenGL", False, found, mend)
    return Finding("OpenGL", True, "libGL, libEGL")


def _check_folder(name: str, folder: Path) -> Finding:
    """Write to the folder, or to the nearest one above it that exists."""
    at = folder
    while not at.exists() and at != at.parent:
        at = at.parent
    try:
        with tempfile.TemporaryFile(dir=at) as file:
            file.write(b"segmoe")
    except OSError as error:
        mend = f'make "{at}" writable, or set HOME to a folder that is'
        return Finding(name, False, f"{folder}: {error.strerror}", mend)
    return Finding(name, True, str(folder))


def _graphics_card() -> str:
    try:
        answer = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip().splitlines()[0] if answer.returncode == 0 else ""


def _run_python(code: str) -> tuple[bool, str]:
    try:
        answer = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False, f"no answer within {_PROBE_SECONDS} s"
    text = answer.stdout if answer.returncode == 0 else answer.stderr
    return answer.returncode == 0, text.strip()


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no message"


def _qt_mend() -> str:
    if sys.platform.startswith("linux"):
        return (
            "sudo apt install libegl1 libgl1 libxkbcommon-x11-0 libdbus-1-3 "
            "libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0"
        )
    return 'pip install --force-reinstall "napari-segmoe[all]"'
