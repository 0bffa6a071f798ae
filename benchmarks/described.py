"""Networks that a JSON file describes, layer by layer, beside their safetensors weights.

The file lists ``layers`` (name, kind and sizes; kinds: linear, unflatten, batchnorm2d,
leaky_relu, conv_transpose2d, tanh; conv2d, relu, maxpool2d, flatten, log_softmax), and a generator
its ``latent`` with its shape; the weights have the same name with the ending ``.safetensors``.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import nn

from ganprobe import Generator


def read_described(description: Path) -> Generator:
    """A generator from a list of its layers and the weights beside it, in eval mode."""
    spec = json.loads(description.read_text())
    shape = tuple(spec["latent"]["shape"])
    return Generator.from_module(read_network(description), latent=shape, name=spec["name"])


def read_network(description: Path) -> nn.Sequential:
    """A network from a list of its layers and the weights beside it, in eval mode."""
    spec = json.loads(description.read_text())
    layers = OrderedDict((layer["name"], _layer(layer)) for layer in spec["layers"])
    module = nn.Sequential(layers)
    module.load_state_dict(load_file(description.with_suffix(".safetensors")))
    return module.eval()


def _layer(layer: dict[str, Any]) -> nn.Module:
    match layer["kind"]:
        case "linear":
            return nn.Linear(layer["in"], layer["out"])
        case "unflatten":
            return nn.Unflatten(1, tuple(layer["shape"]))
        case "batchnorm2d":
            return nn.BatchNorm2d(layer["features"], eps=layer["eps"])
        case "leaky_relu":
            return nn.LeakyReLU(layer["slope"])
        case "conv_transpose2d":
            keys = ("kernel", "stride", "padding", "output_padding")
            kernel, stride, padding, output_padding = (tuple(layer[key]) for key in keys)
            return nn.ConvTranspose2d(
                layer["in"], layer["out"], kernel, stride, padding, output_padding
            )
        case "conv2d":
            kernel, stride, padding = (tuple(layer[key]) for key in ("kernel", "stride", "padding"))
            return nn.Conv2d(layer["in"], layer["out"], kernel, stride, padding)
        case "maxpool2d":
            return nn.MaxPool2d(layer["kernel"], layer["stride"])
        case "log_softmax":
            return nn.LogSoftmax(layer["dim"])
        case "tanh":
            return nn.Tanh()
        case "relu":
            return nn.ReLU()
        case "flatten":
            return nn.Flatten()
        case other:
            raise ValueError(f"layer {layer['name']!r} is of unknown kind {other!r}")
