"""The trained weights that ship with this package, about 20 MB of float32."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file
from torch import nn

N = TypeVar("N", bound=nn.Module)

WEIGHTS = Path(__file__).parent / "weights"


def ready(network: N, file: str, device: torch.device) -> N:
    """A network with the weights of a file, in eval mode, without gradients."""
    network.load_state_dict(load_file(WEIGHTS / file))
    return network.eval().requires_grad_(False).to(device)
