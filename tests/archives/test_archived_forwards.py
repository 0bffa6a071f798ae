"""What an archive's layers compute, held against the module that the archive was made of."""

from __future__ import annotations

import copy
import inspect
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._export.serde import schema, serialize

from archived_modules import LATENT, MODULES, WAYS, built, pair, scripted
from ganprobe import Trust
from ganprobe.archives import check_archive, load_export, load_torchscript

KINDS = ("traced", "scripted", "exported")
EVERY = [(name, kind) for name in MODULES for kind in WAYS[name]]


@pytest.mark.parametrize(
    "dtype", [torch.float64, pytest.param(torch.float32, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_it_gives_what_the_module_gives_to_the_last_bit(
    name: str, kind: str, dtype: torch.dtype
) -> None:
    module, back = pair(name, kind, dtype)
    for n_samples in (1, 2, 5):
        z = torch.randn(n_samples, LATENT, dtype=dtype)
        with torch.no_grad():
            assert torch.equal(back(z), module(z))
    assert check_archive(copy.copy(back), z) == ()


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_it_has_the_layers_and_tensors_of_the_module(name: str, kind: str) -> None:
    module, back = pair(name, kind, torch.float64)
    assert not any(layer.training for layer in back.modules())
    assert _layers_that_run(back) == _layers_that_run(module)
    assert _held(back.state_dict()) == _held(module.state_dict())
    assert _held(dict(back.named_parameters())) == _held(dict(module.named_parameters()))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.:FutureWarning")  # torch's own use of it
@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_gradients_and_forward_derivatives_are_those_of_the_module(name: str, kind: str) -> None:
    module, back = pair(name, kind, torch.float64)
    z = torch.randn(2, LATENT, dtype=torch.float64)
    way = torch.randn_like(z)
    if name != "attention":  # torch has no forward derivative of its fused attention
        change, own = (torch.func.jvp(one, (z,), (way,))[1] for one in (back, module))
        assert torch.equal(change, own)
    expected, found = _gradients(module, z), _gradients(back, z)
    assert found.keys() == expected.keys()
    for key, gradient in expected.items():
        torch.testing.assert_close(found[key], gradient, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_computes_by_itself(kind: str) -> None:
    _, back = pair("residual", kind, torch.float64)
    copied, z = copy.deepcopy(back), torch.randn(2, LATENT, dtype=torch.float64)
    before = back(z)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.zero_()
    assert torch.equal(back(z), before)
    assert not torch.equal(copied(z), before)


@pytest.mark.parametrize("kind", KINDS)
def test_it_can_be_put_in_another_dtype(kind: str) -> None:
    module, back = copy.deepcopy(pair("dcgan", kind))
    z = torch.randn(2, LATENT).double()
    assert torch.equal(back.double()(z), module.double()(z))


def test_conditions_and_loops_run_as_they_were_written(tmp_path: Path) -> None:
    module = built(MODULES["branching"])
    back = load_torchscript(scripted(module, tmp_path / "net.pt"), trust=Trust())
    z = torch.randn(3, LATENT)
    for steps in (0, 1, 2, 5):
        assert torch.equal(back(z, steps=steps), module(z, steps=steps))
    assert torch.equal(back(z), module(z))
    assert torch.equal(back(z * 1e9), module(z * 1e9))
    assert str(inspect.signature(back.forward)) == "(z, steps=2)"
    with pytest.raises(TypeError, match="unexpected keyword argument 'step'"):
        back(z, step=1)


def test_the_layout_of_export_before_2_8_is_read(tmp_path: Path) -> None:
    module, _ = pair("stylegan", "exported")
    size = {0: torch.export.Dim("n")}
    program = torch.export.export(module, (torch.randn(3, LATENT),), dynamic_shapes=(size,))
    parts = serialize.serialize(program)
    with zipfile.ZipFile(tmp_path / "net.pt2", "w") as archive:
        archive.writestr("serialized_exported_program.json", parts.exported_program)
        archive.writestr("serialized_state_dict.pt", parts.state_dict)
        archive.writestr("serialized_constants.pt", parts.constants)
        archive.writestr("serialized_example_inputs.pt", parts.example_inputs)
        archive.writestr("version", ".".join(map(str, schema.SCHEMA_VERSION)))
    back, z = load_export(tmp_path / "net.pt2", trust=Trust()), torch.randn(2, LATENT)
    assert torch.equal(back(z), module(z))


class Containers(nn.Module):
    """What TorchScript's lists and dicts can do, in one forward."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, z: Tensor) -> tuple[dict[str, Tensor], list[int], str]:
        rows: list[Tensor] = []
        for row in z.unbind(0):
            rows.append(row * self.scale)
        rows.extend([rows[0], rows[-1]])
        rows.insert(0, rows.pop())
        rows[1] = rows[1] + 1
        numbers = [3, 1, 2]
        numbers.sort()
        numbers.reverse()
        del numbers[0]
        numbers = numbers + [len(rows)] * 2
        inner: list[list[int]] = [[1], [2]]
        inner[0].append(7)
        kept: dict[str, Tensor] = {"sum": torch.stack(rows).sum(0)}
        kept["first"] = rows[0]
        for key in list(kept.keys()):
            kept[key + "!"] = kept.pop(key)
        if "sum!" in kept and kept.get("none") is None:
            numbers.append(inner[0][-1])
        first, _ = (numbers[0], numbers[1])
        numbers.extend([first, z.dim(), int(z.size(0)), max(numbers)])
        return kept, numbers, f"{numbers[0]} of it"


def test_lists_and_dicts_are_changed_in_place(tmp_path: Path) -> None:
    module = Containers().eval()
    back = load_torchscript(scripted(module, tmp_path / "net.pt"), trust=Trust())
    z = torch.randn(3, LATENT)
    (found, numbers, text), (expected, own_numbers, own_text) = back(z), module(z)
    assert (list(found), numbers, text) == (list(expected), own_numbers, own_text)
    for key, tensor in expected.items():
        assert torch.equal(found[key], tensor)


def _layers_that_run(module: nn.Module) -> list[tuple[str, str]]:
    """The name and class of each layer that is called, in order; each hears a hook."""
    ran: list[tuple[str, str]] = []

    def heard(name: str) -> Callable[[nn.Module, Any, Any], None]:
        return lambda layer, args, output: ran.append((name, type(layer).__name__))

    handles = [layer.register_forward_hook(heard(name)) for name, layer in module.named_modules()]
    with torch.no_grad():
        module(torch.randn(2, LATENT, dtype=torch.float64))
    for handle in handles:
        handle.remove()
    return ran


def _gradients(module: nn.Module, z: Tensor) -> dict[str, Tensor]:
    parameters = dict(module.named_parameters())
    gradients = torch.autograd.grad(module(z).square().sum(), [*parameters.values()])
    return dict(zip(parameters, gradients, strict=True))


def _held(tensors: dict[str, Tensor]) -> dict[str, tuple[tuple[int, ...], float, bool]]:
    return {
        name: (tuple(one.shape), float(one.detach().double().sum()), one.requires_grad)
        for name, one in sorted(tensors.items())
    }
