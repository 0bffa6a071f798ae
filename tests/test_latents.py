from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ganprobe import Generator, Latents, LatentSpace, ParameterError

spaces = st.sampled_from(
    [
        LatentSpace((5,)),
        LatentSpace((3, 2, 2)),
        LatentSpace((7,), "uniform"),
        LatentSpace((4,), "truncated", bound=0.7),
    ]
)


@given(
    spaces,
    st.integers(0, 2**64 - 1),
    st.lists(st.integers(0, 10**9), min_size=1, max_size=8),
)
def test_sample_i_of_seed_s_is_the_same_in_any_company(
    space: LatentSpace, seed: int, indices: list[int]
) -> None:
    together = space.sample(indices, seed=seed).z
    alone = torch.cat([space.sample([index], seed=seed).z for index in indices])
    assert torch.equal(together, alone)


def test_samples_are_the_same_at_any_batch_size(tiny: Generator) -> None:
    whole = tiny.sample(100, seed=3)
    for batch_size in (1, 7, 64):
        starts = range(0, 100, batch_size)
        batches = [
            tiny.sample(min(batch_size, 100 - start), seed=3, start=start) for start in starts
        ]
        assert torch.equal(torch.cat([batch.z for batch in batches]), whole.z)
        assert sum((batch.indices or () for batch in batches), ()) == whole.indices


def test_seeds_and_indices_give_different_samples() -> None:
    space = LatentSpace((16,))
    rows = torch.cat([space.sample(range(200), seed=seed).z for seed in (0, 1, 2**63)])
    assert len(rows.unique(dim=0)) == len(rows)


@pytest.mark.parametrize(
    ("space", "distribution"),
    [
        (LatentSpace((10,)), stats.norm()),
        (LatentSpace((10,), "uniform", bound=2.0), stats.uniform(-2.0, 4.0)),
        (LatentSpace((10,), "truncated", bound=1.5), stats.truncnorm(-1.5, 1.5)),
    ],
    ids=lambda value: getattr(value, "distribution", ""),
)
def test_values_follow_the_prior(space: LatentSpace, distribution: stats.rv_continuous) -> None:
    values = space.sample(range(5000), seed=11).z.numpy().ravel()
    assert stats.kstest(values, distribution.cdf).pvalue > 1e-3
    assert np.isfinite(values).all()
    assert np.abs(values).max() <= space.bound


def test_values_of_one_sample_and_of_neighbours_are_independent() -> None:
    z = LatentSpace((8,)).sample(range(20000), seed=5).z.double()
    columns = torch.corrcoef(z.T) - torch.eye(8)
    neighbours = torch.corrcoef(torch.stack([z[:-1, 0], z[1:, 0]]))[0, 1]
    assert columns.abs().max() < 5 / math.sqrt(20000)
    assert neighbours.abs() < 5 / math.sqrt(20000)


def test_the_usual_range_is_the_priors() -> None:
    assert LatentSpace((2,)).usual_range == (-3.0, 3.0)
    assert LatentSpace((2,), "uniform").usual_range == (-1.0, 1.0)
    assert LatentSpace((2,), "truncated", bound=0.5).usual_range == (-0.5, 0.5)


def test_impossible_spaces_are_refused() -> None:
    with pytest.raises(ParameterError, match="positive sizes, got"):
        LatentSpace(())
    with pytest.raises(ParameterError, match="no latent distribution 'cauchy'"):
        LatentSpace((3,), "cauchy")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="bound is above 0 and finite, got -1"):
        LatentSpace((3,), "uniform", bound=-1.0)


def test_impossible_samples_are_refused(tiny: Generator) -> None:
    with pytest.raises(ParameterError, match="at least 1, got 0"):
        tiny.sample(0)
    with pytest.raises(ParameterError, match=r"a seed is .* got -1"):
        tiny.sample(1, seed=-1)
    with pytest.raises(ParameterError, match="count from 0, got -2"):
        tiny.sample(1, start=-2)


def test_a_slice_keeps_seed_and_indices() -> None:
    latents = LatentSpace((3,)).sample(range(10), seed=4)[2:5]
    assert isinstance(latents, Latents)
    assert (latents.seed, latents.indices, len(latents)) == (4, (2, 3, 4), 3)
