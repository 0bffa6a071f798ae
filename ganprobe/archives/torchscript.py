"""TorchScript archives: loaded, and made into modules whose layers can be hooked.

Loading one costs what ``torch.jit.load`` costs and some 20 microseconds for each node of its
graphs; the tensors are there once.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ganprobe.archives.archived import ARCHIVE, Archived
from ganprobe.archives.code_scan import first_risk
from ganprobe.archives.mirror import mirrored
from ganprobe.archives.torch_layers import with_torch_layers
from ganprobe.errors import WeightsError

if TYPE_CHECKING:
    from ganprobe.weight_files import Trust

__all__ = ["load_torchscript"]


def load_torchscript(path: Path | str, *, trust: Trust) -> nn.Module:
    """The module in a TorchScript archive, every layer of it a module of Python whose hooks fire.

    It is in eval mode and on the CPU, whatever it was saved in and on. Its layers, parameters and
    buffers have the names that they had before it was traced or scripted, and each layer's class
    is called as the class that it was made of. It computes with the archive's own operations:
    `check_archive` holds it against the archive's own forward.

    Args:
        trust: asked where the archive's code could do something else than compute.

    Raises:
        WeightsError: it cannot be read, or does something that cannot be run layer by layer.
        UntrustedError: its code could reach files, or is of another library.
        UsageError: it was traced in train mode.

    Example:
        >>> import tempfile, warnings
        >>> from ganprobe.weight_files import Trust
        >>> net = nn.Sequential(nn.Linear(4, 9), nn.Tanh()).eval()
        >>> with tempfile.NamedTemporaryFile() as file, warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")  # torch announces that TorchScript will go
        ...     torch.jit.trace(net, torch.zeros(2, 4)).save(file.name)
        ...     archived = load_torchscript(file.name, trust=Trust())
        >>> z = torch.randn(3, 4)
        >>> torch.equal(archived(z), net(z)), [type(one).__name__ for one in archived.children()]
        (True, ['Linear', 'Tanh'])
    """
    path = Path(path)
    if risk := first_risk(path):
        trust.require(path, risk)
    script = _loaded(path).eval()
    module = mirrored(script, str(path))
    with_torch_layers(module)
    module.__dict__[ARCHIVE] = Archived(str(path), script)
    return module


def _loaded(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`torch\.jit\.load` is", FutureWarning)
            warnings.filterwarnings("ignore", r"`torch\.jit\.load` is", DeprecationWarning)
            return torch.jit.load(str(path), map_location="cpu")
    except (RuntimeError, ValueError, OSError) as error:
        unknown = "Unknown builtin op" in str(error)
        why = str(error).split("Unknown builtin op: ")[-1].splitlines()[0] if unknown else ""
        if unknown:
            raise WeightsError(
                f"{path} uses the operation {why.rstrip('.')!r}, which is not in this version of"
                " torch; import the library that brings it, or make the archive without it"
            ) from error
        raise WeightsError(
            f"{path} is no TorchScript archive that torch {torch.__version__} can load:"
            f" {_first_line(error)}; save or download it again"
        ) from error


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason")
