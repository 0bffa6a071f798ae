"""Sweeps of random graphs and hostile modules: each image is that of a run, or it is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from random import Random
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from by_hand import KINDS, Case, Place, blend
from ganprobe import (
    Ablate,
    Apply,
    ForwardError,
    GanprobeError,
    Intervention,
    Latents,
    NotReplayableError,
    Patch,
    Probe,
    Scale,
    Shift,
    Site,
    SiteTensor,
    Swap,
)
from graphs import Graph, random_graph
from hostile import HOSTILE, hostile_module
from modules import LATENT
from subjects import probe_of
from traces import hooks_of, state_of

Variant = Intervention | list[Intervention]
Method = Literal["auto", "additive", "replay", "batched", "single"]

METHODS: tuple[Method, ...] = ("auto", "replay", "batched", "additive", "single")
TESTED_ON_HOSTILE = METHODS[:-1]
NEVER_REFUSED: tuple[Method, ...] = ("auto", "single")
N_GRAPHS = 60
REPLAYED_SHARE = 0.6
SURPRISING_SHARE = 0.02

SEEDS = [
    pytest.param(seed, marks=pytest.mark.slow if seed >= N_GRAPHS // 4 else ())
    for seed in range(N_GRAPHS)
]


# Sweeps of random graphs


@pytest.mark.parametrize("seed", SEEDS)
def test_every_image_of_a_sweep_is_that_of_a_run(seed: int) -> None:
    graph, rng = random_graph(seed), Random(seed)
    probe, z = probe_of(graph.module, LATENT), latents(1 + seed % 3, seed)
    variants = random_variants(random_sites(probe, graph, rng), rng, len(z))
    told, chunk = f"graph {seed}", rng.choice([None, None, 1, 2, 7])
    assert_swept(probe, z, variants, images_of(probe, z, variants), told, chunk)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_image_is_that_of_a_run_where_units_are_edited_each_alone(seed: int) -> None:
    graph, rng = random_graph(seed), Random(seed)
    probe, z = probe_of(graph.module, LATENT), latents(1 + seed % 3, seed)
    variants = unit_variants(random_sites(probe, graph, rng)[0], rng, len(z))
    told, chunk = f"graph {seed}", rng.choice([None, None, 1, 5])
    assert_swept(probe, z, variants, images_of(probe, z, variants), told, chunk)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_image_of_a_sweep_is_that_of_an_edit_by_a_hook_of_torchs_own(seed: int) -> None:
    graph, rng = random_graph(seed), Random(seed)
    probe, z = probe_of(graph.module, LATENT), latents(1 + seed % 3, seed)
    name = rng.choice([site for site in graph.sites if ":out[" not in site])
    tensors = probe.layers().resolve(name)
    cases = [random_case(name, tensors, rng, len(z)) for _ in range(6)]
    expected = []
    for case, how in cases:
        with edited_by_hand(graph.module, Site.parse(name), case, how), torch.no_grad():
            expected.append(graph.module(z))
    variants: list[Variant] = [case.intervention for case, _ in cases]
    assert_swept(probe, z, variants, expected, f"graph {seed}")


def test_most_sites_of_most_graphs_can_be_replayed_and_the_others_are_foreseen() -> None:
    refused: dict[str, str] = {}
    n_asked, n_surprises = 0, 0
    for seed in range(0, N_GRAPHS, 2):
        graph = random_graph(seed)
        probe, z = probe_of(graph.module, LATENT), latents(2, seed)
        for site in Random(seed).sample(graph.sites, 2):
            n_asked += 1
            for method in ("replay", "batched", "additive"):
                try:
                    list(probe.sweep(z, [Ablate(f"{site}#0")], method=method))
                except NotReplayableError as error:
                    refused[f"graph {seed}: {site} by {method}"] = f"{error.kind}: {error}"
                    n_surprises += error.kind == "mismatch"
    n_refused = sum("by replay" in where for where in refused)
    assert 1.0 - n_refused / n_asked >= REPLAYED_SHARE, refused
    surprises = {where: why for where, why in refused.items() if "mismatch" in why}
    assert n_surprises <= SURPRISING_SHARE * n_asked, surprises


@pytest.mark.parametrize("seed", range(0, N_GRAPHS, 12))
def test_nothing_of_a_sweep_shows_between_two_of_its_images(seed: int) -> None:
    graph, rng = random_graph(seed), Random(seed)
    probe, z, other = probe_of(graph.module, LATENT), latents(2, seed), latents(3, seed + 1)
    variants = random_variants(random_sites(probe, graph, rng), rng, len(z))
    expected = images_of(probe, z, variants)
    with torch.no_grad():
        plain = graph.module(other)
    for method in METHODS:
        told, images = f"graph {seed}, {method}", list[Tensor]()
        with untouched(graph.module, told):
            try:
                for image in probe.sweep(z, variants, method=method):
                    images.append(image)
                    assert torch.is_grad_enabled(), told
                    with torch.no_grad(), untouched(graph.module, told):
                        assert torch.equal(graph.module(other), plain), told
                        assert torch.equal(probe.run(other).images, plain), told
            except NotReplayableError:
                assert method not in NEVER_REFUSED, told
                continue
        assert_alike(images, expected, variants, told)


@pytest.mark.parametrize("seed", range(0, N_GRAPHS, 6))
def test_a_sweep_that_is_left_or_raises_leaves_nothing(seed: int) -> None:
    graph, rng = random_graph(seed), Random(seed)
    probe, z = probe_of(graph.module, LATENT), latents(2, seed)
    site = str(random_sites(probe, graph, rng)[0].site)
    one = Ablate(f"{site}#0")
    breaking: list[Variant] = [one, Apply(site, function=broken), *[one] * 6]
    plain, ablated = probe.run(z).images, probe.run(z, one).images
    for method in METHODS:
        told = f"graph {seed}, {method}, {site}"
        with untouched(graph.module, told):
            with pytest.raises((ForwardError, NotReplayableError)):
                list(probe.sweep(z, breaking, method=method))
            with suppress(NotReplayableError):
                first = next(iter(probe.sweep(z, [one] * 9, method=method, chunk=2)))
                assert_alike([first], [ablated], [one], told)
        assert torch.equal(probe.run(z).images, plain)


@pytest.mark.parametrize("seed", range(0, N_GRAPHS, 6))
def test_a_sweep_can_be_walked_twice_and_its_images_do_not_share_memory(seed: int) -> None:
    graph, rng = random_graph(seed), Random(seed)
    probe, z = probe_of(graph.module, LATENT), latents(2, seed)
    variants = random_variants(random_sites(probe, graph, rng), rng, len(z))
    expected = images_of(probe, z, variants)
    for method in NEVER_REFUSED:
        sweep = probe.sweep(z, variants, method=method)
        for _ in range(2):
            images = list(sweep)
            assert_alike(images, expected, variants, f"graph {seed}, {sweep.how.method}")
            for image in images:
                image.fill_(7.0)


@pytest.mark.parametrize("seed", range(0, N_GRAPHS, 6))
def test_what_is_measured_is_measured_of_the_images(seed: int) -> None:
    graph, rng = random_graph(seed), Random(seed)
    probe, z = probe_of(graph.module, LATENT), latents(7, seed)
    tensors = random_sites(probe, graph, rng)
    for variants in (unit_variants(tensors[0], rng, 7), random_variants(tensors, rng, 7)):
        images = images_of(probe, z, variants)
        for measure in (mean_levels, corners):
            expected = torch.stack([measure(edited).view(7, -1) for edited in images])
            for method in NEVER_REFUSED:
                measured = probe.sweep(z, variants, method=method, measure=measure)
                assert_measured(measured.values, expected, f"graph {seed}, {method}")


@pytest.mark.parametrize("seed", range(0, N_GRAPHS, 6))
def test_a_plan_and_a_choice_of_method_say_what_is_done(seed: int) -> None:
    graph, rng = random_graph(seed), Random(seed)
    probe, z = probe_of(graph.module, LATENT), latents(2, seed)
    sites = [str(tensor.site) for tensor in random_sites(probe, graph, rng)]
    sweep = probe.sweep(z, [Ablate(f"{site}#0") for site in sites] * 4)
    list(sweep)
    assert sweep.how.method in METHODS
    assert sweep.how.reason
    assert all(refusal.kind and refusal.message for refusal in sweep.how.refused)
    has_plan = not any(refusal.method == "replay" for refusal in sweep.how.refused)
    assert not has_plan or str(probe.replay_plan(sites))


def mean_levels(images: Tensor) -> Tensor:
    return images.mean((1, 2, 3))  # (n,)


def corners(images: Tensor) -> Tensor:
    return torch.stack([images[:, 0, 0, 0], images[:, 0, -1, -1]], 1)  # (n, 2)


# Sweeps of hostile modules


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_module_is_swept_rightly_or_refused(name: str) -> None:
    module = hostile_module(name)
    probe, keeps_state = probe_of(module, LATENT), keeps_its_state(module)
    for number, tensor in enumerate(outputs_of(probe)):
        z = latents(1 if number % 2 else 3, number)
        base = probe.run(z).images
        variants = possible(probe, z, strong_variants(tensor, Random(number), len(z)))
        told, expected = f"{name}, n = {len(z)}", images_of(probe, z, variants)
        methods = TESTED_ON_HOSTILE
        assert_swept(probe, z, variants, expected, told, methods=methods, keeps_state=keeps_state)
        assert torch.equal(probe.run(z).images, base), f"{told} at {tensor.site}"


@pytest.mark.parametrize("name", HOSTILE)
def test_what_only_late_variants_bring_to_light_is_not_missed(name: str) -> None:
    probe, z = probe_of(hostile_module(name), LATENT), latents(2, 3)
    idle = [Scale("middle", by=1.0, units=[unit]) for unit in range(8)] * 3
    direction, donor = torch.ones(8), Latents(latents(2, 11))
    late: list[Variant] = [
        Scale("middle", by=-9.0, units=[3]),
        Ablate("middle"),
        Shift("middle", direction=direction, amount=5.0),
        Shift("middle", direction=direction, amount=-5.0),
        Swap("middle", donor=donor, units=[7]),
    ]
    variants = [*idle, *possible(probe, z, late), *idle[:5]]
    expected, methods = images_of(probe, z, variants), TESTED_ON_HOSTILE
    assert_swept(probe, z, variants, expected, name, methods=methods, keeps_state=False)


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_measured_of_a_hostile_module_is_measured_of_its_images(name: str) -> None:
    probe, z = probe_of(hostile_module(name), LATENT), latents(9, 4)
    edits: list[Variant] = [Scale("middle", by=by) for by in (-3.0, 0.5, 2.0)]
    edits += [Ablate("middle", units=[unit]) for unit in range(5)]
    variants = possible(probe, z, edits)
    expected = torch.stack([corners(images) for images in images_of(probe, z, variants)])
    for method in NEVER_REFUSED:
        measured = probe.sweep(z, variants, method=method, measure=corners)
        assert_measured(measured.values, expected, f"{name}, {method}")


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_sweep_remembers_does_not_reach_that_of_other_latents(name: str) -> None:
    probe = probe_of(hostile_module(name), LATENT)
    site = probe.layers().resolve_one("middle").site
    variants: list[Variant] = [Scale(site, by=-2.0), Shift(site, direction=torch.ones(8))]
    for z in (latents(2, 5), latents(3, 6)):
        expected = images_of(probe, z, variants)
        assert_swept(
            probe, z, variants, expected, name, methods=("replay", "batched"), keeps_state=False
        )


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_module_has_an_answer_to_be_right_about(name: str) -> None:
    probe, z = probe_of(hostile_module(name), LATENT), latents(3, 0)
    tensor = probe.layers().resolve_one("middle")
    variants = possible(probe, z, strong_variants(tensor, Random(0), 3))
    assert len(variants) > 3
    expected = images_of(probe, z, variants)
    assert any(not torch.allclose(images, expected[0]) for images in expected)
    for variant, images in [*zip(variants, expected, strict=True)][::-1]:
        assert torch.equal(probe.run(z, variant).images, images), variant


# Random graphs themselves


@pytest.mark.parametrize("seed", range(N_GRAPHS))
def test_samples_of_a_random_graph_do_not_influence_each_other(seed: int) -> None:
    module, z = random_graph(seed).module, latents(3, seed)
    with torch.no_grad():
        images = module(z)
        alone = torch.cat([module(z[[row]]) for row in range(3)])
        assert torch.equal(module(z), images)
    assert images.shape == (3, 1, 4, 4)
    assert torch.allclose(images, alone, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("seed", range(0, N_GRAPHS, 3))
def test_the_sites_of_a_random_graph_can_be_edited(seed: int) -> None:
    graph, z = random_graph(seed), latents(2, seed)
    probe, n_seen = probe_of(graph.module, LATENT), 0
    plain = probe.run(z).images
    for site in graph.sites:
        n_units = probe.layers().resolve(site)[0].n_units
        moved = probe.run(z, Shift(site, direction=torch.arange(1.0, n_units + 1.0)))
        n_seen += not torch.allclose(moved.images, plain)
    assert n_seen > 0.7 * len(graph.sites)


# What is swept


def latents(n: int, seed: int) -> Tensor:
    stream = torch.Generator().manual_seed(seed)
    return torch.randn(n, LATENT, dtype=torch.float64, generator=stream)


def random_sites(probe: Probe, graph: Graph, rng: Random) -> list[SiteTensor]:
    """Two tensors, as layers return them or, at times, as they are given them."""
    found = [resolved(probe, site) for site in rng.sample(graph.sites, 2)]
    if rng.random() < 0.25:
        given = [tensor for tensor in tensors_of(probe) if tensor.site.port == "in"]
        found[0] = rng.choice(given)
    return found


def resolved(probe: Probe, site: str) -> SiteTensor:
    """The one tensor of a site, or one of a layer that runs several times."""
    return probe.layers().resolve(site)[-1]


def tensors_of(probe: Probe) -> list[SiteTensor]:
    """Every tensor that can be edited."""
    return [
        tensor
        for layer in probe.layers()
        for tensor in layer.tensors
        if tensor.shape and tensor.dtype == "float64"
    ]


def outputs_of(probe: Probe) -> list[SiteTensor]:
    """Of layers ahead of the last, without those that make weights."""
    return [
        tensor
        for tensor in tensors_of(probe)
        if tensor.site.port == "out"
        and tensor.site.layer not in ("", "last")
        and "parametrizations" not in tensor.site.layer
    ]


def random_variants(tensors: Sequence[SiteTensor], rng: Random, n: int) -> list[Variant]:
    """None, one or two edits in a variant, at one site or two."""

    def edit(tensor: SiteTensor) -> Intervention:
        if rng.random() < 0.5:
            return rng.choice(extras(tensor, rng, n))
        return random_case(str(tensor.site), [tensor], rng, n)[0].intervention

    first, second = tensors
    counts = [(1, 0), (0, 0), (2, 0), (1, 1), (1, 0), (0, 1)]
    return [
        [*(edit(first) for _ in range(n_first)), *(edit(second) for _ in range(n_second))]
        if n_first + n_second != 1 or rng.random() < 0.5
        else edit(first if n_first else second)
        for n_first, n_second in counts
    ]


def unit_variants(tensor: SiteTensor, rng: Random, n: int) -> list[Variant]:
    """Twenty, each of a few units, every one of which is edited without regard to the others."""
    site, n_units = tensor.site, tensor.n_units
    with seeded(rng):
        values = torch.randn(tensor.shape, dtype=torch.float64)
        others, region = latents(n, rng.randrange(1000)), random_region(tensor, rng)

    def edit(units: list[int]) -> Intervention:
        more: dict[str, Any] = {
            "units": units,
            "strength": rng.choice([1.0, 1.0, 0.3, 0.0]),
            "region": rng.choice([None, region]),
        }
        makers: list[Callable[[], Intervention]] = [
            lambda: Ablate(site, **more),
            lambda: Ablate(site, to=0.7, **more),
            lambda: Ablate(site, to="mean", **more),
            lambda: Scale(site, by=-2.0, **more),
            lambda: Shift(site, direction=values, amount=3.0, **more),
            lambda: Patch(site, values=values, **more),
            lambda: Swap(site, donor=Latents(others), **more),
        ]
        return rng.choice(makers)()

    variants: list[Variant] = []
    for _ in range(20):
        units = rng.sample(range(n_units), rng.randint(1, n_units))
        cut = rng.randint(0, len(units))
        variants.append([edit(some) for some in (units[:cut], units[cut:]) if some])
    return variants


def random_case(
    site: str, tensors: Sequence[SiteTensor], rng: Random, n: int
) -> tuple[Case, dict[str, Any]]:
    """An intervention with its outcome by hand, and how much of that is taken, and where."""
    tensor = tensors[0]
    n_chosen = rng.randint(1, max(1, tensor.n_units - 1))  # all of them would be taken in order
    units = rng.sample(range(tensor.n_units), n_chosen)
    strength = rng.choice([1.0, 1.0, 0.3, 0.0])
    more: dict[str, Any] = {"strength": strength, "region": random_region(tensor, rng)}
    kind = rng.choice(possible_kinds(tensor, n_calls=len(tensors)))
    n_rows = n if tensor.is_batched else 1
    with seeded(rng):
        shape = torch.Size((n_rows, *tensor.shape))
        case = KINDS[kind](Place(Site.parse(site), shape, tensor.unit_axis, units, more))
    return case, {**more, "axis": tensor.unit_axis, "units": units}


def possible_kinds(tensor: SiteTensor, *, n_calls: int) -> list[str]:
    """Those that need not know rows or calls where there is no telling them."""
    excluded = [] if n_calls == 1 else ["recording"]
    excluded += [] if tensor.is_batched else ["within the batch"]
    excluded += [] if tensor.is_batched or tensor.is_alone else ["each sample", "swap"]
    return [kind for kind in KINDS if not any(words in kind for words in excluded)]


def random_region(tensor: SiteTensor, rng: Random) -> Tensor | None:
    """Soft and hard weights on a finer grid than the site's; often none."""
    has_space = tensor.spatial_shape and (tensor.is_batched or tensor.is_alone)
    if not has_space or rng.random() < 0.6:
        return None
    with seeded(rng):
        mask = torch.rand([2 * size for size in tensor.spatial_shape], dtype=torch.float64)
    return torch.where(mask > 0.5, mask, (mask > 0.25).double())


def extras(tensor: SiteTensor, rng: Random, n: int) -> list[Intervention]:
    """Edits of whole activations, with tensors, other latents, and across the batch."""
    site, n_units = tensor.site, tensor.n_units
    units = rng.sample(range(n_units), rng.randint(1, n_units))
    with seeded(rng):
        others, sample = latents(n, rng.randrange(1000)), torch.randn(tensor.shape)
        direction, strengths = torch.randn(n_units), torch.rand(len(units))
    edits = [
        Ablate(site),
        Ablate(site, to="mean", strength=0.7),
        Scale(site, by=-1.5),
        Scale(site, by=2.0, units=units, strength=strengths),
        Shift(site, direction=direction, amount=-2.0),
        Patch(site, values=sample),
        Apply(site, function=centred),
        Apply(site, function=times_its_length, units=units),
        Apply(site, function=torch.relu_),
        Swap(site, donor=Latents(others)),
        Swap(site, donor=Latents(others), units=units, strength=0.4),
    ]
    if tensor.is_batched:
        edits += [
            Swap(site, donor=list(reversed(range(n)))),
            Patch(site, values=sample.expand(n, *tensor.shape) * 2.0, strength=0.5),
        ]
    if tensor.is_batched and tensor.spatial_shape:
        edits.append(Ablate(site, region=torch.rand(n, *tensor.spatial_shape)))
    return edits


def centred(chosen: Tensor) -> Tensor:
    return chosen - chosen.mean(0)


def times_its_length(chosen: Tensor) -> Tensor:
    return chosen * len(chosen)


def broken(chosen: Tensor) -> Tensor:
    raise ArithmeticError("broken")


def strong_variants(tensor: SiteTensor, rng: Random, n: int) -> list[Variant]:
    """Edits that turn the signs and ranks of values, so that what depends on them changes."""
    site, n_units = tensor.site, tensor.n_units
    direction = torch.ones(n_units)
    edits: list[Variant] = [
        Scale(site, by=-3.0),
        Shift(site, direction=direction, amount=4.0),
        Shift(site, direction=direction, amount=-4.0),
        [],
        Ablate(site, units=range(min(3, n_units))),
        [Scale(site, by=2.0), Ablate(site, to="mean", units=[0])],
        Swap(site, donor=Latents(latents(n, 11)), units=[n_units - 1]),
    ]
    return rng.sample(edits, len(edits))


def possible(probe: Probe, z: Tensor, variants: Sequence[Variant]) -> list[Variant]:
    """Those that a run accepts: a layer that a value decides about may not be reached."""
    accepted = []
    for variant in variants:
        try:
            probe.run(z, variant)
        except GanprobeError:
            continue
        accepted.append(variant)
    return accepted


@contextmanager
def seeded(rng: Random) -> Iterator[None]:
    """What is drawn here is decided by `rng`; the random state outside is left as it was."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(rng.randrange(2**31))
        yield


# How it is compared


def images_of(probe: Probe, z: Tensor, variants: Sequence[Variant]) -> list[Tensor]:
    """By a run for each variant."""
    return [probe.run(z, variant).images for variant in variants]


def assert_swept(
    probe: Probe,
    z: Tensor,
    variants: Sequence[Variant],
    expected: Sequence[Tensor],
    told: str,
    chunk: int | None = None,
    *,
    methods: Sequence[Method] = METHODS,
    keeps_state: bool = True,
) -> None:
    """By each method the images are those expected, or it is refused; the module is as it was."""
    for method in methods:
        how = f"{told}, {method}, n = {len(z)}, chunk = {chunk}"
        with untouched(probe.generator.module, how, keeps_state=keeps_state):
            try:
                images = list(probe.sweep(z, variants, method=method, chunk=chunk))
            except NotReplayableError:
                if method in NEVER_REFUSED:
                    raise
            else:
                assert_alike(images, expected, variants, how)


def assert_alike(
    images: Sequence[Tensor],
    expected: Sequence[Tensor],
    variants: Sequence[Variant],
    told: str,
) -> None:
    """Each image equals the one expected, up to rounding."""
    assert len(images) == len(expected), told
    for number, (made, due, variant) in enumerate(zip(images, expected, variants, strict=True)):
        where = f"{told}, variant {number}: {variant!r}"
        assert made.shape == due.shape, where
        assert made.dtype == due.dtype, where
        assert not made.requires_grad, where
        largest = due.nan_to_num().abs().max().item()
        difference = (made - due).abs().max().item()
        is_alike = torch.allclose(made, due, rtol=1e-9, atol=1e-9 * largest, equal_nan=True)
        assert is_alike, f"{where} differs by {difference:.3g} of {largest:.3g}"


def assert_measured(values: Tensor, expected: Tensor, told: str) -> None:
    """(variants, n, columns) are those expected, up to rounding."""
    assert values.shape == expected.shape, told
    assert values.dtype == expected.dtype, told
    differences = (values - expected).abs().amax((1, 2)).tolist()
    assert torch.allclose(values, expected, rtol=1e-8, atol=1e-9), f"{told}: {differences}"


@contextmanager
def untouched(module: nn.Module, told: str, *, keeps_state: bool = True) -> Iterator[None]:
    """Weights, hooks, attributes, random state and grad mode are afterwards what they were.

    Args:
        keeps_state: a forward of the module's own leaves its weights and attributes alone.
    """
    weights = {name: kept.clone() for name, kept in module.state_dict().items()}
    hooks, state, held = hooks_of(module), state_of(module), tensors_held_by(module)
    alive = [dict(vars(layer)) for layer in module.modules()]  # so that no identity comes twice
    noise, has_grad = torch.random.get_rng_state(), torch.is_grad_enabled()
    yield
    assert hooks_of(module) == hooks, f"{told}: hooks"
    assert torch.equal(torch.random.get_rng_state(), noise), f"{told}: random state"
    assert torch.is_grad_enabled() == has_grad, f"{told}: grad mode"
    assert [(name, key) for name, key, _ in state_of(module)] == [
        (name, key) for name, key, _ in state
    ], f"{told}: attributes"
    if keeps_state:
        assert state_of(module) == state, f"{told}: values of attributes"
        assert tensors_held_by(module) == held, f"{told}: parameters and buffers"
        for name, kept in module.state_dict().items():
            assert torch.equal(kept, weights[name]), f"{told}: {name}"
    alive.clear()


def tensors_held_by(module: nn.Module) -> list[tuple[str, int]]:
    """Parameters and buffers, by identity."""
    named = [*module.named_parameters(), *module.named_buffers()]
    return [(name, id(tensor)) for name, tensor in named]


def keeps_its_state(module: nn.Module) -> bool:
    """Whether forwards of the module's own leave its weights and attributes alone."""
    with torch.no_grad():
        module(latents(2, 0))
        try:
            with untouched(module, ""):
                module(latents(2, 1))
                module(latents(3, 2))
        except AssertionError:
            return False
    return True


@contextmanager
def edited_by_hand(
    module: nn.Module, site: Site, case: Case, how: dict[str, Any]
) -> Iterator[None]:
    """Hooks of torch's own do the edit; in place where the layer itself works in place."""
    layer, calls, versions = module.get_submodule(site.layer), count(), dict[int, int]()

    def before(layer: nn.Module, args: tuple[Any, ...]) -> None:
        versions.update((id(given), given._version) for given in args if torch.is_tensor(given))

    def after(layer: nn.Module, args: object, output: Tensor) -> Tensor | None:
        call = next(calls)
        if site.call not in (None, call):
            return None
        edited = blend(output, case.outcome(output), **how)
        is_in_place = versions.get(id(output), output._version) != output._version
        return output.copy_(edited) if is_in_place else edited

    handles = [layer.register_forward_pre_hook(before), layer.register_forward_hook(after)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
