"""Specs: what a user writes for a generator, read into where it comes from.

    digits                            a name that a plugin registered
    package.module:factory            a function or class that makes it, in a package
    path/to/file.py:factory           ... in a file
    model.safetensors, model.pt       a checkpoint, an archive, a pickle
    path/to/folder                    a model folder, or a ganprobe.toml
    hf:owner/name/subfolder@revision  Hugging Face; also owner/name, where no such path exists
    hub:owner/repo:branch:entry       torch.hub; also hub:FOLDER:entry

A registered name comes first, then a path that exists. Reading fetches nothing and imports
nothing; of the disk it asks only what is there.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ganprobe.errors import UnknownNameError, UsageError

__all__ = [
    "CodeSpec",
    "FileSpec",
    "FolderSpec",
    "HuggingFaceSpec",
    "RegisteredSpec",
    "Spec",
    "TorchHubSpec",
    "parse_factory",
    "parse_spec",
    "what_else",
]

FORMS = (
    "a registered name, package.module:factory, file.py:factory, a checkpoint, a model folder,"
    " hf:owner/name or hub:owner/repo:entry"
)

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_REPOSITORY = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_REVISION = re.compile(r"[\w][\w./+-]*")
_SUFFIXES = frozenset(
    [
        ".safetensors",
        ".pt",
        ".pth",
        ".pkl",
        ".pickle",
        ".bin",
        ".ckpt",
        ".pt2",
        ".ts",
        ".jit",
        ".zip",
        ".tar",
        ".toml",
        ".py",
        ".h5",
    ]
)


@dataclass(frozen=True)
class RegisteredSpec:
    """A name that a plugin registered."""

    name: str


@dataclass(frozen=True)
class CodeSpec:
    """A factory in Python code: ``attribute`` of a module, or of a file where `file` is given."""

    attribute: str
    module: str = ""
    file: Path | None = None

    def __str__(self) -> str:
        return f"{self.file or self.module}:{self.attribute}"


@dataclass(frozen=True)
class FileSpec:
    """A file with weights, or with a module."""

    path: Path


@dataclass(frozen=True)
class FolderSpec:
    """A model folder, or the description file (``.toml``) of one."""

    path: Path


@dataclass(frozen=True)
class HuggingFaceSpec:
    """A repository of models at Hugging Face."""

    repository: str
    subfolder: str = ""
    revision: str | None = None


@dataclass(frozen=True)
class TorchHubSpec:
    """An entry of a repository's or a folder's ``hubconf.py``.

    Args:
        repository: ``owner/repo`` or ``owner/repo:branch``; of a folder its path.
    """

    repository: str
    entry: str
    is_local: bool = False


Spec = RegisteredSpec | CodeSpec | FileSpec | FolderSpec | HuggingFaceSpec | TorchHubSpec


def parse_spec(text: str, names: Iterable[str]) -> Spec:
    """Where a generator comes from, by what a user wrote.

    Args:
        names: that are registered.

    Raises:
        UnknownNameError: nothing that it can mean is there; names the nearest registered names.
        UsageError: it has a form that is known, and does not fit it.

    Example:
        >>> parse_spec("digits", ["digits"])
        RegisteredSpec(name='digits')
        >>> parse_spec("hf:owner/vae/decoder@v2", [])
        HuggingFaceSpec(repository='owner/vae', subfolder='decoder', revision='v2')
        >>> parse_spec("my_models.gan:Generator", [])
        CodeSpec(attribute='Generator', module='my_models.gan', file=None)
    """
    known = list(names)
    if text in known:
        return RegisteredSpec(text)
    if not text.strip():
        raise UsageError(f"no generator was named; write {FORMS}")
    if text.startswith("hf:"):
        return _hugging_face(text.removeprefix("hf:"), text)
    if text.startswith("hub:"):
        return _torch_hub(text.removeprefix("hub:"), text)
    return _existing(text) or _code(text) or _remote_or_nothing(text, known)


def parse_factory(text: str, beside: Path | None = None) -> CodeSpec:
    """The factory that is written ``package.module:name`` or ``file.py:name``.

    Args:
        beside: the folder that a relative path to a file counts from; None: the current one.

    Raises:
        UsageError: it is neither.

    Example:
        >>> parse_factory("diffusers:AutoencoderKL").module
        'diffusers'
    """
    found = _code(text, beside)
    if found is None:
        raise UsageError(
            f"a factory is written package.module:name or path/to/file.py:name, got {text!r}"
        )
    return found


def _existing(text: str) -> Spec | None:
    path = Path(text).expanduser()
    if path.is_dir():
        return FolderSpec(path)
    if not path.is_file():
        return None
    if path.suffix == ".py":
        raise UsageError(f"{text} holds code; say what in it makes the generator: {text}:NAME")
    return FolderSpec(path) if path.suffix == ".toml" else FileSpec(path)


def _code(text: str, beside: Path | None = None) -> CodeSpec | None:
    """A factory, or None where the text has another form."""
    place, colon, attribute = text.rpartition(":")
    if not colon or not _DOTTED.fullmatch(attribute):
        return None
    if _looks_like_a_path(place) or Path(place).is_file():
        return CodeSpec(attribute, file=_file_of_code(place, text, beside))
    if not _DOTTED.fullmatch(place):
        return None
    return CodeSpec(attribute, module=place)


def _file_of_code(place: str, text: str, beside: Path | None) -> Path:
    path = Path(place).expanduser()
    path = path if beside is None else beside / path
    if path.is_dir():
        raise UsageError(f"{place} is a folder; a factory is in a file of it: {place}/FILE.py:NAME")
    if not path.is_file():
        raise _no_such_file(path, text)
    if path.suffix != ".py":
        raise UsageError(
            f"{place} is no file of Python code, so that it holds no factory; name the file as it"
            " is, and the factory with --factory"
        )
    return path


def _remote_or_nothing(text: str, known: list[str]) -> Spec:
    if _looks_like_a_path(text):
        raise _no_such_file(Path(text).expanduser(), text)
    place, _, _ = text.partition("@")
    if _REPOSITORY.fullmatch(place):
        owner = place.partition("/")[0]
        if Path(owner).is_dir():  # a slip in a path is likelier than a namesake elsewhere
            raise _no_such_file(Path(text), text, f"; if you mean Hugging Face, write hf:{text}")
        return _hugging_face(text, text)
    raise UnknownNameError("generator", text, known, hint=what_else(text))


def what_else(text: str) -> str:
    """What a name that is not registered could be meant for.

    Example:
        >>> what_else("my_models.gan")
        'a factory in a module is written my_models.gan:NAME'
    """
    if _DOTTED.fullmatch(text) and "." in text:
        return f"a factory in a module is written {text}:NAME"
    return f"list them: ganprobe generators; or give {FORMS.partition(', ')[2]}"


def _looks_like_a_path(text: str) -> bool:
    """Whether only a path is written so; one that exists need not look like one."""
    if text.startswith((".", "/", "~", "\\")) or _DRIVE.match(text) or "\\" in text:
        return True
    return Path(text).suffix.lower() in _SUFFIXES or text.count("/") > 1


def _no_such_file(path: Path, text: str, more: str = "") -> UsageError:
    folder = next(parent for parent in [*path.parents, Path()] if parent.is_dir())
    missing = path.relative_to(folder).parts[0] if path.is_relative_to(folder) else path.name
    beside = sorted(one.name for one in folder.iterdir() if not one.name.startswith("."))
    alike = difflib.get_close_matches(missing, beside, n=3, cutoff=0.4)
    nearest = f"; nearest in {folder}: {', '.join(alike)}" if alike else ""
    return UsageError(f"no file or folder {text}{nearest}{more}")


def _hugging_face(rest: str, text: str) -> HuggingFaceSpec:
    place, at, revision = rest.partition("@")
    owner, _, remainder = place.partition("/")
    name, _, subfolder = remainder.partition("/")
    repository = f"{owner}/{name}" if name else owner
    fits = _REPOSITORY.fullmatch(repository if name else f"any/{owner}")
    if not fits or (at and not _REVISION.fullmatch(revision)) or ".." in subfolder.split("/"):
        raise UsageError(
            f"a model of Hugging Face is written hf:owner/name[/subfolder][@revision], got {text!r}"
        )
    return HuggingFaceSpec(repository, subfolder.strip("/"), revision or None)


def _torch_hub(rest: str, text: str) -> TorchHubSpec:
    place, _, entry = rest.rpartition(":")
    if not place or not re.fullmatch(r"\w+", entry):
        raise UsageError(
            "an entry of torch.hub is written hub:owner/repo:entry, hub:owner/repo:branch:entry or"
            f" hub:FOLDER:entry, got {text!r}"
        )
    folder = Path(place).expanduser()
    if folder.is_dir():
        if not (folder / "hubconf.py").is_file():
            raise UsageError(f"{place} has no hubconf.py, which names the entries of torch.hub")
        return TorchHubSpec(str(folder), entry, is_local=True)
    repository, _, branch = place.partition(":")
    if _looks_like_a_path(repository) or not _REPOSITORY.fullmatch(repository):
        raise _no_such_file(folder, place)
    if branch and not _REVISION.fullmatch(branch):
        raise UsageError(f"{branch!r} is no name of a branch, in {text!r}")
    return TorchHubSpec(place, entry)
