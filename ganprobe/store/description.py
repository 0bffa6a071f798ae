"""The description of a store as it is written: plain values, each checked when it is read."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

__all__ = ["DatasetDescription", "SiteDescription", "StoreDescription"]


def _checked_key(given: object) -> object:
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise ValueError("a name is text, or a number")
    return given


_Name = Annotated[
    Any, AfterValidator(_checked_key)
]  # pydantic's own text is stricter than Python's
_Offset = Annotated[int, Field(ge=0, lt=2**62)]
_Size = Annotated[int, Field(ge=1, lt=2**48)]
_Pair = Field(min_length=2, max_length=2)


class _Plain(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SiteDescription(_Plain):
    """A `Site`."""

    layer: _Name
    port: Literal["in", "out"]
    path: list[_Name]
    call: int | None
    units: list[_Offset] | None


class DatasetDescription(_Plain):
    """A dataset, and where it is."""

    key: SiteDescription | Literal["latents", "seeds", "images"]
    group: str
    name: str
    dimensions: list[str]
    shape: list[_Size]
    chunk: list[_Size]
    dtype: str
    values: _Offset | None
    index: _Offset | None
    records: _Offset

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not len(self.shape) == len(self.chunk) == len(self.dimensions) > 0:
            raise ValueError(f"{self.name} has shape {self.shape} and dimensions {self.dimensions}")
        if any(part > size for part, size in zip(self.chunk, self.shape, strict=True)):
            raise ValueError(f"{self.name} has chunks {self.chunk} of {self.shape}")
        if (self.values is None) == (self.index is None):
            raise ValueError(f"{self.name} has to have a place or an index")
        units = None if isinstance(self.key, str) else self.key.units
        sizes = dict(zip(self.dimensions, self.shape, strict=True))
        if units is not None and sizes.get("unit", len(units)) != len(units):
            raise ValueError(f"{self.name} has {self.shape} for {len(units)} units")
        return self


class StoreDescription(_Plain):
    """All that a store says of itself."""

    samples: list[Annotated[list[_Offset], _Pair]]
    batch_size: _Size
    identity: dict[str, Any]
    provenance: dict[str, Any]
    compression: Literal["none", "zstd", "lz4"]
    share: Annotated[list[_Size], _Pair] | None
    counter: _Offset
    datasets: list[DatasetDescription]
    shards: list[str]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        keys = [dataset.key for dataset in self.datasets]
        if len({dataset.group + dataset.name for dataset in self.datasets}) != len(keys):
            raise ValueError("it has a dataset twice")
        if bool(self.shards) == bool(self.datasets) or (self.datasets and "latents" not in keys):
            raise ValueError("it has to have latents, or shards")
        if self.share is not None and self.share[0] > self.share[1]:
            raise ValueError(f"share {self.share} is beyond the whole")
        if not isinstance(self.provenance.get("seed", ""), int | None):
            raise ValueError("its provenance has no seed")
        n_samples = sum(stop - start for start, stop in self.samples)
        if any(stop <= start for start, stop in self.samples) or not self.samples:
            raise ValueError(f"it has samples {self.samples[:3]}")
        for dataset in self.datasets:
            if dataset.shape[0] != n_samples:
                raise ValueError(f"{dataset.name} has {dataset.shape} for {n_samples} samples")
        return self
