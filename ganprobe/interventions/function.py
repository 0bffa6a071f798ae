"""Apply: any function of an activation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor

from ganprobe.errors import ForwardError, GanprobeError, ParameterError, ShapeError, UsageError
from ganprobe.interventions.base import Intervention, Numbers, Outcome
from ganprobe.sites import Site, SiteTensor

__all__ = ["Apply"]


class Apply(Intervention):
    """Do anything with an activation: the one kind that cannot be written as JSON.

    Args:
        site, units, region, strength: as for every `Intervention`.
        function: from a copy of the chosen units, (n, units, y, x), to a tensor of that shape.
            If it draws random numbers, give it a `torch.Generator` of its own, so that it does
            not take them from the noise of the forward.

    Raises:
        ParameterError: the function cannot be called.

    Example:
        >>> import torch
        >>> Apply("conv2", function=torch.relu)
        Apply('conv2', function=relu)
    """

    own = ("function",)
    gives_held = True

    def __init__(
        self,
        site: str | Site,
        *,
        function: Callable[[Tensor], Tensor],
        units: Iterable[int] | None = None,
        region: object = None,
        strength: Numbers = 1.0,
    ) -> None:
        if not callable(function):
            raise ParameterError(f"a function can be called, got {function!r}")
        super().__init__(site, units=units, region=region, strength=strength, function=function)

    function: Callable[[Tensor], Tensor]

    def outcome(self, tensor: SiteTensor) -> Outcome:
        function = self.__dict__["function"]

        def applied(chosen: Tensor) -> Tensor:
            try:
                outcome = function(chosen.clone())
            except GanprobeError:
                raise
            except Exception as error:
                raise ForwardError(f"the function of {self!r} raised: {error}") from error
            if not isinstance(outcome, Tensor) or outcome.shape != chosen.shape:
                got = tuple(outcome.shape) if isinstance(outcome, Tensor) else repr(outcome)
                raise ShapeError(
                    f"the function of {self!r} returns a tensor {tuple(chosen.shape)}, as it is"
                    f" given, got {got}"
                )
            return outcome.to(chosen.device, chosen.dtype)

        return applied

    def to_json(self) -> dict[str, Any]:
        raise UsageError(
            f"{self!r} holds a function, which cannot be written as JSON; use another kind, such"
            " as Patch with the function's outcome"
        )
