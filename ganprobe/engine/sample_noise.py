"""Noise that belongs to the sample: the same whatever else is in its batch.

What sample i of noise seed s is given by the k-th draw of a forward depends on (s, i, k) alone.
While `same_noise` lasts, a draw is made sample by sample: the same operation, on the sample's part
of what it is given, from a stream that begins at a place of its own. A draw that has no axis for
the batch (one noise map for all) depends on (s, k). Which axis that is, `find_draws` learns from
two forwards, of one sample and of two; where each sample has several rows there, they are taken to
be next to each other.

Costs a few µs for each sample of each draw, and some more for each operation of the forward. A
generator that draws nothing never comes here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ganprobe.engine.gate import muted
from ganprobe.engine.noise import kept_noise
from ganprobe.engine.operations import EveryOperation, balanced_modes, is_draw, tensors_of

__all__ = ["Draw", "find_draws", "same_noise"]

# Odd numbers that spread samples and draws over all seeds. A stream on the host is told apart by
# the lower 32 bits of its seed, in which they are odd as well: no two samples meet in one draw.
_PER_SAMPLE = 0x9E3779B97F4A7C15
_PER_DRAW = 0xD1B54A32D192ED03
_OF_NO_SAMPLE = 0x632BE59BD9B4E019


@dataclass(frozen=True)
class Draw:
    """One draw of a forward.

    Args:
        rank: how many axes it has.
        axis: that the samples are on; None: it is one for all of them.
        n_rows: of each sample, on that axis.
    """

    rank: int
    axis: int | None
    n_rows: int = 1


_BEYOND = Draw(0, 0)
"""One that the forwards which were looked at did not make, of whatever rank."""

_ONE_FOR_ALL = object()


def find_draws(module: nn.Module, forward: Callable[[int], object]) -> tuple[Draw, ...]:
    """The draws of a forward, in order, from one of one sample and one of two.

    Streams of random numbers are put back where they were.

    Args:
        forward: calls the module on so many samples.
    """
    shapes: list[list[torch.Size]] = []
    for n in (1, 2):
        with (
            torch.no_grad(),
            muted(),
            kept_noise(module) as kept,
            balanced_modes(),
            _Shapes(kept.sources) as drawn,
        ):
            forward(n)
        shapes.append(drawn.shapes)
    return tuple(_draw(*pair) for pair in zip(*shapes, strict=False))


@contextmanager
def same_noise(
    module: nn.Module, seed: int, indices: Sequence[int], draws: Sequence[Draw]
) -> Iterator[None]:
    """Give each sample the noise of its own, and put all streams back afterwards.

    Args:
        indices: of the samples of the batch.
        draws: what `find_draws` found; one that is not there is taken to have the samples on its
            first axis, if that is as long.
    """
    with (
        kept_noise(module) as kept,
        balanced_modes(),
        _BySample(kept.sources, seed, indices, draws),
    ):
        yield


class _Shapes(EveryOperation):
    """Notes the shapes of what is drawn."""

    def __init__(self, sources: Sequence[torch.Generator]) -> None:
        super().__init__()
        self._streams = _Streams(sources)
        self.shapes: list[torch.Size] = []

    def seen(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        if self._streams.drawn_from(func, args, kwargs) is not None:
            self.shapes.append(next((leaf.shape for leaf in tensors_of(out)), torch.Size()))


def _draw(of_one: torch.Size, of_two: torch.Size) -> Draw:
    if len(of_one) == len(of_two):
        for axis, (one, two) in enumerate(zip(of_one, of_two, strict=True)):
            if two == 2 * one:
                return Draw(len(of_one), axis, one)
    return Draw(len(of_one), None)


class _BySample(TorchDispatchMode):
    """Makes every draw of this thread sample by sample."""

    def __init__(
        self,
        sources: Sequence[torch.Generator],
        seed: int,
        indices: Sequence[int],
        draws: Sequence[Draw],
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._streams = _Streams(sources)
        self._seed, self._indices, self._draws = seed, indices, draws
        self._n_done = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing here is compiled; to say so, torch would import its compiler."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        stream = self._streams.drawn_from(func, args, kwargs)
        if stream is None:
            return func(*args, **kwargs)
        number = self._n_done
        self._n_done += 1
        drawn = self._each(func, args, kwargs, number, stream)
        if drawn is _ONE_FOR_ALL:
            self._begin(stream, number, _OF_NO_SAMPLE)
            return func(*args, **kwargs)
        return drawn

    def _each(
        self,
        func: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        number: int,
        stream: torch.Generator,
    ) -> Any:
        """What is drawn, sample by sample; `_ONE_FOR_ALL` where it is that."""
        draw = self._draws[number] if number < len(self._draws) else _BEYOND
        parts = _Parts.of(draw, func, (args, kwargs), len(self._indices))
        if parts is None:
            return _ONE_FOR_ALL
        found = []
        for row, index in enumerate(self._indices):
            self._begin(stream, number, index * _PER_SAMPLE)
            own_args, own_kwargs = parts.given_to(row)
            found.append(func(*own_args, **own_kwargs))
            if not row and not parts.fits(found[0]):
                return _ONE_FOR_ALL
        return parts.joined(func, found)

    def _begin(self, stream: torch.Generator, number: int, place: int) -> None:
        stream.manual_seed((self._seed + number * _PER_DRAW + place) % 2**63)


@dataclass(frozen=True, eq=False)
class _Parts:
    """What an operation is given, cut into samples.

    Args:
        cut: by position or name, the axis that samples are on in a tensor or a size.
        axis: that they are on in what is drawn, counted from the last.
    """

    given: tuple[tuple[Any, ...], dict[str, Any]]
    cut: dict[int | str, int]
    axis: int
    n_rows: int

    @classmethod
    def of(
        cls, draw: Draw, func: Any, given: tuple[tuple[Any, ...], dict[str, Any]], n_samples: int
    ) -> _Parts | None:
        """None where nothing that is given has an axis for the samples."""
        if draw.axis is None:
            return None
        shapes = dict(_shapes(func, *given))
        rank = draw.rank or len(next(iter(shapes.values()), ()))
        axis = draw.axis - rank  # arguments are broadcast from the last axis
        cut = {
            key: axis
            for key, shape in shapes.items()
            if len(shape) >= -axis > 0 and shape[axis] == n_samples * draw.n_rows
        }
        return cls(given, cut, axis, draw.n_rows) if cut else None

    def given_to(self, row: int) -> tuple[list[Any], dict[str, Any]]:
        """The arguments for one sample."""
        args, kwargs = list(self.given[0]), dict(self.given[1])
        for key, axis in self.cut.items():
            if isinstance(key, int):
                args[key] = self._part(args[key], axis, row)
            else:
                kwargs[key] = self._part(kwargs[key], axis, row)
        return args, kwargs

    def _part(self, whole: Any, axis: int, row: int) -> Any:
        if isinstance(whole, Tensor):
            return whole.narrow(axis, row * self.n_rows, self.n_rows)
        sizes = list(whole)
        sizes[axis] = self.n_rows
        return sizes

    def fits(self, drawn: Any) -> bool:
        """Whether what was drawn for one sample can be put beside the others'."""
        leaves = drawn if isinstance(drawn, tuple | list) else [drawn]
        return all(
            isinstance(leaf, Tensor)
            and leaf.ndim >= -self.axis
            and leaf.shape[self.axis] == self.n_rows
            for leaf in leaves
        )

    def joined(self, func: Any, drawn: Sequence[Any]) -> Any:
        """What the operation returns: of one that writes, what it was given to write into."""
        written = [self._written(func, returned) for returned in func._schema.returns]
        if len(written) == 1 and isinstance(drawn[0], Tensor):
            return torch.cat(list(drawn), self.axis) if written[0] is None else written[0]
        pairs = zip(written, zip(*drawn, strict=True), strict=True)
        return tuple(torch.cat(parts, self.axis) if own is None else own for own, parts in pairs)

    def _written(self, func: Any, returned: Any) -> Tensor | None:
        if returned.alias_info is None or not returned.alias_info.is_write:
            return None
        args, kwargs = self.given
        for position, argument in enumerate(func._schema.arguments):
            alias = argument.alias_info
            if alias is not None and alias.before_set == returned.alias_info.before_set:
                found = args[position] if position < len(args) else kwargs[argument.name]
                assert isinstance(found, Tensor)
                return found
        return None


def _shapes(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Iterator[tuple[int | str, Sequence[int]]]:
    """The shape of each tensor, and each size, among what an operation is given."""
    names = [argument.name for argument in func._schema.arguments]
    given: list[tuple[int | str, Any]] = [*enumerate(args), *kwargs.items()]
    for key, value in given:
        if isinstance(value, Tensor):
            yield key, value.shape
        elif "size" in (key, names[key] if isinstance(key, int) else ""):
            yield key, value


class _Streams:
    """The streams that count: not those that a forward makes, and seeds, itself."""

    def __init__(self, sources: Sequence[torch.Generator]) -> None:
        # An operation is given another Python object of the same stream.
        self._addresses = {_address(source) for source in sources}

    def drawn_from(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> torch.Generator | None:
        """The one that an operation draws from; None: it draws from none of them."""
        if not is_draw(func, args):
            return None
        stream = _stream(args, kwargs)
        return stream if stream is not None and _address(stream) in self._addresses else None


def _address(stream: torch.Generator) -> int:
    address: int = stream._cdata  # type: ignore[attr-defined]
    return address


def _stream(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Generator | None:
    """The stream that an operation draws from, if it is one that is known."""
    given = [*args, *kwargs.values()]
    own = [value for value in given if isinstance(value, torch.Generator)]
    if own:
        return own[0]
    devices = [value.device for value in tensors_of(given)]
    device = kwargs.get("device") or (devices[0] if devices else torch.device("cpu"))
    if device.type == "cuda":
        at = torch.cuda.current_device() if device.index is None else device.index
        stream: torch.Generator = torch.cuda.default_generators[at]
        return stream
    return torch.default_generator if device.type == "cpu" else None
