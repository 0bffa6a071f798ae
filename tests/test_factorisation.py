"""Closed-form factorisation against singular values, and weights that are found by themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from ganprobe import Generator, ParameterError, Probe, Space, closed_form, learned_map


def space_of(
    module: nn.Module, latent: int | tuple[int, ...], name: str = "z", **how: str
) -> Space:
    generator = Generator.from_module(module.eval(), latent=latent, name="mine", **how)  # type: ignore[arg-type]
    return Space.of(Probe(generator, dtype=torch.float64), name)


@pytest.mark.parametrize("seed", range(3))
def test_eigenvalues_are_squared_singular_values_in_order(seed: int) -> None:
    weights = np.random.default_rng(seed).standard_normal((7, 30))
    left, sizes, _ = np.linalg.svd(weights)
    found = closed_form(weights, normalised=False)
    assert found.eigenvalues == pytest.approx(sizes**2)
    assert np.abs((found.vectors * left.T).sum(1)) == pytest.approx(np.ones(7))
    assert found.vectors @ found.vectors.T == pytest.approx(np.eye(7), abs=1e-12)
    assert (found.vectors[range(7), np.abs(found.vectors).argmax(1)] > 0).all()


def test_columns_count_alike_where_they_are_normalised() -> None:
    weights = np.random.default_rng(0).standard_normal((5, 40))
    scaled = weights * np.geomspace(1e-3, 1e3, 40)
    one, other = closed_form(weights), closed_form(scaled)
    assert other.eigenvalues == pytest.approx(one.eigenvalues)
    assert other.vectors == pytest.approx(one.vectors)
    sizes = np.linalg.svd(weights / np.linalg.norm(weights, axis=0), compute_uv=False)
    assert one.eigenvalues == pytest.approx(sizes**2)
    assert one.eigenvalues.sum() == pytest.approx(40)


def test_weights_that_are_none_are_refused() -> None:
    with pytest.raises(ParameterError, match="the weights are all 0"):
        closed_form(np.zeros((3, 4)))
    with pytest.raises(ParameterError, match=r"a finite matrix \(d, outputs\), got \(3,\)"):
        closed_form([1.0, 2.0, 3.0])


def test_the_first_linear_layer_is_found_beyond_reshapes() -> None:
    torch.manual_seed(0)
    first = nn.Linear(6, 20)
    module = nn.Sequential(
        nn.Flatten(), nn.Identity(), first, nn.ReLU(), nn.Linear(20, 16), nn.Unflatten(1, (1, 4, 4))
    )
    found = learned_map(space_of(module, (2, 3)))
    assert (found.layers, found.is_direct) == (("2",), True)
    assert found.weights == pytest.approx(first.weight.detach().double().numpy().T, abs=1e-12)


def test_a_dcgans_weights_are_those_of_its_transposed_convolution() -> None:
    torch.manual_seed(0)
    first = nn.ConvTranspose2d(10, 8, 4, bias=False)
    module = nn.Sequential(first, nn.BatchNorm2d(8), nn.ReLU(), nn.ConvTranspose2d(8, 3, 4, 2, 1))
    found = learned_map(space_of(module, (10, 1, 1)))
    assert found.layers == ("0",)
    assert found.weights == pytest.approx(first.weight.detach().flatten(1).double().numpy())


def test_a_convolution_of_a_map_of_latents_is_its_matrix() -> None:
    torch.manual_seed(0)
    first = nn.Conv2d(2, 3, 3, padding=1)
    found = learned_map(space_of(nn.Sequential(first, nn.Tanh()), (2, 4, 4)))
    points = torch.randn(5, 2, 4, 4, dtype=torch.float64)
    with torch.no_grad():
        expected = first.double()(points) - first.bias[:, None, None]  # type: ignore[index]
    assert points.flatten(1).numpy() @ found.weights == pytest.approx(
        expected.flatten(1).numpy(), abs=1e-10
    )


def test_weights_in_another_parametrisation_are_those_that_act() -> None:
    torch.manual_seed(0)
    first = parametrizations.weight_norm(nn.Linear(4, 9))
    found = learned_map(space_of(nn.Sequential(first, nn.Unflatten(1, (1, 3, 3))), 4))
    assert found.layers == ("0",)
    assert found.weights == pytest.approx(first.weight.detach().double().numpy().T, abs=1e-6)


class Normed(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return z / z.square().mean(1, keepdim=True).sqrt()


class Styled(nn.Module):
    """A mapping network after a norm, and two styles of its w."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = Normed()
        self.mapping = nn.Sequential(nn.Linear(4, 5), nn.LeakyReLU())
        self.style1, self.style2 = nn.Linear(5, 6), nn.Linear(5, 3)
        self.constant = nn.Parameter(torch.randn(9))

    def forward(self, z: Tensor) -> Tensor:
        w = self.mapping(self.norm(z))
        styles = torch.cat([self.style1(w), self.style2(w)], 1)
        return (styles * self.constant).reshape(-1, 1, 3, 3)


def test_all_layers_that_are_given_w_are_taken_together() -> None:
    torch.manual_seed(0)
    module = Styled()
    found = learned_map(space_of(module, 4, "w", w_site="mapping"))
    expected = torch.cat([module.style1.weight, module.style2.weight]).detach().double().numpy()
    assert (found.layers, found.is_direct) == (("style1", "style2"), True)
    assert found.weights == pytest.approx(expected.T, abs=1e-12)
    only = learned_map(space_of(module, 4, "w", w_site="mapping"), ["style2"])
    assert only.weights == pytest.approx(expected.T[:, 6:], abs=1e-12)


def test_a_layer_behind_a_norm_is_taken_and_it_is_said() -> None:
    torch.manual_seed(0)
    module = Styled()
    found = learned_map(space_of(module, 4))
    assert (found.layers, found.is_direct) == (("mapping.0",), False)
    first = module.mapping[0]
    assert isinstance(first, nn.Linear)
    assert found.weights == pytest.approx(first.weight.detach().double().numpy().T, abs=1e-12)


class Bent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(9, 4))

    def forward(self, z: Tensor) -> Tensor:
        return (z @ self.weight.T).tanh()


def test_a_layer_that_is_not_linear_is_refused() -> None:
    module = nn.Sequential(Bent(), nn.Unflatten(1, (1, 3, 3)))
    with pytest.raises(ParameterError, match="layer 0 is not linear in what it is given"):
        learned_map(space_of(module, 4))


class Joined(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 9)

    def forward(self, z: Tensor) -> Tensor:
        joined: Tensor = self.first(torch.cat([z, torch.ones_like(z[:, :2])], 1))
        return joined.reshape(-1, 1, 3, 3)


def test_points_of_too_many_numbers_are_refused_ahead_of_the_work() -> None:
    module = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 1))
    with pytest.raises(ParameterError, match="a point of 0 has 4225 numbers, and a closed form of"):
        learned_map(space_of(module, (1, 65, 65), "0"))


def test_where_no_layer_takes_the_latents_it_is_said() -> None:
    space = space_of(Joined(), 4)
    with pytest.raises(ParameterError, match=r"'mine' was found that takes the 4 numbers of z;"):
        learned_map(space)
    with pytest.raises(ParameterError, match=r"--layer first takes 6 numbers .* of z has 4"):
        learned_map(space, ["first"])
