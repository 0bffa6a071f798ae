"""The benchmark of the students' experiment, on a small generator of the same kind."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import swap_students
from described import read_described
from swap_students import Experiment, experiments, golden_picks, pace, seconds_in_layers
from swap_ways import from_the_site, naive, with_ganprobe

LAYERS: list[dict[str, Any]] = [
    {"name": "fc", "kind": "linear", "in": 5, "out": 512},
    {"name": "view", "kind": "unflatten", "shape": [128, 2, 2]},
    {"name": "bn1", "kind": "batchnorm2d", "features": 128, "eps": 1e-5},
    {"name": "act1", "kind": "leaky_relu", "slope": 0.2},
    {"name": "conv", "kind": "conv_transpose2d", "in": 128, "out": 4, "kernel": [3, 3],
     "stride": [2, 2], "padding": [1, 1], "output_padding": [1, 1]},
    {"name": "bn2", "kind": "batchnorm2d", "features": 4, "eps": 1e-5},
    {"name": "last", "kind": "conv_transpose2d", "in": 4, "out": 1, "kernel": [3, 3],
     "stride": [2, 2], "padding": [1, 1], "output_padding": [1, 1]},
    {"name": "tanh", "kind": "tanh"},
]  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Layers this small take longer on several, of a machine that is busy much longer."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture
def description(tmp_path: Path) -> Path:
    """A described generator with random weights, and latents by digit."""
    torch.manual_seed(0)
    parts = [nn.Linear(5, 512), nn.BatchNorm2d(128), nn.ConvTranspose2d(128, 4, 3)]
    parts += [nn.BatchNorm2d(4), nn.ConvTranspose2d(4, 1, 3)]
    names = [layer["name"] for layer in LAYERS if layer["name"] not in ("view", "act1", "tanh")]
    weights = {
        f"{name}.{key}": tensor
        for name, part in zip(names, parts, strict=True)
        for key, tensor in part.state_dict().items()
    }
    stored = {digit: torch.randn(2, 5).tolist() for digit in ("zeros", "ones", "threes")}
    told = {"name": "small", "latent": {"shape": [5]}, "layers": LAYERS, "stored_latents": stored}
    path = tmp_path / "small.json"
    path.write_text(json.dumps(told))
    save_file(weights, path.with_suffix(".safetensors"))
    return path


@torch.no_grad()
def test_each_way_finds_the_same_units_in_both_normalisations(description: Path) -> None:
    found = [*_alone(description), *experiments(description, "cpu", jointly=True, quick=True)]
    modes = [one.search.subject.generator.normalisation for one in found]
    assert modes == ["eval", "eval", "sample", "sample"] * 2
    for one in found:
        picks = with_ganprobe(one.search, "auto").picks
        for way in one.ways.values():
            by_hand = way().picks
            assert picks[: len(by_hand)] == by_hand, one.name


@torch.no_grad()
def test_the_layers_after_the_site_give_what_whole_forwards_give(description: Path) -> None:
    furthest, least, *_ = _alone(description)
    for one in (furthest, least):
        assert from_the_site(one.search).values == pytest.approx(naive(one.search).values)
    assert from_the_site(furthest.search).values[0] > from_the_site(least.search).values[0]


@torch.no_grad()
def test_only_what_is_sought_of_one_pair_is_held_against_an_oracle(description: Path) -> None:
    furthest, least, *_ = _alone(description)
    assert golden_picks(description, furthest.search) is None
    golden = {"eval": {"indices": [7, 5, 3, 1]}, "per_sample": {"indices": [2]}}
    description.with_name("small_golden.json").write_text(json.dumps(golden))
    assert golden_picks(description, furthest.search) == (7, 5, 3)
    assert golden_picks(description, least.search) is None


@torch.no_grad()
def test_what_is_spent_once_and_on_each_candidate_is_the_whole(description: Path) -> None:
    search, moments = _alone(description)[1].search, list[float]()

    def now() -> float:
        moments.append(time.thread_time())
        return moments[-1]

    fixed, each = pace(search, now)
    assert fixed + search.n_candidates * each == pytest.approx(moments[-1] - moments[0])
    assert min(fixed, each) > 0


@torch.no_grad()
def test_calls_of_layers_are_timed_while_the_block_lasts(description: Path) -> None:
    generator, plain = read_described(description), nn.Module.__call__
    ticks = iter(range(100))
    with seconds_in_layers(generator.module, lambda: float(next(ticks))) as spent:
        generator.module(generator.sample(2).z)
        nn.Identity()(torch.ones(1))
    assert list(spent) == [1.0] * len(LAYERS)
    assert nn.Module.__call__ is plain
    with pytest.raises(RuntimeError, match="shapes"), seconds_in_layers(generator.module, float):
        generator.module(torch.ones(1, 4))
    assert nn.Module.__call__ is plain


@torch.no_grad()
def test_what_a_replay_answers_is_no_time_in_a_layer(description: Path) -> None:
    search = _alone(description)[1].search
    with seconds_in_layers(search.subject.generator.module, time.thread_time) as all_layers:
        naive(search)
    with seconds_in_layers(search.subject.generator.module, time.thread_time) as computed:
        with_ganprobe(search, "replay")
    assert 0 < len(computed) < len(all_layers) / 2
    assert 0 < swap_students.share_in_layers(search, time.thread_time) < 1


@pytest.mark.slow
def test_the_script_runs_quickly_through_the_experiment(description: Path) -> None:
    script = Path(swap_students.__file__).with_name("swap_search.py")
    command = [sys.executable, str(script), "--quick", "--only", "students"]
    command += ["--described", str(description)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for heading in ("Where the time of", "The floor", "Goals"):
        assert f"### {heading}" in printed
    assert printed.count("at least 8") == 4


def _alone(description: Path) -> list[Experiment]:
    """The searches of one pair, in eval mode first."""
    return list(experiments(description, "cpu", jointly=False, quick=True))
