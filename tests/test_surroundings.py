"""What is shared by all in a process is put back, and named."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch

from ganprobe.surroundings import Surroundings

CHANGES: dict[str, Callable[[], object]] = {
    "the working folder": lambda: os.chdir("/"),
    "torch's default dtype": lambda: torch.set_default_dtype(torch.float64),
    "torch's gradient mode": lambda: torch.set_grad_enabled(False),
    "torch's default device": lambda: torch.set_default_device("meta"),
    "torch's autocasting": lambda: torch.set_autocast_enabled("cpu", True),
    "torch's precision of matrix products": lambda: torch.set_float32_matmul_precision("medium"),
    "torch's choice of convolutions": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "numpy's handling of floating-point errors": lambda: np.seterr(all="raise"),
    "matplotlib's style": lambda: matplotlib.rcParams.update({"figure.dpi": 33, "axes.grid": True}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_undone_and_named(what: str, tmp_path: Path) -> None:
    surroundings = Surroundings.now()
    CHANGES[what]()
    assert Surroundings.now() != surroundings
    assert surroundings.put_back() == [what]
    assert Surroundings.now() == surroundings
    assert surroundings.put_back() == []


def test_all_changes_together_are_undone() -> None:
    surroundings = Surroundings.now()
    for change in CHANGES.values():
        change()
    assert surroundings.put_back() == list(CHANGES)
    assert Surroundings.now() == surroundings


@pytest.mark.slow  # torch takes three seconds to change it
def test_deterministic_algorithms_are_put_back() -> None:
    surroundings = Surroundings.now()
    torch.use_deterministic_algorithms(True, warn_only=True)
    assert surroundings.put_back() == ["torch's deterministic algorithms"]
    assert not torch.are_deterministic_algorithms_enabled()


def test_random_numbers_are_left_alone() -> None:
    surroundings = Surroundings.now()
    torch.manual_seed(5)
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert surroundings.put_back() == []
    assert torch.equal(torch.rand(3), drawn)


def test_a_folder_that_is_gone_harms_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, here = tmp_path / "gone", tmp_path / "here"
    for folder in (gone, here):
        folder.mkdir()
    monkeypatch.chdir(gone)
    surroundings = Surroundings.now()
    os.chdir(here)
    gone.rmdir()
    assert surroundings.put_back() == []


def test_a_library_that_came_meanwhile_is_as_it_comes() -> None:
    program = (
        "from ganprobe.surroundings import Surroundings\n"
        "import sys\n"
        "surroundings = Surroundings.now()\n"
        "assert 'torch' not in sys.modules\n"
        "import torch\n"
        "assert surroundings.put_back() == []\n"
        "torch.set_default_dtype(torch.float64)\n"
        'assert surroundings.put_back() == ["torch\'s default dtype"]\n'
        "print(torch.get_default_dtype())\n"
    )
    command = [sys.executable, "-c", program]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    assert finished.stdout == "torch.float32\n"
