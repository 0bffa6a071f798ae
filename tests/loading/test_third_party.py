"""Generators of other people's packages, loaded from their own files, agree with their own code."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganprobe import (
    Ablate,
    ActivationStore,
    Generator,
    Intervention,
    Latents,
    Probe,
    Scale,
    Space,
    UntrustedError,
    UsageError,
    load,
)
from ganprobe.engine import find_draws, same_noise
from other_packages import THIRD_PARTY, Theirs, ThirdParty


@dataclass
class Case:
    """One generator, its files, and both ways in which they are loaded."""

    party: ThirdParty
    folder: Path

    @cached_property
    def generator(self) -> Generator:
        return self.party.load(self.folder)

    @cached_property
    def probe(self) -> Probe:
        return Probe(self.party.load(self.folder), dtype=torch.float64)

    @cached_property
    def theirs(self) -> Theirs:
        loaded = self.party.theirs(self.folder)
        loaded.network.double()
        return loaded

    def latents(self, n: int) -> Latents:
        drawn = self.probe.generator.sample(n, seed=2)
        return replace(drawn, z=drawn.z.double())

    def noise(self, latents: Latents) -> AbstractContextManager[None]:
        """The noise that a run of these has, for their own code."""
        draws = find_draws(self.theirs.network, lambda n: self.theirs.images(self.latents(n)))
        assert latents.indices is not None
        return same_noise(self.theirs.network, 0, latents.indices, draws)


_NAMES = [
    pytest.param(name, marks=pytest.mark.slow) if name == "dcgan" else name for name in THIRD_PARTY
]


@pytest.fixture(scope="module", params=_NAMES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return made(request.param, tmp_path_factory.mktemp(request.param))


def made(name: str, folder: Path) -> Case:
    party = THIRD_PARTY[name]
    party.save(folder)
    return Case(party, folder)


@contextmanager
def hooked(network: nn.Module, layer: str, edit: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """An edit by hand, with a hook of torch's own."""
    handle = network.get_submodule(layer).register_forward_hook(
        lambda module, args, output: edit(output)
    )
    try:
        yield
    finally:
        handle.remove()


def test_it_is_listed_by_what_a_user_writes(case: Case, ganprobe_command: Any) -> None:
    listed = ganprobe_command("layers", *case.party.arguments(case.folder), "--json")
    assert listed.status == 0, listed.err
    assert case.party.site in listed.out
    assert len(json.loads(listed.out)) > 10
    assert case.probe.layers().draws_noise == case.party.draws_noise
    assert case.generator.latent_space.shape == case.party.latent


def test_its_images_are_those_of_its_own_code(case: Case) -> None:
    latents, theirs = case.latents(3), case.theirs
    torch.manual_seed(6)
    with torch.no_grad():
        expected = theirs.images(latents)
    torch.manual_seed(6)
    images = case.probe.run(latents, noise_seed=None).images
    assert torch.equal(images, expected)
    assert images.std() > 0.05


def test_what_a_command_records_is_what_its_own_layer_gave(
    case: Case, tmp_path: Path, ganprobe_command: Any
) -> None:
    file = tmp_path / "a.h5"
    how = ("--site", case.party.site, "--samples", 5, "--seed", 2, "--batch-size", 3)
    done = ganprobe_command("record", *case.party.arguments(case.folder), *how, "--output", file)
    assert done.status == 0, done.err
    latents, seen = case.latents(5), list[Tensor]()

    def see(output: Tensor) -> Tensor:
        seen.append(output.clone())
        return output

    with case.noise(latents), torch.no_grad(), hooked(case.theirs.network, case.party.layer, see):
        case.theirs.images(latents)
    with ActivationStore(file) as store:
        held = store.activations(case.party.site)
    if not case.party.draws_noise:  # which is drawn in the dtype of the images
        assert torch.allclose(held.double(), seen[0], atol=1e-4 * float(seen[0].abs().max()))
    again = Probe(case.generator).run(
        case.generator.sample(2, seed=2, start=3), record=case.party.site, stop_early=True
    )
    assert torch.allclose(again[case.party.site], held[3:], atol=1e-5)


def test_an_edit_equals_the_edit_by_hand(case: Case) -> None:
    latents, site = case.latents(3), case.party.site

    def edit(output: Tensor) -> Tensor:
        edited = output.clone()
        edited[:, 1] = 0.0
        edited[:, 2:5] *= -0.5
        return edited

    with case.noise(latents), torch.no_grad(), hooked(case.theirs.network, case.party.layer, edit):
        expected = case.theirs.images(latents)
    run = case.probe.run(latents, [Ablate(f"{site}#1"), Scale(f"{site}#2-4", by=-0.5)])
    assert torch.allclose(run.images, expected, rtol=0.0, atol=1e-12)
    assert not torch.allclose(run.images, case.probe.images(latents), atol=1e-4)


def test_it_is_replayed_and_a_sweep_finds_a_faster_way_than_one_by_one(case: Case) -> None:
    latents, site = case.latents(2), case.party.site
    variants: list[list[Intervention]] = [[Ablate(site, units=[unit])] for unit in range(6)]
    expected = torch.stack([case.probe.run(latents, variant).images for variant in variants])
    computed, total = case.probe.replay_plan(site).flops
    assert 0 < computed < total
    for method in ("replay", "auto"):
        sweep = case.probe.sweep(latents, variants, method=method)
        assert torch.allclose(torch.stack(list(sweep)), expected, rtol=0.0, atol=1e-9)
        assert sweep.how.method != "single"


def test_a_biggan_is_asked_for_its_classes(tmp_path: Path, ganprobe_command: Any) -> None:
    case = made("biggan", tmp_path)
    latents = case.latents(6)
    assert latents.labels is not None
    assert latents.labels.tolist() == [0, 1, 2, 3, 0, 1]
    third = case.probe.generator.with_class("shark")
    assert torch.equal(
        Probe(third, dtype=torch.float64).images(Latents(latents.z)),
        case.theirs.images(Latents(latents.z, labels=torch.full((6,), 2))).detach(),
    )
    spec = case.party.arguments(tmp_path)
    drawn = ganprobe_command(
        "samples", *spec, "--class", 3, "--truncation", 0.5, "--samples", 4, "--output",
        tmp_path / "grid.png",
    )  # fmt: skip
    assert drawn.status == 0, drawn.err
    assert (tmp_path / "grid.png").stat().st_size > 1000
    wrong = ganprobe_command("layers", *spec, "--class", "sharp")
    assert wrong.status == 2
    assert "nearest: shark" in wrong.err


def test_code_beside_the_weights_of_a_biggan_runs_only_where_it_is_trusted(tmp_path: Path) -> None:
    case = made("biggan", tmp_path)
    with pytest.raises(UntrustedError, match=r"biggan\.py would execute code"):
        replace(case.party, flags=()).load(tmp_path)


def test_a_stylegan_is_walked_in_w_and_w_plus(tmp_path: Path) -> None:
    case = made("stylegan2", tmp_path)
    probe = Probe(case.generator.with_truncation(0.7), dtype=torch.float64)
    latents = case.latents(3)
    mean = torch.as_tensor(probe.generator.module.w_plus.mean)
    with case.noise(latents), torch.no_grad():
        network: Any = case.theirs.network
        how = {"truncation": 0.7, "truncation_latent": mean.double()}
        expected = network([latents.z], **how)[0]
    assert torch.allclose(probe.images(latents), expected, atol=1e-9)
    for name in ("w", "w_plus"):
        space = Space.of(probe, name)
        points = space.points(latents)
        assert torch.allclose(space.images(points, latents), expected, atol=1e-9)
    alone = torch.cat([probe.images(latents[row : row + 1]) for row in range(3)])
    assert torch.allclose(alone, expected, atol=1e-9)  # its noise is that of the sample


_STYLE_TOML = """\
[generator]
factory = "spandrel.architectures.GFPGAN.__arch.stylegan2_clean_arch:StyleGAN2GeneratorClean"
weights = "StyleGAN2.pth"
kind = "{kind}"

[arguments]
out_size = 32
num_style_feat = 8
num_mlp = 3
narrow = 0.015625

{more}
"""


def test_a_description_says_what_noise_and_truncation_a_stylegan_has(tmp_path: Path) -> None:
    case = made("stylegan2", tmp_path)
    style = '[style]\nnoise = "fixed"\ntruncation = 0.6\n'
    (tmp_path / "ganprobe.toml").write_text(_STYLE_TOML.format(kind="stylegan2", more=style))
    probe = Probe(load(str(tmp_path)), dtype=torch.float64)
    assert not probe.layers().draws_noise
    assert probe.generator.truncation == 0.6
    latents = case.latents(2)
    mean = torch.as_tensor(probe.generator.module.w_plus.mean)
    network: Any = case.theirs.network
    how = {"randomize_noise": False, "truncation": 0.6, "truncation_latent": mean.double()}
    with torch.no_grad():
        assert torch.allclose(probe.images(latents), network([latents.z], **how)[0], atol=1e-9)


def test_a_stylegan_that_is_to_be_a_module_like_any_other_is(tmp_path: Path) -> None:
    made("stylegan2", tmp_path)
    call = '[latent]\nsize = 8\n\n[images]\noutput = 0\n\n[call]\narguments = [["$z"]]\n'
    (tmp_path / "ganprobe.toml").write_text(_STYLE_TOML.format(kind="module", more=call))
    generator = load(str(tmp_path))
    assert type(generator.module).__name__ == "StyleGAN2GeneratorClean"
    assert generator.w_site is None
    (tmp_path / "ganprobe.toml").write_text(
        '[generator]\nfactory = "wgan_pytorch:Generator.from_name"\nkind = "stylegan2"\n\n'
        '[arguments]\nmodel_name = "g-mnist"\n'
    )
    with pytest.raises(UsageError, match="Generator is no StyleGAN that is known"):
        load(str(tmp_path), trust=True)
