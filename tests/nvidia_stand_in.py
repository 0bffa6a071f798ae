"""A clone of a repository such as NVIDIA's, and pickles in their format, both in miniature.

In that format an object is pickled as a call of ``torch_utils.persistence`` with the source of its
module, the name of its class and its state. `write_clone` writes modules of those names that can
rebuild such objects, and `pickled_networks` what a training would leave.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ganprobe.weight_files import code_on_path

__all__ = ["SOURCE", "Persistent", "dumped", "pickled_networks", "write_clone"]

SOURCE = """
import torch
import dnnlib
from torch_utils import misc
from torch_utils.ops import activation


class Mapping(torch.nn.Module):
    def forward(self, z, c):
        return self.fc(z)


class Generator(torch.nn.Module):
    def forward(self, z, c, truncation_psi=1):
        w = self.mapping(z, c) * truncation_psi
        return misc.scaled(activation.bent(self.synthesis(w)), self.gain).reshape(-1, 1, 2, 2)
"""

_CLONE = {
    "dnnlib/__init__.py": """
        class EasyDict(dict):
            def __getattr__(self, name):
                return self[name]
        """,
    "torch_utils/__init__.py": "",
    "torch_utils/misc.py": """
        def scaled(values, gain):
            from torch_utils.late import factor
            return values * gain * factor()
        """,
    "torch_utils/late.py": """
        def factor():
            return FACTOR
        """,
    "torch_utils/ops/__init__.py": "",
    "torch_utils/ops/activation.py": """
        def bent(values):
            return values.tanh()
        """,
    "torch_utils/persistence.py": """
        import sys
        import types
        import dnnlib

        _modules = {}

        def _reconstruct_persistent_obj(meta):
            meta = dnnlib.EasyDict(meta)
            if meta.version != 6:
                raise AssertionError
            if meta.module_src not in _modules:
                name = f"_imported_stand_in_{len(_modules)}"
                module = sys.modules[name] = types.ModuleType(name)
                exec(meta.module_src, module.__dict__)
                _modules[meta.module_src] = module
            cls = _modules[meta.module_src].__dict__[meta.class_name]
            made = cls.__new__(cls)
            made.__setstate__(dict(meta.state))
            return made
        """,
}


def write_clone(folder: Path, *, factor: float = 1.0) -> Path:
    """Write the modules that such pickles import; `factor` tells two clones apart."""
    for name, source in _CLONE.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = source.replace("FACTOR", str(factor)).split("\n")
        path.write_text("\n".join(line.removeprefix("        ") for line in lines))
    return folder


@dataclass
class Persistent:
    """A module that is pickled with the source of its class, under that class's name."""

    class_name: str
    module: nn.Module
    parts: Mapping[str, object]
    source: str = SOURCE
    version: int = 6

    def __reduce__(self) -> tuple[Any, tuple[dict[str, Any]]]:
        from torch_utils import persistence  # type: ignore[import-not-found]

        state = {**self.module.__dict__, "_modules": dict(self.parts)}
        meta = {
            "type": "class",
            "version": self.version,
            "module_src": self.source,
            "class_name": self.class_name,
            "state": state,
        }
        return persistence._reconstruct_persistent_obj, (meta,)


def pickled_networks(
    clone: Path, *, seed: int = 0, source: str = SOURCE, version: int = 6
) -> bytes:
    """A pickle of G, D and G_ema with random weights, G_ema's in train mode and with gradients."""
    torch.manual_seed(seed)
    networks: dict[str, object] = {key: _generator(source, version) for key in ("G", "D", "G_ema")}
    return dumped({**networks, "augment_pipe": None, "training_set_kwargs": {"x": 1}}, clone)


def dumped(held: object, clone: Path) -> bytes:
    """What ``pickle.dumps`` writes where the clone's modules can be imported."""
    with code_on_path(clone):
        return pickle.dumps(held)


def _generator(source: str, version: int) -> Persistent:
    fc, synthesis = nn.Linear(3, 5), nn.Linear(5, 4)
    whole = nn.Module()
    whole.register_buffer("gain", torch.tensor(2.0))
    mapping = Persistent("Mapping", nn.Module(), {"fc": fc}, source, version)
    return Persistent(
        "Generator", whole, {"mapping": mapping, "synthesis": synthesis}, source, version
    )
