"""NVIDIA's networks: pickles of StyleGAN2-ADA, StyleGAN3 and what was built on them.

Such a pickle holds a dict of networks, ``G``, ``D`` and ``G_ema`` (the average over training),
each with the source of its own module. Reading it runs that source, which imports ``dnnlib`` and
``torch_utils`` from a clone of the repository: so it needs both the clone and trust.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganprobe.errors import UnknownNameError, UsageError, WeightsError
from ganprobe.weight_files.code_folders import code_on_path
from ganprobe.weight_files.entries import modules_in
from ganprobe.weight_files.kinds import file_kind
from ganprobe.weight_files.pytorch_files import code_in, unpickled
from ganprobe.weight_files.trust import Trust

if TYPE_CHECKING:
    from torch import nn

__all__ = ["is_nvidia", "read_nvidia"]

_PERSISTENCE = Path("torch_utils", "persistence.py")
_CLONE = (
    "clone the repository that it was made with (git clone"
    " https://github.com/NVlabs/stylegan3, which reads those of stylegan2-ada-pytorch too) and"
    " give its folder with --code"
)


def is_nvidia(path: Path | str) -> bool:
    """Whether a file of kind ``"pickle"`` names the code of NVIDIA's repositories."""
    return any(_is_theirs(name) for name in _named(Path(path)))


def read_nvidia(
    path: Path | str, *, code: Path | None, trust: Trust, key: str = "G_ema"
) -> nn.Module:
    """A network out of a pickle of NVIDIA's, on the CPU, in eval mode, without gradients.

    It is their module as it was pickled: ``module.mapping``, ``module.synthesis``, and a forward
    that takes latents (n, z_dim) and labels (n, c_dim).

    Args:
        code: the folder of a clone of the repository; on ``sys.path`` only while the pickle is
            read (see `code_on_path`).
        trust: must be given, for the pickle runs the source in it.
        key: which network: ``"G_ema"``, ``"G"``, ``"D"``.

    Raises:
        UsageError: no such file, no clone, or none of NVIDIA's; `UntrustedError`; or
            `UnknownNameError`, the pickle has no such network.
        WeightsError: it is no such pickle, one of TensorFlow's time, damaged, or its code cannot
            be imported or raised.
    """
    path = Path(path)
    kind = file_kind(path)
    if kind != "pickle":
        raise WeightsError(f"{path} is no pickle of NVIDIA's, but of kind {kind}")
    named = _named(path)
    _refuse_tensorflow(path, named)
    if not any(_is_theirs(name) for name in named):
        raise WeightsError(f"{path} is a pickle, and none of NVIDIA's: it names {_listed(named)}")
    folder = _clone(path, code)
    theirs = _listed([name for name in named if _is_theirs(name)])
    trust.require(path, f"imports {theirs} from {folder}, and runs the source of its networks")
    with code_on_path(folder):
        held = unpickled(path)
    return _network(held, path, key).eval().requires_grad_(False)


def _named(path: Path) -> list[str]:
    return code_in(path, "pickle", n=20)


def _is_theirs(name: str) -> bool:
    return name.startswith(("torch_utils.", "dnnlib.", "tfutil."))


def _listed(named: list[str]) -> str:
    return " and ".join(named[:2]) or "no code"


def _refuse_tensorflow(path: Path, named: list[str]) -> None:
    if any(name.startswith("tfutil.") for name in named):
        raise WeightsError(
            f"{path} is a network of Progressive GAN for TensorFlow, whose layers are no PyTorch"
            " modules; take a PyTorch version of its weights"
        )
    if any(name.startswith("dnnlib.tflib") for name in named):
        raise WeightsError(
            f"{path} is a network of StyleGAN or StyleGAN2 for TensorFlow; StyleGAN2's are"
            " converted by NVIDIA's own code, in a clone of stylegan3:"
            f" python legacy.py --source {path.name} --dest converted.pkl"
        )


def _clone(path: Path, code: Path | None) -> Path:
    if code is None:
        raise UsageError(f"{path} needs NVIDIA's code: {_CLONE}")
    if not (code / _PERSISTENCE).is_file():
        raise UsageError(f"{code} has no {_PERSISTENCE}, so it is no such clone: {_CLONE}")
    return code


def _network(held: object, path: Path, key: str) -> nn.Module:
    networks: dict[str, Any] = modules_in(held)
    if key not in networks:
        raise UnknownNameError("network", key, networks, where=str(path))
    network: nn.Module = networks[key]
    return network
