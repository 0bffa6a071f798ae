"""Pieces: the connected components of many masks at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import generate_binary_structure, label
from torch import Tensor

BACKGROUND, LARGEST, OTHER, HOLE = range(4)

_OVER_CORNERS = np.zeros((3, 3, 3), bool)
_OVER_CORNERS[1] = True  # within an image, never into the next
_OVER_SIDES = _OVER_CORNERS & generate_binary_structure(3, 1)


def label_pieces(stands_out: Tensor) -> NDArray[np.uint8]:
    """What each pixel of masks (n, height, width) is in: one of the four, (n, height, width)."""
    masks = stands_out.cpu().numpy()
    pieces, n_pieces = label(masks, _OVER_CORNERS)
    kind_of_piece = np.full(n_pieces + 1, OTHER, np.uint8)
    kind_of_piece[_largest(pieces, n_pieces)] = LARGEST
    grounds, n_grounds = label(~masks, _OVER_SIDES)
    kind_of_ground = np.full(n_grounds + 1, HOLE, np.uint8)
    for border in (grounds[:, [0, -1]], grounds[:, :, [0, -1]]):
        kind_of_ground[np.unique(border)] = BACKGROUND
    return np.where(masks, kind_of_piece[pieces], kind_of_ground[grounds])


def _largest(pieces: NDArray[np.signedinteger[Any]], n_pieces: int) -> NDArray[np.int64]:
    """The numbers of the largest piece of each image that has any; the first of equal ones."""
    places = np.flatnonzero(pieces)
    numbers = pieces.ravel()[places]
    image_of = np.zeros(n_pieces + 1, np.int64)
    image_of[numbers] = places // (pieces.shape[1] * pieces.shape[2])
    sizes = np.bincount(numbers, minlength=n_pieces + 1)
    order = np.lexsort((np.arange(1, n_pieces + 1), -sizes[1:], image_of[1:])) + 1
    _, first = np.unique(image_of[order], return_index=True)
    return np.asarray(order[first], np.int64)
