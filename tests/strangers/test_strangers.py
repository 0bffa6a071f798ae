"""Distributions of strangers beside the wheel, in a fresh environment, without a network.

The environment has its own pip and its own ganprobe, from the wheel. All else that ganprobe needs
is found where it is installed for these tests, behind everything of its own: nothing of the
checkout, whose editable installation counts only where it is, in its own environment.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BAD = {
    "bad-manners": "",
    "failing-import": r"No module named 'no_such_library_of_mine' \(.*failing_import\.py:3\)$",
    "from-the-future": r"^from-the-future 1\.0 needs ganprobe>=99, and this is ganprobe 0\.1\.0; ",
    "misspelt-hook": r"^no hook 'register_measure' \(.*misspelt_hook\.py:15\); nearest: register_m",
    "taken-name": r"^the analysis name 'traversal' is taken by plugin 'traversal' \(ganprobe 0\.1",
    "wrong-arguments": r"^hook register_segmenters takes no arguments, got manager, config \(.*"
    r"wrong_arguments\.py:6\)$",
}


@dataclass(frozen=True)
class Environment:
    """A fresh environment, and a folder beside it to work in."""

    python: Path
    folder: Path

    def run(self, *command: object, status: int = 0, **variables: str) -> str:
        """Run a program of it in the folder; gives what it printed, errors after the rest."""
        known = {"PATH": f"{self.python.parent}{os.pathsep}{os.environ['PATH']}"}
        finished = subprocess.run(
            [str(word) for word in command],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            env=ENVIRONMENT | known | variables,
        )
        assert finished.returncode == status, (command, finished.stdout, finished.stderr)
        return finished.stdout + finished.stderr

    def shell(self, line: str) -> str:
        """Run a line as a user types it."""
        return self.run("bash", "-euo", "pipefail", "-c", line)

    def pip(self, *arguments: object) -> str:
        return self.run(self.python, "-m", "pip", *arguments)

    def plugins(self) -> dict[str, Any]:
        return {one["name"]: one for one in json.loads(self.run("ganprobe", "plugins", "--json"))}


# Nothing of what runs these tests, and no network.
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("PYTHON", "GANPROBE", "PIP_", "COV_", "PYTEST", "VIRTUAL_ENV"))
} | {
    "PIP_NO_INDEX": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_CONFIG_FILE": os.devnull,
    "OMP_NUM_THREADS": "1",
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """With the wheel in it, and the strangers' sources in its folder."""
    base = tmp_path_factory.mktemp("strangers")
    venv.EnvBuilder(with_pip=True).create(base / "venv")
    made = Environment(base / "venv" / "bin" / "python", base / "work")
    made.folder.mkdir()
    for project in HERE.glob("*/pyproject.toml"):
        shutil.copytree(project.parent, made.folder / project.parent.name)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", base / "dist"]
    subprocess.run([*map(str, build), str(ROOT)], check=True, capture_output=True)
    (wheel,) = (base / "dist").glob("*.whl")
    made.pip("install", "--no-deps", wheel)
    made.pip("uninstall", "--yes", "setuptools")  # torch's own is newer
    share_libraries(made)
    yield made
    shutil.rmtree(base)


def share_libraries(environment: Environment) -> None:
    """Find what is installed here behind what is installed there: folders alone, no .pth of them.

    That of an editable checkout is a .pth, which holds only in its own environment.
    """
    kinds = ("purelib", "platlib")
    ours = dict.fromkeys(sysconfig.get_path(kind) for kind in kinds)
    program = "import sysconfig; print(sysconfig.get_path('purelib'))"
    theirs = Path(environment.run(environment.python, "-c", program).strip())
    (theirs / "shared.pth").write_text("\n".join(ours) + "\n")


def names_of(environment: Environment, state: str) -> set[str]:
    return {name for name, one in environment.plugins().items() if one["state"] == state}


def test_the_ganprobe_that_is_found_is_the_wheels(environment: Environment) -> None:
    program = "import ganprobe, ganprobe_zoo; print(ganprobe.__file__, ganprobe_zoo.__file__)"
    for file in environment.run(environment.python, "-c", program).split():
        assert Path(file).is_relative_to(environment.python.parents[1])


def test_a_strangers_distribution_is_installed_found_run_and_uninstalled(
    environment: Environment,
) -> None:
    before = names_of(environment, "loaded")
    environment.pip("install", "--no-build-isolation", "./lanterns")
    listed = environment.plugins()["lanterns"]
    assert (listed["state"], listed["distribution"]) == ("loaded", "lanterns 0.3.1")
    offered = {kind: listed[kind] for kind in ("generators", "analyses", "measures", "segmenters")}
    assert offered == {
        "generators": ["lanterns"],
        "analyses": ["glow"],
        "measures": ["warmth"],
        "segmenters": ["lit"],
    }
    assert listed["needs"] == "ganprobe>=0.1"
    assert "four lanterns in the dark" in environment.run("ganprobe", "generators")
    assert "lamps" in environment.run("ganprobe", "layers", "lanterns")
    told = environment.run("ganprobe", "run", "glow", "lanterns", "--n-samples", 20)
    assert re.search(r"glows, and its warmth is 0\.\d+ \(means of n = 20, seed 0\)\.", told)
    record = json.loads((environment.folder / "out/glow-lanterns/result.json").read_text())
    assert record["provenance"]["generator"]["name"] == "lanterns"
    # What it offers is there for others, and the other way round.
    environment.run(
        *("ganprobe", "run", "glow", "digits", "--measure", "digit-realness"),
        *("--segmenter", "luminance:2", "--latents", "area:lit.lit>0.05", "--n-samples", 4),
    )
    walk = ("traversal", "lanterns", "--measure", "warmth", "--bases", 2, "--steps", 3)
    environment.run("ganprobe", "run", *walk)
    tested = environment.run(environment.python, "-m", "pytest", "-q", "lanterns/tests")
    assert re.search(r"\b\d+ passed", tested), tested
    environment.pip("uninstall", "--yes", "lanterns")
    assert names_of(environment, "loaded") == before
    said = environment.run("ganprobe", "run", "glow", "digits", status=2)
    assert "no analysis 'glow'" in said


def test_bad_ones_harm_only_themselves(environment: Environment) -> None:
    before = names_of(environment, "loaded")
    environment.pip("install", "--no-build-isolation", "./lanterns")
    folders = [f"./{name}" for name in BAD]
    environment.pip("install", "--no-build-isolation", "--no-deps", *folders)
    check_listed(environment, before)
    check_running(environment)
    check_strict(environment)
    environment.pip("uninstall", "--yes", "lanterns", *BAD)
    assert names_of(environment, "loaded") == before
    assert names_of(environment, "failed") == set()


def check_listed(environment: Environment, before: set[str]) -> None:
    listed = environment.plugins()
    failed = {name for name, reason in BAD.items() if reason}
    assert names_of(environment, "loaded") == {*before, "lanterns", "bad-manners"}
    assert names_of(environment, "failed") == failed
    for name in failed:
        assert re.search(BAD[name], listed[name]["reason"]), listed[name]["reason"]
    table = environment.run("ganprobe", "plugins")
    assert [line.split()[0] for line in table.splitlines() if " failed, from " in line] == [
        *sorted(failed)
    ]
    for command in (["generators"], ["run", "--help"], ["layers", "digits"], ["--help"]):
        assert "Traceback" not in environment.run("ganprobe", *command)


def check_running(environment: Environment) -> None:
    environment.run("ganprobe", "run", "glow", "lanterns", "--output", "out/glow")
    # All measures are asked, also the one that fails, which is left out and told.
    walk = ("traversal", "digits", "--bases", 2, "--steps", 3, "--dims", "0-3", "--figures", 1)
    told = environment.run("ganprobe", "run", *walk, "--output", "out/walk")
    assert "This is not the traversal that you meant." not in told
    said = environment.run("ganprobe", "run", "raising", "digits", status=1)
    raised = r"ganprobe: analysis 'raising' raised ZeroDivisionError: .*bad_manners\.py:16\)\n"
    assert re.fullmatch(raised, said), said
    said = environment.run("ganprobe", "run", "clinging", "digits", status=1)
    for told in (
        r"did not leave everything as it was: a forward hook was left on layer 'conv2' \(.*"
        r"bad_manners\.py:\d+\)",
        r"layer 'conv3' \(and \d more\) was left in train mode",
        "the working folder was changed",
    ):
        assert re.search(told, said), said
    faulty = ("glow", "digits", "--measure", "faulty", "--output", "out/faulty")
    said = environment.run("ganprobe", "run", *faulty, status=1)
    raised = r"measure 'faulty' raised RuntimeError on images .*bad_manners\.py:\d+\)"
    assert re.search(raised, said), said
    for name in ("raising-digits", "clinging-digits", "faulty"):
        assert not (environment.folder / "out" / name / "result.json").exists()
    said = environment.run("ganprobe", "run", "from-the-future", "digits", status=2)
    assert "plugin 'from-the-future' (from-the-future 1.0) failed: from-the-future" in said


def check_strict(environment: Environment) -> None:
    said = environment.run("ganprobe", "generators", status=1, GANPROBE_STRICT_PLUGINS="1")
    assert "plugin 'failing-import' failed: ModuleNotFoundError" in said
    failed = ",".join(name for name, reason in BAD.items() if reason)
    environment.run(
        "ganprobe", "generators", GANPROBE_STRICT_PLUGINS="1", GANPROBE_DISABLE_PLUGINS=failed
    )


def cpu_seconds() -> float:
    """Of all programs that were run so far."""
    return os.times().children_user + os.times().children_system


def test_from_nothing_to_a_tested_analysis(environment: Environment) -> None:
    began, used = time.perf_counter(), cpu_seconds()
    told = environment.run("ganprobe", "new-plugin", "brightness")
    first = told.splitlines()[0]
    n_lines = int(re.fullmatch(r"ganprobe-brightness: (\d+) lines in 3 files", first)[1])  # type: ignore[index]
    lines = told.partition("Next:\n")[2].splitlines()
    install, plugins, run, test = (line.strip() for line in lines)
    assert install == "pip install --no-build-isolation -e ganprobe-brightness"
    environment.shell(install)
    listed = environment.shell(plugins)
    row = r"^brightness +ganprobe-brightness 0\.1\.0 +loaded +analyses: brightness"
    assert re.search(row, listed, re.MULTILINE), listed
    assert run == "ganprobe run brightness digits"
    assert "The mean brightness is 0." in environment.shell(run)
    assert (environment.folder / "out/brightness-digits/result.json").exists()
    environment.shell("ganprobe run brightness --help")
    tested = environment.run(environment.python, "-m", *test.rpartition("&& ")[2].split())
    assert re.search(r"\b\d+ passed", tested), tested
    seconds = time.perf_counter() - began
    work = f"{seconds:.0f} s, {cpu_seconds() - used:.0f} s of them at work"
    print(f"from new-plugin to passing tests: {work}; {n_lines} lines")  # noqa: T201
    assert n_lines < 50
    assert seconds < 300
    said = environment.run("ganprobe", "new-plugin", "brightness", "--output", "other", status=2)
    assert "brightness" in said
    environment.pip("uninstall", "--yes", "ganprobe-brightness")
    assert "brightness" not in environment.plugins()
