"""Other people's generators, from their own packages and files: what works, and how exactly.

    python benchmarks/third_party.py                 all of them, in the size that they are used in
    python benchmarks/third_party.py stylegan2 mlp   some
    python benchmarks/third_party.py --small         as the tests have them

`pip install -e '.[test]'` brings the packages; the weights are random. Each is saved as its
package saves it, loaded by the words of the command line, and compared with its own code: a unit
taken away and three scaled, against torch's own hook in their network, in float64; the same by
replay. Times are CPU seconds of one thread, in float32, of one sample.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from machine import print_machine

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import ganprobe as gp
from ganprobe.engine import find_draws, same_noise
from other_packages import Theirs, ThirdParty, third_party

_N, _VARIANTS, _ROUNDS = 2, 128, 3


@dataclass(frozen=True)
class Row:
    """What was found out about one generator."""

    name: str
    source: str
    loaded_by: str
    layers: int
    sites: int
    parameters: int
    edit_error: float
    replay_error: float
    how: str
    computed: float
    forward: float
    candidate: float

    def __str__(self) -> str:
        cells = [
            self.name,
            self.source,
            self.loaded_by,
            f"{self.layers}",
            f"{self.sites}",
            f"{self.parameters / 1e6:.2f}",
            f"{self.edit_error:.0e}",
            f"{self.replay_error:.0e}",
            self.how,
            f"{self.computed:.0%}",
            f"{self.forward * 1e3:.1f}",
            f"{self.candidate * 1e3:.2f}",
            f"{self.forward / self.candidate:.1f}",
        ]
        return f"| {' | '.join(cells)} |"


_HEADINGS = (
    "model", "package", "loaded by", "layers", "sites recorded", "million parameters",
    "edit error", "replay error", "sweep", "after the site", "forward ms", "candidate ms",
    "times faster",
)  # fmt: skip


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("names", nargs="*")
    arguments.add_argument("--small", action="store_true")
    given = arguments.parse_args()
    torch.set_num_threads(1)
    parties = third_party(is_small=given.small)
    packages = [party.package for party in parties.values()]
    print_machine(1, peers=packages)
    print(f"| {' | '.join(_HEADINGS)} |\n|{' --- |' * len(_HEADINGS)}")
    for name in given.names or parties:
        with tempfile.TemporaryDirectory() as folder:
            print(_row(parties[name], Path(folder)), flush=True)
    print(
        f"\nErrors: the largest over the largest pixel, {_N} samples of seed 2, float64;"
        f" after the site: of the forward's operations. A candidate: one of {_VARIANTS} units taken"
        " away in turn, of one sample, checks included; a forward: the module alone."
        f" Medians of {_ROUNDS} rounds in turn."
    )


def _row(party: ThirdParty, folder: Path) -> Row:
    party.save(folder)
    exact = gp.Probe(party.load(folder), dtype=torch.float64)
    table = exact.layers()
    sites = [
        str(tensor.site)
        for layer in table
        for tensor in layer.tensors
        if tensor.is_batched and tensor.site.port == "out"
    ]
    latents = exact.generator.sample(_N, seed=2)
    latents = replace(latents, z=latents.z.double())
    recorded = exact.run(latents, record=sites).recording
    theirs = party.theirs(folder)
    theirs.network.double()
    edit, replay = _errors(party, exact, theirs, latents)
    computed, total = exact.replay_plan(party.site).flops
    del exact, theirs
    how, forward, candidate = _times(gp.Probe(party.load(folder)), party.site)
    return Row(
        party.model,
        party.package,
        party.loaded_by,
        len(table),
        len(list(recorded)),
        sum(one.numel() for one in party.load(folder).module.parameters()),
        edit,
        replay,
        how,
        computed / total,
        forward,
        candidate,
    )


def _errors(
    party: ThirdParty, probe: gp.Probe, theirs: Theirs, latents: gp.Latents
) -> tuple[float, float]:
    """Of an edit, and of replays of it, by what their own network gives."""
    edits = [gp.Ablate(f"{party.site}#1"), gp.Scale(f"{party.site}#2-4", by=-0.5)]
    expected = _by_hand(party, theirs, latents)
    plain = (probe.run(latents, edits).images - expected).abs().max()
    replayed = [one - expected for one in probe.sweep(latents, [edits] * 2, method="replay")]
    largest = expected.abs().max()
    return float(plain / largest), float(torch.stack(replayed).abs().max() / largest)


def _by_hand(party: ThirdParty, theirs: Theirs, latents: gp.Latents) -> Tensor:
    """The images of their network with a hook of torch's own, with the noise of the samples."""

    def edit(module: object, args: object, output: Tensor) -> Tensor:
        edited = output.clone()
        edited[:, 1] = 0.0
        edited[:, 2:5] *= -0.5
        return edited

    draws = find_draws(theirs.network, lambda n: theirs.images(latents[:n]))
    assert latents.indices is not None
    handle = theirs.network.get_submodule(party.layer).register_forward_hook(edit)
    with torch.no_grad(), same_noise(theirs.network, 0, latents.indices, draws):
        images = theirs.images(latents)
    handle.remove()
    return images


def _times(probe: gp.Probe, site: str) -> tuple[str, float, float]:
    """How a sweep went, and seconds: a forward of the module, and a candidate of a sweep."""
    latents = probe.generator.sample(1)
    n_units = probe.layers().resolve_one(site).n_units
    edits = [gp.Ablate(site, units=[unit % n_units]) for unit in range(_VARIANTS)]
    sweep = probe.sweep(latents, edits)

    def forward() -> object:
        with torch.no_grad():
            return probe.generator.forward(latents)

    ways: list[Callable[[], object]] = [forward, partial(list, sweep)]
    seconds: list[list[float]] = [[], []]
    for _ in range(_ROUNDS):
        for way, kept in zip(ways, seconds, strict=True):
            began = time.process_time()
            way()
            kept.append(time.process_time() - began)
    forward_s, sweep_s = map(statistics.median, seconds)
    return sweep.how.method, forward_s, sweep_s / _VARIANTS


if __name__ == "__main__":
    main()
