"""What the documents say works as it stands."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_ci_runs_the_two_commands_of_the_readme() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert len(blocks(README, "sh")) == 2
    for number in (1, 2):
        assert f'bash -euo pipefail -c "$(readme_command {number})"' in script


def test_the_main_command_sets_up_runs_and_names_what_to_look_at() -> None:
    main_job, tests = blocks(README, "sh")
    assert "ganprobe record digits" in main_job
    assert "ganprobe run traversal digits" in main_job.splitlines()[-1]
    assert tests.splitlines()[-1] == ".venv/bin/pytest"


@pytest.mark.parametrize("program", blocks(README, "python"))
def test_the_readmes_programs_run(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "README.md", "exec"), {})


SMALLER = {
    "run inversion": "--n-own 1 --n-pool 100 --n-starts 2 --n-steps 8 --encoder-steps 4",
    "run quality": "--n-samples 200 --n-fresh 50 --model logistic",
    "run sensitivity": "--n-samples 4 --n-directions 4 --n-associated 60 --n-shown 3",
    "run dissection": "--n-samples 64 --n-resamples 50 --n-cards 2 --n-shown 2 --n-causal 4"
    " --n-choosing 1 --n-units 2 --n-candidates 2 --n-draws 2",
    "run swap": "--pairs 2 --held-out 2 --n-units 2 --n-draws 2 --strategy joint --n-shown 1",
    "run arithmetic": "--n-draws 4 --n-exemplars 2 --n-shown 1",
    "run ablation": "--n-samples 8 --n-ranked 8 --top 2 --n-draws 2 --n-shown 1",
    "run insertion": "--n-samples 4 --n-ranked 16 --grid 3 --n-draws 2 --n-places 1 --n-shown 1",
    "run traversal": "--bases 2 --steps 3 --figures 1",
    "run veto": "--n-samples 8 --n-controls 2 --n-shown 1",
    "run directions": "--n-samples 250 --n-bases 4 --n-random 2 --n-shown 1 --measure digit",
}
"""What makes a command of a document short enough for a test."""


@pytest.mark.parametrize("line", re.findall(r"^\| `ganprobe ([^`]*)`", README, re.MULTILINE))
def test_the_readmes_commands_run(
    line: str,
    ganprobe_command: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    fewer = next((more for start, more in SMALLER.items() if line.startswith(start)), "")
    finished = ganprobe_command(
        *line.replace("--samples 1000", "--samples 10").split(), *fewer.split()
    )
    assert finished.status == 0, finished.err


SWAP_PAGE = (ROOT / "plugins" / "ganprobe_swap" / "README.md").read_text()


LATENT_PAGE = (ROOT / "plugins" / "ganprobe_traversal" / "README.md").read_text()


DISSECTION_PAGE = (ROOT / "plugins" / "ganprobe_dissection" / "README.md").read_text()


@pytest.mark.parametrize(
    ("page", "n_figures", "n_experiments"),
    [(SWAP_PAGE, 9, 5), (LATENT_PAGE, 7, 5), (DISSECTION_PAGE, 8, 3)],
)
def test_a_page_has_its_figures_and_its_numbered_experiments(
    page: str, n_figures: int, n_experiments: int
) -> None:
    figures = re.findall(r"!\[[^]]+\]\((.*?)\)", page)
    assert len(figures) >= n_figures
    for figure in figures:
        assert (ROOT / "plugins" / "ganprobe_swap" / figure).resolve().exists(), figure
    numbers = [str(number + 1) for number in range(n_experiments)]
    assert re.findall(r"^## (\d)\.", page, re.MULTILINE) == numbers


@pytest.mark.slow
def test_the_commands_of_the_page_on_swaps_run_in_their_order(
    ganprobe_command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [line for block in blocks(SWAP_PAGE, "") for line in block.splitlines()]
    assert len(lines) == 10
    smaller = SMALLER | {"run swap": "--pairs 1 --held-out 2 --n-draws 2 --n-shown 1"}
    smaller["run ablation"] = "--n-samples 8 --n-ranked 8 --n-draws 2 --n-shown 1"
    for line in lines:
        words = line.removeprefix("ganprobe ").split()
        fewer = smaller.get(" ".join(words[:2]), "").replace("--pairs 1", "--pairs 2")
        finished = ganprobe_command(*words, *fewer.split())
        assert finished.status == 0, (line, finished.err)


@pytest.mark.slow
def test_the_commands_of_the_page_on_latents_run_in_their_order(
    ganprobe_command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plugins").mkdir()
    shutil.copy(ROOT / "plugins" / "my-three.png", tmp_path / "plugins")
    lines = [line for block in blocks(LATENT_PAGE, "") for line in block.splitlines()]
    assert len(lines) == 11
    smaller = SMALLER | {"run quality": "--n-samples 300 --model logistic --n-kept 4"}
    for line in lines:
        words = shlex.split(line.removeprefix("ganprobe "))
        fewer = smaller.get(" ".join(words[:2]), "")
        if "--walk" in words or "--direction" in words:
            fewer = ""
        finished = ganprobe_command(*words, *fewer.split())
        assert finished.status == 0, (line, finished.err)


@pytest.mark.slow
def test_the_commands_of_the_page_on_dissection_run_in_their_order(
    ganprobe_command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [line for block in blocks(DISSECTION_PAGE, "") for line in block.splitlines()]
    assert len(lines) == 5
    for line in lines:
        words = shlex.split(line.removeprefix("ganprobe "))
        fewer = "" if "--units" in words else SMALLER[" ".join(words[:2])]
        fewer = fewer.replace("--n-samples 64", "--n-samples 300")
        finished = ganprobe_command(*words, *fewer.split())
        assert finished.status == 0, (line, finished.err)


def test_the_readmes_recording_is_gone_on_with_and_read(
    ganprobe_command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (session,) = [block for block in blocks(README, "") if "--resume" in block]
    for line in session.splitlines():
        command = line.partition("#")[0].replace("50000", "1000")
        finished = ganprobe_command(*command.removeprefix("ganprobe ").split())
        assert finished.status == 0, finished.err
