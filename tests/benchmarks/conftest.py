"""The scripts in `benchmarks/` import each other as they do when run there."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in [
        name for name in sys.modules if name.split(".")[0] in {"tables", "loop"}
    ]:
        del sys.modules[name]
