from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure

from ganprobe.statistics import StatisticsSettings, summarize
from ganprobe.statistics.figures import draw_units


def drawn(activations: torch.Tensor, seed: int | None = 7, **wanted: Any) -> Figure:
    """A page that was also rendered: some of what can go wrong does so only then."""
    batches = [(activations, range(len(activations)))]
    page = draw_units(summarize(batches, StatisticsSettings(**wanted)), site="conv2", seed=seed)
    page.savefig(io.BytesIO(), dpi=40)
    return page


def test_the_page_says_what_it_shows() -> None:
    activations = torch.randn(12, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    activations[:, 3] = -1.0
    page = drawn(activations)
    assert page.get_suptitle() == "conv2: 5 units, 12 samples, seed 7"
    legend = page.axes[0].get_legend()
    assert legend is not None
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == [
        "minimum to maximum",
        "5 % to 95 % of the values",
        "median",
        "mean",
        "never active (1)",
    ]
    assert all(axes.get_xlabel() and axes.get_ylabel() for axes in page.axes)
    assert page.axes[1].get_title(loc="left") == "How active: 1 dead, 1 constant"


def test_the_correlation_is_drawn_where_the_covariance_was_asked_for() -> None:
    activations = torch.randn(12, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    activations[:, 2] = activations[:, 0]
    page = drawn(activations, covariance_of="positions")
    titles = [axes.get_title(loc="left") for axes in page.axes]
    assert "Correlation over 192 positions (diagonal: 1)" in titles
    assert any("0 and 2: +1.00" in text.get_text() for axes in page.axes for text in axes.texts)


def test_a_sketch_and_values_that_are_not_finite_are_told_in_the_title() -> None:
    activations = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    activations[0, 0] = torch.nan
    page = drawn(activations, seed=None, memory=0)
    assert page.get_suptitle() == (
        "conv2: 3 units, 12 samples, quantiles within 0.4 %, 1 value not finite, left out"
    )


def test_far_outliers_do_not_hide_the_rest() -> None:
    activations = torch.randn(500, 30, generator=torch.Generator().manual_seed(0))
    activations[0, 0] = 5e3
    assert drawn(activations).axes[0].get_yscale() == "symlog"


@pytest.mark.parametrize(
    ("level", "n_units", "quantiles"),
    [(0.0, 3, ()), (float("nan"), 3, (0.5,)), (float("nan"), 1, ())],
)
def test_units_that_never_vary_can_be_drawn(
    level: float, n_units: int, quantiles: tuple[float, ...]
) -> None:
    activations = torch.full((4, n_units), level)
    drawn(activations, covariance_of="samples", quantiles=quantiles)
