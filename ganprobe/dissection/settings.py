"""What a dissection computes: declared once, checked once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ganprobe.errors import ParameterError
from ganprobe.indices import check_count

__all__ = ["DissectionSettings", "Domain"]

Domain = Literal["upsampled", "raw", "iqr"]


@dataclass(frozen=True, kw_only=True)
class DissectionSettings:
    """How the level is found above which a unit is active, and how sure its label is.

    Args:
        domain: what the threshold is a level of. ``"upsampled"``: of the activation brought to
            the size of the image, so that `share` of all pixels is active; ``"raw"``: of the
            activation as it is, so that `share` of its values is above, and of the pixels often
            fewer; ``"iqr"``: for each unit and class the level, of those in `IQR_SHARES` of the
            raw values, that tells most about the class (information quality ratio).
        share: of the values that are above the threshold, in (0, 0.5].
        n_top: samples kept for each unit, those with the largest activation.
        n_groups: the bootstrap draws groups of consecutive samples, at most so many.
        n_resamples: of the bootstrap.
        memory: bytes of activations, masks and thresholds' values that are kept at most. Beyond
            it samples are read twice, and where the values above the thresholds do not fit
            either, thresholds come from a sketch with a stated error.
        seed: of the resamples.

    Raises:
        ParameterError: one of them is outside its range.
    """

    domain: Domain = "upsampled"
    share: float = 0.005
    n_top: int = 10
    n_groups: int = 500
    n_resamples: int = 1000
    memory: int = 2**30
    seed: int = 0

    def __post_init__(self) -> None:
        if self.domain not in get_args(Domain):
            known = ", ".join(get_args(Domain))
            raise ParameterError(f"domain is one of {known}, got {self.domain!r}")
        if not 0 < self.share <= 0.5:
            raise ParameterError(
                f"the share of values above the threshold is in (0, 0.5], got {self.share:g}"
            )
        check_count(self.n_top, "the number of top samples of a unit", least=0)
        check_count(self.n_groups, "the number of groups of samples")
        check_count(self.n_resamples, "the number of resamples")
        check_count(self.memory, "the memory of a dissection, in bytes,", least=0)
        check_count(self.seed, "the seed", least=0)
