"""A new plugin works as it is, and nothing is written that could not."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

import ganprobe
from ganprobe import ParameterError
from ganprobe.plugins import discover
from ganprobe.scaffold import KINDS, Kind, PluginNames, new_plugin

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_loads_and_offers_one_thing_of_its_name(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = PluginNames.of(f"new-{kind}")
    written = new_plugin(names, kind, Path("mine"))
    project = tomllib.loads((written.folder / "pyproject.toml").read_text())
    ((name, module),) = project["project"]["entry-points"]["ganprobe"].items()
    monkeypatch.syspath_prepend(written.folder.resolve())
    (record,) = discover([EntryPoint(name, module, "ganprobe")])
    assert record.state == "loaded", record.reason
    assert record.claimed == ((kind, f"new-{kind}"),)


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_is_under_fifty_lines_and_needs_this_ganprobe(kind: Kind) -> None:
    written = new_plugin(PluginNames.of("brightness"), kind, Path("mine"))
    lines = [line for file in written.files for line in file.read_text().splitlines()]
    assert written.n_lines == len(lines) < 50
    assert {file.name for file in Path("mine").iterdir()} == {file.name for file in written.files}
    project = tomllib.loads((written.folder / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == [f"ganprobe>={ganprobe.__version__}"]
    module = ast.parse(written.files[0].read_text())
    assert not [node for node in module.body if "torch" in ast.dump(node) and is_import(node)]


def is_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


@pytest.mark.parametrize("settings", [["--isolated"], ["--config", str(ROOT / "pyproject.toml")]])
def test_a_new_plugin_passes_ruff(settings: list[str]) -> None:
    for kind in KINDS:
        new_plugin(PluginNames.of("brightness"), kind, Path(kind))
        for command in (["check"], ["format", "--check"]):
            finished = subprocess.run(
                [Path(sys.executable).parent / "ruff", *command, *settings, "."],
                cwd=kind,
                capture_output=True,
                text=True,
                check=False,
            )
            assert finished.returncode == 0, finished.stdout


@pytest.mark.slow
def test_new_plugins_pass_mypy_in_strict_mode() -> None:
    for kind in KINDS:
        new_plugin(PluginNames.of(f"new-{kind}"), kind, Path(kind))
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull]
    files = [str(file) for kind in KINDS for file in Path(kind).glob("*.py")]
    paths = os.pathsep.join([str(ROOT), *(str(Path(kind).resolve()) for kind in KINDS)])
    finished = subprocess.run(
        [*command, *files],
        capture_output=True,
        text=True,
        env=os.environ | {"MYPYPATH": paths},
        check=False,
    )
    assert finished.returncode == 0, finished.stdout


SLOW_KINDS = [pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS if kind != "analysis"]


@pytest.mark.parametrize("kind", ["analysis", *SLOW_KINDS])
def test_the_tests_of_a_new_plugin_pass(kind: Kind) -> None:
    names = PluginNames.of("brightness")
    written = new_plugin(names, kind, Path(kind))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(written.folder)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout
    assert re.search(r"^\d+ passed", finished.stdout, re.MULTILINE), finished.stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "'' cannot name a plugin: it is words of small letters"),
        ("Brightness", "as edge-density; nearest: brightness"),
        ("EdgeDensity", "nearest: edge-density"),
        ("edge_density", "nearest: edge-density"),
        ("2d", "nearest: d"),
        ("a--b", "nearest: a-b"),
        ("../up", "nearest: up"),
        ("schön", "cannot name a plugin"),
        ("x" * 41, f"nearest: {'x' * 40}"),
        ("none", "its class would be None, which is another thing already; say more, as my-none"),
        ("probe", "its class would be Probe"),
        ("traversal", r"the analysis 'traversal' is there already, from plugin 'traversal'"),
        ("zoo", r"plugin 'zoo' \(ganprobe \S+\) is there already"),
        ("ablation", "choose another name, as my-ablation"),
    ],
)
def test_names_that_cannot_be_are_refused(
    name: str, said: str, ganprobe_command: Callable[..., Any]
) -> None:
    finished = ganprobe_command("new-plugin", "--", name)
    assert finished.status == 2
    assert re.search(said, finished.err), finished.err
    assert not list(Path.cwd().iterdir())


def test_a_taken_module_and_a_taken_distribution_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "ganprobe_mine.py").touch()
    with pytest.raises(ParameterError, match="there is a Python module ganprobe_mine already"):
        PluginNames.of("mine").refuse_taken("analysis", ())
    folder = tmp_path / "ganprobe_other-2.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Name: ganprobe-other\nVersion: 2.0\n")
    with pytest.raises(ParameterError, match=r"ganprobe-other 2\.0 is installed already"):
        PluginNames.of("other").refuse_taken("measure", ())
    PluginNames.of("third").refuse_taken("segmenter", ())


def test_a_name_may_be_that_of_another_kind(ganprobe_command: Callable[..., Any]) -> None:
    finished = ganprobe_command("new-plugin", "digits", "--kind", "analysis")
    assert finished.status == 0, finished.err
    assert ganprobe_command("new-plugin", "scenes", "--kind", "generator").status == 2


@pytest.mark.parametrize("is_folder", [True, False])
def test_what_is_there_is_left_alone(is_folder: bool, ganprobe_command: Callable[..., Any]) -> None:
    there = Path("ganprobe-brightness")
    if is_folder:
        there.mkdir()
    else:
        there.symlink_to("nowhere")
    finished = ganprobe_command("new-plugin", "brightness")
    assert finished.status == 2
    assert "ganprobe-brightness is there already; choose another --output" in finished.err
    assert [path.name for path in Path.cwd().iterdir()] == ["ganprobe-brightness"]


def test_nothing_is_left_half_written(
    ganprobe_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_text

    def write_until_full(path: Path, text: str, **how: Any) -> int:
        if path.name == "pyproject.toml":
            raise OSError(28, "No space left on device")
        return write(path, text, **how)

    monkeypatch.setattr(Path, "write_text", write_until_full)
    finished = ganprobe_command("new-plugin", "brightness", "--output", "a/b/mine")
    assert finished.status == 1
    assert "cannot write a/b/mine: No space left on device; choose another" in finished.err
    assert not list(Path.cwd().iterdir())


def test_what_to_type_next_is_told_with_the_folder_as_it_is_typed(
    ganprobe_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{beside}{os.pathsep}{os.environ['PATH']}")
    finished = ganprobe_command("new-plugin", "brightness", "--output", "my plugins/first")
    assert finished.status == 0
    *_, install, plugins, run, test = finished.out.splitlines()
    assert install == "  pip install --no-build-isolation -e 'my plugins/first'"
    assert plugins == "  ganprobe plugins"
    assert run == "  ganprobe run brightness digits"
    assert test == "  pytest 'my plugins/first'"
    monkeypatch.setenv("PATH", "/usr/bin")
    finished = ganprobe_command("new-plugin", "my-measure", "--kind", "measure")
    assert f"  {beside}/ganprobe plugins" in finished.out


def test_a_new_plugin_needs_no_torch_to_be_written() -> None:
    program = (
        "import sys\n"
        "from ganprobe.cli.app import ganprobe\n"
        "ganprobe.main(['new-plugin', 'brightness'], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
