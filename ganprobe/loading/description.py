"""Descriptions: ``ganprobe.toml``, in which a model folder says what its generator needs.

    [generator]                           # all of it is optional
    name = "my-gan"                       # as it is called in results
    factory = "network.py:Generator"      # or package.module:name
    weights = "weights.safetensors"       # beside this file
    weights_key = "g_ema"                 # where a checkpoint holds several
    part = "decoder"                      # of what the factory returns: attribute or key
    method = "decode"                     # that makes images, where it is not forward
    normalisation = "eval"                # or "sample", "batch"
    code = "stylegan3"                    # folder of the code that an NVIDIA pickle needs
    kind = "stylegan2"                    # a StyleGAN, which is told without, or "module"

    [arguments]                           # of the factory
    width = 64

    [latent]
    size = 512                            # or shape = [4, 8, 8]
    distribution = "normal"               # or "truncated", "uniform", with bound = 2.0

    [classes]
    count = 2
    names = ["zero", "one"]

    [images]
    range = [-1, 1]                       # the values of black and white
    shape = [3, 64, 64]                   # where they come flat
    output = ["sample"]                   # where they are, in what comes out
    channel_order = "rgb"                 # or "bgr"
    channels_last = false                 # (n, h, w, c)

    [call]                                # where it is not module(z) or module(z, label)
    arguments = ["$z", "$one-hot", "$truncation"]
    keywords = {noise_mode = "const"}

    [sites]
    w = "mapping"
    w_plus = "mapping:out[1]"
    unit_axes = {"blocks.*" = -1}

    [style]                               # of a StyleGAN
    noise = "random"                      # of its layers; or "fixed", "none"
    truncation = 0.7                      # psi; of the first styles alone with cutoff = 8

    [measure]                             # a classifier or another judge of images, instead
    factory = "judge.py:make"             # weights, weights_key, part, method as above
    arguments = {width = 64}              # of the factory
    columns = ["cat", "dog"]              # or how many
    image_shape = [3, 224, 224]           # that it takes; other images are brought to it
    image_range = [0, 1]                  # the values of black and white that it takes
    mean = [0.485, 0.456, 0.406]          # taken off after that, and divided by
    std = [0.229, 0.224, 0.225]
    resize = "bilinear"                   # or "bicubic", "nearest", "area", "none"
    outputs = "logits"                    # or "log-probabilities", "probabilities", "values"

Reading one runs nothing that it names.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ganprobe.errors import ParameterError, UsageError, nearest_names

__all__ = [
    "DESCRIPTION_FILE",
    "ArgumentsSection",
    "CallSection",
    "ClassesSection",
    "Description",
    "GeneratorSection",
    "ImagesSection",
    "LatentSection",
    "MeasureSection",
    "SitesSection",
    "StyleSection",
    "read_description",
]

DESCRIPTION_FILE = "ganprobe.toml"

ArgumentsSection = dict[str, Any]
_OURS = frozenset({"folder", "file"})  # of a `Description`, and no sections
_RANGE = Field(default=None, description="two numbers, [black, white]")
_SHAPE = Field(default=None, description="three whole numbers, [channels, height, width]")
_OUTPUT = Field(default=None, description='a key, a position, or a list of them, as ["sample", 0]')
_AXES: Any = Field(default_factory=dict, description="an axis for each site, as {conv2 = -1}")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class GeneratorSection(_Section):
    """Which code and which weights; the paths count from the folder of the description."""

    name: str | None = Field(default=None, min_length=1)
    factory: str | None = None
    weights: str | None = None
    weights_key: str | None = None
    part: str | None = None
    method: str | None = None
    normalisation: Literal["eval", "sample", "batch"] = "eval"
    code: str | None = None
    kind: Literal["stylegan2", "module"] | None = None


class LatentSection(_Section):
    """Size or shape of a latent, and its prior."""

    size: int | None = Field(default=None, ge=1)
    shape: tuple[int, ...] | None = Field(default=None, min_length=1)
    distribution: Literal["normal", "truncated", "uniform"] = "normal"
    bound: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _is_given_once(self) -> Self:
        if self.size is not None and self.shape is not None:
            raise ValueError("give size or shape, not both")
        if self.shape is not None and min(self.shape) < 1:
            raise ValueError("the sizes of a shape are 1 or more")
        return self

    @property
    def sizes(self) -> tuple[int, ...] | None:
        """The shape, however it was given; None: it has to be found out."""
        return self.shape if self.size is None else (self.size,)


class ClassesSection(_Section):
    """How many classes there are, and what they are called."""

    count: int | None = Field(default=None, ge=1)
    names: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.count is None and not self.names:
            raise ValueError("give count, names or both")
        if self.count is not None and self.names and len(self.names) != self.count:
            raise ValueError(f"count is {self.count}, and there are {len(self.names)} names")
        return self


class ImagesSection(_Section):
    """What the images look like that come out."""

    range: tuple[float, float] | None = _RANGE
    shape: tuple[int, int, int] | None = _SHAPE
    output: str | int | tuple[str | int, ...] | None = _OUTPUT
    channel_order: Literal["rgb", "bgr"] = "rgb"
    channels_last: bool = False

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError("range is [black, white], the smaller number first")
        if self.shape is not None and min(self.shape) < 1:
            raise ValueError("shape is [channels, height, width], each 1 or more")
        return self


class CallSection(_Section):
    """How the module is called; see `ganprobe.Call`."""

    arguments: tuple[Any, ...] = ("$z",)
    keywords: dict[str, Any] = Field(default_factory=dict)


class SitesSection(_Section):
    """Where its intermediate latents are, and which axes count units."""

    w: str | None = None
    w_plus: str | None = None
    unit_axes: dict[str, int] = _AXES


class StyleSection(_Section):
    """What a StyleGAN's layers add, and how far its w is from the mean."""

    noise: Literal["random", "fixed", "none"] = "random"
    truncation: float | None = Field(default=None, gt=0)
    cutoff: int | None = Field(default=None, ge=0)


class MeasureSection(_Section):
    """A network that judges images, and how it wants them.

    Args:
        columns: what its outputs are called, or how many there are, then numbered from 0.
        image_shape: (channels, height, width) that it takes; images are brought to it. None: it
            takes them as they are.
        image_range: the values of black and white that it takes.
        mean, std: of each channel, taken off and divided by after that.
        resize: how images are brought to its size; ``"none"``: only that size goes.
        outputs: what they are; of logits and log-probabilities probabilities are made.
    """

    name: str | None = Field(default=None, min_length=1)
    summary: str | None = None
    factory: str | None = None
    weights: str | None = None
    weights_key: str | None = None
    part: str | None = None
    method: str | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)
    columns: int | tuple[str, ...] = Field(
        default=(), description='how many outputs there are, or their names, as ["cat", "dog"]'
    )
    image_shape: tuple[int, int, int] | None = _SHAPE
    image_range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    resize: Literal["bilinear", "bicubic", "nearest", "area", "none"] = "bilinear"
    output: str | int | tuple[str | int, ...] | None = _OUTPUT
    outputs: Literal["logits", "log-probabilities", "probabilities", "values"] = "values"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.image_range[0] < self.image_range[1]:
            raise ValueError("image_range is [black, white], the smaller number first")
        if bool(self.mean) != bool(self.std):
            raise ValueError("mean and std are given both, or neither")
        if self.std and min(self.std) <= 0:
            raise ValueError("every std is above 0")
        channels = {len(one) for one in (self.mean, self.std) if one}
        channels |= {self.image_shape[0]} if self.image_shape is not None else set()
        if len(channels - {1}) > 1 or len({len(self.mean), len(self.std)}) > 1:
            raise ValueError("mean and std have one number, or one for each channel")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """What its outputs are called."""
        if isinstance(self.columns, int):
            return tuple(map(str, range(self.columns)))
        return self.columns


class Description(BaseModel):
    """What a ``ganprobe.toml`` says.

    Args:
        folder: that relative paths in it count from.
        file: that it was read from; None: it was made otherwise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    generator: GeneratorSection = GeneratorSection()
    arguments: ArgumentsSection = Field(default_factory=dict)
    latent: LatentSection = LatentSection()
    classes: ClassesSection | None = None
    images: ImagesSection = ImagesSection()
    call: CallSection | None = None
    sites: SitesSection = SitesSection()
    style: StyleSection = StyleSection()
    measure: MeasureSection | None = None
    folder: Path = Field(default=Path(), exclude=True)
    file: Path | None = Field(default=None, exclude=True)

    def path(self, written: str) -> Path:
        """A path that stands in the description, from the current folder."""
        return self.folder / Path(written).expanduser()


def read_description(path: Path) -> Description:
    """The description in a model folder, or in a file of that form.

    Raises:
        UsageError: there is none, or it is no TOML.
        ParameterError: a key that is unknown, or whose value is of another type; says which.
    """
    file = path / DESCRIPTION_FILE if path.is_dir() else path
    try:
        written = file.read_text(encoding="utf-8")
        held = tomllib.loads(written)
    except FileNotFoundError as error:
        raise UsageError(f"{path} has no {DESCRIPTION_FILE}, which says what is in it") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file} is not TOML: {error}") from error
    return _described(held, file)


def _described(held: dict[str, Any], file: Path) -> Description:
    if hidden := held.keys() & _OURS:
        raise _unknown(Description, [min(hidden)], file)
    try:
        # As JSON, because lists are tuples there, and nothing else is taken for what it is not.
        read = Description.model_validate_json(json.dumps(held, default=str))
    except ValidationError as error:
        raise _sentence(error, file) from error
    return read.model_copy(update={"folder": file.parent, "file": file})


def _sentence(error: ValidationError, file: Path) -> ParameterError:
    first = error.errors()[0]
    section, *keys = [str(part) for part in first["loc"]]
    model = _model_of(section)
    if first["type"] == "extra_forbidden":
        return _unknown(model if keys else Description, [section, *keys], file)
    if not keys and first["type"] != "value_error":
        return ParameterError(f"{file}: {section} is a section: write [{section}] and its keys")
    where = f"{file}: [{section}]" + (f" {keys[0]}" if keys else "")
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "value_error" and len(keys) < 1:
        return ParameterError(f"{where}: {message}")
    form = model.model_fields[keys[0]].description if model is not None and keys else None
    spoken = f"is {form}" if form else _in_the_words_of_toml(message)
    return ParameterError(f"{where} {spoken}, got {json.dumps(first['input'], default=str)}")


def _in_the_words_of_toml(message: str) -> str:
    for theirs, ours in (
        ("input should be", "is"),
        ("valid array", "list"),
        ("valid tuple", "list"),
        ("valid dictionary", "table"),
        ("a valid integer", "a whole number"),
        ("valid ", ""),
    ):
        message = (message[0].lower() + message[1:]).replace(theirs, ours)
    return message.replace("a an ", "an ")


def _model_of(section: str) -> type[BaseModel] | None:
    """What a section is read as; None where any key goes, or there is no such section."""
    field = Description.model_fields.get(section)
    kinds = () if field is None else (field.annotation, *get_args(field.annotation))
    are_models = (kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel))
    return next(are_models, None)


def _unknown(model: type[BaseModel] | None, place: list[str], file: Path) -> ParameterError:
    known = [] if model is None else [name for name in model.model_fields if name not in _OURS]
    nearest = ", ".join(nearest_names(place[-1], known))
    what = f"there is no section [{place[0]}]"
    if len(place) > 1:
        what = f"[{place[0]}] has no key {place[-1]!r}"
    return ParameterError(f"{file}: {what}; nearest: {nearest}")
