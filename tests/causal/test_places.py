"""Places: windows and pixels against their definition, cell by cell."""

from __future__ import annotations

import pytest
import torch

from ganprobe import ParameterError, Places


def by_definition(grid: int, site: int, window: int) -> list[tuple[int, ...]]:
    """The cells nearest to the middle of each place, the lower ones where two are as near."""
    found = []
    for place in range(grid):
        middle = (place + 0.5) * site / grid
        first = max(
            (at for at in range(-window, site + 1) if at <= middle - window / 2 + 0.5),
        )
        found.append(tuple(cell for cell in range(first, first + window) if 0 <= cell < site))
    return found


@pytest.mark.parametrize("grid", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("window", [1, 2, 3, 8])
def test_windows_are_the_cells_around_the_middle_of_each_place(grid: int, window: int) -> None:
    masks = Places((grid, 1), (8, 1), (16, 2), (window, 1)).masks()
    expected = by_definition(grid, 8, window)
    assert [tuple(torch.nonzero(mask[:, 0])[:, 0].tolist()) for mask in masks] == expected
    assert all(expected)


def test_a_window_of_one_cell_on_the_sites_own_grid_is_that_cell() -> None:
    places = Places((3, 4), (3, 4), (6, 8), (1, 1))
    assert torch.equal(places.masks().flatten(1), torch.eye(12, dtype=torch.bool))


def test_cells_of_places_share_no_pixel_and_leave_none_out() -> None:
    rows, columns = Places((3, 5), (7, 9), (28, 31), (2, 3)).cell_weights()
    assert rows.sum(0) == pytest.approx(torch.ones(28).tolist())
    assert columns.sum(0) == pytest.approx(torch.ones(31).tolist())
    assert columns.sum(1) == pytest.approx([31 / 5] * 5)


def test_pixels_of_a_window_are_those_under_its_cells() -> None:
    places = Places((4, 4), (4, 4), (8, 8), (2, 3))
    rows, columns = places.window_weights()
    under = torch.einsum("ph,qw->pqhw", rows, columns).flatten(0, 1)
    wide = places.masks().repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert torch.equal(under, wide.double())
    assert torch.equal(places.shares(), wide.double().mean((1, 2)))
    left, top, right, bottom = places.boxes()[5]
    assert (bottom - top) * (right - left) == wide[5].sum()


def test_pixels_that_lie_half_under_a_window_count_half() -> None:
    _, columns = Places((1, 2), (1, 2), (1, 3), (1, 1)).window_weights()
    assert columns.tolist() == [[1.0, 0.5, 0.0], [0.0, 0.5, 1.0]]


def test_a_point_is_in_the_place_that_holds_it() -> None:
    places = Places((2, 4), (8, 8), (16, 16), (1, 1))
    assert [places.at(0, 0), places.at(1, 1), places.at(0.3, 0.6)] == [0, 7, 5]
    with pytest.raises(ParameterError, match=r"two shares of the image .* got 3,0\.5"):
        places.at(3, 0.5)
