"""Networks: somebody's classifier or scorer, described by a ``ganprobe.toml``, as a measure.

``network:models/lenet`` is the network that ``models/lenet/ganprobe.toml`` describes under
``[measure]``. It is read when it is first asked for, and costs what one forward of it costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganprobe import Measure, ParameterError, hookimpl

if TYPE_CHECKING:
    from torch import Tensor

    from ganprobe import Trust


class Network(Measure):
    """What stands for any of them until a folder is named."""

    name = "network"
    summary = "a classifier or scorer of yours, which the ganprobe.toml of a folder describes"
    columns = ()
    argument = "FOLDER"

    def with_argument(self, argument: str, trust: Trust) -> Measure:
        from ganprobe_networks.judging import judge

        return judge(argument, trust)

    def measure(self, images: Tensor) -> Tensor:
        raise ParameterError("measure 'network' needs a folder; write network:FOLDER")


@hookimpl
def register_measures() -> list[Measure]:
    """``network``, which is told its folder behind a colon."""
    return [Network()]
