"""Tasks: one loading of one generator, and the record that it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn

from ganprobe.errors import UsageError, WeightsError
from ganprobe.generators import Generator
from ganprobe.latents import LatentSpace
from ganprobe.loading.options import LoadOptions
from ganprobe.weight_files import Trust, fit_weights, read_weights, sha256_of

__all__ = ["Task", "plain"]

_RECORDED = (
    *("weights_key", "factory", "part", "method", "latent", "image_range", "image_shape"),
    *("output", "unit_axes", "normalisation", "code"),
)


@dataclass
class Task:
    """One loading.

    Args:
        text: what the user wrote.
        options: what was given with it; their trust also writes down what was trusted.
        files: the SHA-256 of each file that was read or run, by path.
        trusted: what was trusted, a sentence each.
        record: whatever else is part of the generator's source, as plain values.
        notes: sentences for the user.
    """

    text: str
    options: LoadOptions
    files: dict[str, str] = field(default_factory=dict)
    trusted: list[str] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        heard = self.options.trust.say

        def say(sentence: str) -> None:
            self.trusted.append(sentence)
            heard(sentence)

        self.options = replace(self.options, trust=Trust(self.options.trust.is_given, say))
        given = {name: getattr(self.options, name) for name in _RECORDED}
        if given := {name: plain(value) for name, value in given.items() if value is not None}:
            self.record["given"] = given

    @property
    def trust(self) -> Trust:
        """Whether code may run that could not be looked into."""
        return self.options.trust

    def keep_file(self, path: Path) -> None:
        """Make a file part of the record, with its SHA-256."""
        self.files[str(path)] = sha256_of(path)

    def refuse(self, what: str, *given: str) -> None:
        """Raise if an option was given that means nothing for this kind of generator."""
        for name in given:
            if getattr(self.options, name):
                flag = {"arguments": "--set"}.get(name, f"--{name.replace('_', '-')}")
                raise UsageError(f"{what} takes no {flag}; leave it out")

    def fit(self, whole: Any, made: nn.Module | Generator, path: Path, key: str | None) -> None:
        """Write the weights of a file into what was made, or into the whole that it is part of.

        Raises:
            WeightsError: they fit neither; told for what was made.
        """
        weights = read_weights(path, key=key, trust=self.trust)
        module = made.module if isinstance(made, Generator) else made
        targets = [module, *([whole] if isinstance(whole, nn.Module) and whole is not made else [])]
        first: WeightsError | None = None
        for target in targets:
            try:
                fitted = fit_weights(target, weights, name=type(target).__name__)
            except WeightsError as error:
                first = first or error
                continue
            self.notes += fitted.notes
            self.files |= weights.files or {str(path): weights.sha256}
            self.record["weights"] = {"path": str(path), "entry": fitted.key}
            return
        assert first is not None
        raise first

    def to_json(self) -> Mapping[str, Any]:
        """How the generator was loaded, as plain values: enough to load it again."""
        record: dict[str, Any] = {"spec": self.text, **self.record}
        if self.files:
            record["files"] = self.files
        if self.trusted:
            record["trusted"] = self.trusted
        return record


def plain(value: Any) -> Any:
    """A value of an option or argument as JSON has it; what it has no form for by its text."""
    if isinstance(value, LatentSpace):
        return value.to_json()
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, Path):
        return str(value)
    return value if isinstance(value, str | int | float | bool | None) else repr(value)
