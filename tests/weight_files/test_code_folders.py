"""Code folders: importable while something is loaded, and nothing changed afterwards."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ganprobe import UsageError
from ganprobe.weight_files import code_on_path


@pytest.fixture(autouse=True)
def modules_as_they_were() -> Iterator[None]:
    before, path = dict(sys.modules), list(sys.path)
    yield
    assert sys.path == path
    for name in set(sys.modules) - set(before):
        if name.split(".")[0] in ("theirs", "colorsys"):
            del sys.modules[name]


def folder_with(folder: Path, sources: dict[str, str]) -> Path:
    """A folder of modules, by their paths in it."""
    for name, source in sources.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return folder


def test_its_modules_go_before_others_of_their_names_and_those_come_back(tmp_path: Path) -> None:
    import colorsys

    folder = folder_with(tmp_path, {"colorsys.py": "made = 1", "theirs.py": "import colorsys"})
    with code_on_path(folder):
        theirs = importlib.import_module("theirs")
        assert theirs.colorsys.made == 1
    assert sys.modules["colorsys"] is colorsys
    assert theirs.colorsys.made == 1
    assert sys.modules["theirs"] is theirs


def test_two_folders_do_not_see_each_others_modules(tmp_path: Path) -> None:
    seen = []
    for name in ("a", "b"):
        sources = {"theirs/__init__.py": "", "theirs/part.py": f"name = {name!r}"}
        with code_on_path(folder_with(tmp_path / name, sources)):
            seen.append(importlib.import_module("theirs.part"))
    assert [module.name for module in seen] == ["a", "b"]
    assert sys.modules["theirs.part"] is seen[0]  # as the program had it
    with code_on_path(tmp_path / "b"):
        assert importlib.import_module("theirs.part").name == "b"


def test_what_is_imported_only_in_a_call_is_there_when_it_is_called(tmp_path: Path) -> None:
    sources = {
        "theirs/__init__.py": "def run():\n    from .late import value\n    return value",
        "theirs/late.py": "value = 7\ndef go():\n    from theirs import later, value, optional",
        "theirs/later.py": "",
        "theirs/optional.py": "raise RuntimeError('no such device')",
        "theirs/unused.py": "raise SystemExit",
    }
    with code_on_path(folder_with(tmp_path, sources)):
        theirs = importlib.import_module("theirs")
        assert "theirs.late" not in sys.modules
    assert {name for name in sys.modules if name.startswith("theirs.")} == {
        "theirs.late",
        "theirs.later",
    }
    assert theirs.run() == 7


def test_a_failure_leaves_neither_path_nor_modules(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, {"theirs.py": "1 / 0", "colorsys.py": "made = 1"})
    before = dict(sys.modules)
    with pytest.raises(ZeroDivisionError):
        _import_both(folder)
    assert sys.modules == before


def _import_both(folder: Path) -> None:
    with code_on_path(folder):
        importlib.import_module("colorsys")
        importlib.import_module("theirs")


def test_a_folder_that_is_not_there_is_refused_before_anything_changes(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match=r"there is no folder .*none; give a clone"),
        code_on_path(tmp_path / "none"),
    ):
        pass
