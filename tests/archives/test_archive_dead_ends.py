"""Archives that cannot be used: each is refused in a sentence that names the way out."""

from __future__ import annotations

import io
import json
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from torch import Tensor, nn

from archived_modules import LATENT, MODULES, built, exported, scripted, traced
from ganprobe import ForwardError, Trust, UntrustedError, WeightsError
from ganprobe.archives import (
    check_archive,
    code_scan,
    export_scan,
    load_export,
    load_torchscript,
)

NOBODY = Trust()


def z_of(n_samples: int) -> Tensor:
    return torch.randn(n_samples, LATENT)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*torch.jit", FutureWarning)
        warnings.filterwarnings("ignore", ".*torch.jit", DeprecationWarning)
        yield


def saved(code: str, path: Path, name: str = "Odd") -> Path:
    """A TorchScript archive with a forward of this code."""
    module = type(name, (torch.jit.ScriptModule,), {})()
    body = "".join(f"    {line}\n" for line in code.splitlines())
    module.define(f"def forward(self, z):\n{body}")
    module.save(str(path))
    return path


@pytest.mark.parametrize(
    "code",
    [
        "torch.save(z, 'stolen.txt')\nreturn z",
        "return z + torch.from_file('secret.txt', False, 4)",
        "if bool(z.sum() > 9):\n    torch.save(z, 'stolen.txt')\nreturn z",
    ],
)
def test_code_that_reaches_files_needs_trust(code: str, tmp_path: Path) -> None:
    archive = saved(code, tmp_path / "net.pt")
    with pytest.raises(UntrustedError, match=r"can reach files .*SHA-256 is \w{64}.*--trust"):
        load_torchscript(archive, trust=NOBODY)


def test_trusted_code_runs_as_it_does_in_the_archive(tmp_path: Path) -> None:
    file = tmp_path / "numbers"
    file.write_bytes(torch.arange(4.0).numpy().tobytes())
    code = f"return z + torch.from_file({str(file)!r}, False, 4)"
    said: list[str] = []
    trust = Trust(is_given=True, say=said.append)
    module = load_torchscript(saved(code, tmp_path / "net.pt"), trust=trust)
    assert module(torch.ones(4)).tolist() == [1.0, 2.0, 3.0, 4.0]
    assert len(said) == 1
    assert re.search(r"net\.pt.*SHA-256 \w{64}", said[0])


def test_what_writes_files_is_not_run_even_if_trusted(tmp_path: Path) -> None:
    archive = saved(f"torch.save(z, {str(tmp_path / 'kept')!r})\nreturn z", tmp_path / "net.pt")
    trust = Trust(is_given=True, say=lambda sentence: None)
    with pytest.raises(WeightsError, match="uses 'aten::save'"):
        load_torchscript(archive, trust=trust)


def test_code_that_runs_while_it_is_loaded_needs_trust(tmp_path: Path) -> None:
    class Restoring(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = torch.ones(2)

        @torch.jit.export
        def __getstate__(self) -> tuple[Tensor, bool]:
            return self.gain, self.training

        @torch.jit.export
        def __setstate__(self, state: tuple[Tensor, bool]) -> None:
            self.gain, self.training = state[0], state[1]

        def forward(self, z: Tensor) -> Tensor:
            return z * self.gain[0]

    archive = scripted(Restoring().eval(), tmp_path / "net.pt")
    with pytest.raises(UntrustedError, match="while it is loaded"):
        load_torchscript(archive, trust=NOBODY)


def test_a_second_file_of_one_name_is_scanned_as_well(tmp_path: Path) -> None:
    archive = saved("torch.save(z, 'stolen.txt')\nreturn z", tmp_path / "net.pt")
    with zipfile.ZipFile(archive) as held:
        code = next(name for name in held.namelist() if name.endswith(".py"))
    with zipfile.ZipFile(archive, "a") as held, pytest.warns(UserWarning, match="Duplicate name"):
        held.writestr(code, "class Harmless: pass")
    with pytest.raises(UntrustedError, match="can reach files"):
        load_torchscript(archive, trust=NOBODY)


def test_operations_of_other_libraries_need_trust_and_the_library(tmp_path: Path) -> None:
    library = torch.library.Library("ganprobe_test", "DEF")
    library.define("twice(Tensor z) -> Tensor")
    library.impl("twice", lambda z: z * 2, "CompositeExplicitAutograd")
    archive = saved("return torch.ops.ganprobe_test.twice(z)", tmp_path / "net.pt")
    with pytest.raises(UntrustedError, match="operations of the library 'ganprobe_test'"):
        load_torchscript(archive, trust=NOBODY)
    trusting = Trust(is_given=True, say=lambda sentence: None)
    assert load_torchscript(archive, trust=trusting)(torch.ones(1)).item() == 2.0
    other = tmp_path / "other.pt"
    rewritten(archive, other, lambda name, held: held.replace(b"ganprobe_test", b"ganprobe_gone"))
    with pytest.raises(WeightsError, match=r"'ganprobe_gone::twice', which is not in this version"):
        load_torchscript(other, trust=trusting)


class Kept(nn.Module):
    """One layer of it does what TorchScript can do and a mirror does not."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Asking()

    def forward(self, z: Tensor) -> Tensor:
        made: Tensor = self.inner(z)
        return made


class Asking(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        with torch.no_grad():
            return z * 2


def test_what_cannot_be_run_is_named_with_its_layer_and_line(tmp_path: Path) -> None:
    archive = scripted(Kept().eval(), tmp_path / "net.pt")
    with pytest.raises(
        WeightsError,
        match=r"net\.pt cannot be loaded: layer 'inner' \(Asking\) uses 'prim::\w+'"
        r" \(test_archive_dead_ends\.py:\d+\), an operation that .*give the Python code",
    ):
        load_torchscript(archive, trust=NOBODY)


@pytest.mark.parametrize("make", [traced, exported])
def test_an_archive_made_in_train_mode_is_refused(
    make: Callable[[nn.Module, Path], Path], tmp_path: Path
) -> None:
    module = built(MODULES["dcgan"]).train()
    archive = make(module, tmp_path / "net.pt")
    load = load_export if make is exported else load_torchscript
    said = r"layer 'main\.1' \(BatchNorm2d\) was .* in train mode.*eval\(\)"
    with pytest.raises(WeightsError, match=said):
        load(archive, trust=NOBODY)


def test_what_was_scripted_in_train_mode_is_put_in_eval_mode(tmp_path: Path) -> None:
    module = built(MODULES["dcgan"]).train()
    back = load_torchscript(scripted(module, tmp_path / "net.pt"), trust=NOBODY)
    z = z_of(2)
    assert not any(layer.training for layer in back.modules())
    assert torch.equal(back(z), module.eval()(z))


def test_a_trace_for_one_batch_size_says_so_and_the_way_out(tmp_path: Path) -> None:
    archive = traced(built(MODULES["grouped"]), tmp_path / "net.pt")  # of 3 samples
    module = load_torchscript(archive, trust=NOBODY)
    assert module(z_of(3)).shape == (3, 3, 16, 16)
    with pytest.raises(ForwardError, match=r"traced for batches of 3, .* 2 samples .*export\.Dim"):
        module(z_of(2))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        module(torch.randn(2, LATENT + 1))


def test_an_export_for_one_batch_size_says_so_and_the_way_out(tmp_path: Path) -> None:
    archive = fixed(MODULES["grouped"], tmp_path / "net.pt2")
    module = load_export(archive, trust=NOBODY)
    with pytest.raises(ForwardError, match=r"for batches of 3, .* 2 samples .*export\.Dim"):
        module(z_of(2))


def test_an_export_for_one_batch_size_is_taken_where_others_give_the_same(tmp_path: Path) -> None:
    module = built(MODULES["dcgan"])
    back, z = load_export(fixed(MODULES["dcgan"], tmp_path / "net.pt2"), trust=NOBODY), z_of(2)
    (note,) = check_archive(back, z)
    assert "exported for batches of 3" in note
    assert torch.equal(back(z), module(z))


class Mixing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(LATENT, 16)

    def forward(self, z: Tensor) -> Tensor:
        maps: Tensor = self.first(z)
        return (maps - maps.sum(dim=0) / len(z)).view(-1, 1, 4, 4)


def test_an_export_whose_samples_change_with_the_batch_is_refused(tmp_path: Path) -> None:
    back = load_export(fixed(Mixing, tmp_path / "net.pt2"), trust=NOBODY)
    with pytest.raises(ForwardError, match=r"gives a sample something else in a batch of 2.*Dim"):
        check_archive(back, z_of(2))


def test_layers_that_give_something_else_than_the_archive_are_refused(tmp_path: Path) -> None:
    back = load_torchscript(traced(built(MODULES["dcgan"]), tmp_path / "net.pt"), trust=NOBODY)
    last = dict(back.named_modules())["main.7"]
    handle = last.register_forward_hook(lambda layer, args, output: output + 1e-7)
    said = r"gives something else than its own forward, by 1\.\d*e-07"
    with pytest.raises(WeightsError, match=said):
        check_archive(back, z_of(2))
    handle.remove()


@pytest.mark.parametrize("make", [traced, scripted, exported])
@pytest.mark.parametrize("left", [0.3, 0.9, 0.999])
def test_a_truncated_archive_is_a_sentence(
    make: Callable[[nn.Module, Path], Path], left: float, tmp_path: Path
) -> None:
    archive = kept(make, "residual", tmp_path)
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(len(whole) * left)])
    load = load_export if make is exported else load_torchscript
    with pytest.raises(WeightsError, match=r"net\.pt2.*again"):
        load(archive, trust=NOBODY)


def test_an_archive_of_the_other_kind_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"is no TorchScript archive"):
        load_torchscript(kept(exported, "dcgan", tmp_path), trust=NOBODY)
    with pytest.raises(WeightsError, match=r"is no torch\.export archive"):
        load_export(kept(traced, "residual", tmp_path), trust=NOBODY)


def test_an_export_that_would_run_code_needs_trust(tmp_path: Path) -> None:
    archive = kept(exported, "dcgan", tmp_path)
    load_export(archive, trust=NOBODY)
    size, target = '__import__(\\"os\\").getcwd()', "torch.os.getcwd"
    for find, put, said in (
        (r"\"expr_str\": \"[^\"]*\"", f'"expr_str": "{size}"', "code in place of a size"),
        (r"torch\.ops\.aten\.tanh\.default", target, "calls 'torch.os.getcwd', which may do any"),
        (r"torch\.ops\.aten\.tanh\.default", "torch.ops.aten.from_file.default", "from_file"),
        (r"\"name\": \"tanh\"", '"name": "z=print(1)"', "code in place of a name"),
    ):
        other = tmp_path / "other.pt2"
        rewritten(archive, other, lambda name, held: changed(name, held, find, put))  # noqa: B023
        with pytest.raises(UntrustedError, match=said):
            load_export(other, trust=NOBODY)


class Owned:
    """What a pickle would make."""


@pytest.mark.parametrize("where", ["sample_inputs", "weights"])
def test_an_export_with_a_pickle_that_is_code_needs_trust(where: str, tmp_path: Path) -> None:
    archive = kept(exported, "dcgan", tmp_path)
    buffer = io.BytesIO()
    torch.save((Owned(),), buffer)

    def pickled(name: str, held: bytes) -> bytes:
        if where == "sample_inputs":
            return buffer.getvalue() if name.endswith("sample_inputs/model.pt") else held
        if name.endswith("weights_config.json"):
            return held.replace(b'"use_pickle": false', b'"use_pickle": true')
        return buffer.getvalue() if "/weight_" in name else held

    other = tmp_path / "other.pt2"
    rewritten(archive, other, pickled)
    with pytest.raises(UntrustedError, match="a pickle that is more than tensors"):
        load_export(other, trust=NOBODY)


def test_an_export_with_compiled_code_needs_trust(tmp_path: Path) -> None:
    archive = kept(exported, "dcgan", tmp_path)
    with zipfile.ZipFile(archive, "a") as held:
        held.writestr("net/data/aotinductor/model/evil.so", b"\x7fELF")
    with pytest.raises(UntrustedError, match="brings compiled code"):
        load_export(archive, trust=NOBODY)


def kept(make: Callable[[nn.Module, Path], Path], name: str, folder: Path) -> Path:
    """An archive of one of `MODULES`, made once for all tests."""
    path = folder / "net.pt2"
    path.write_bytes(_bytes(make, name))
    return path


@cache
def _bytes(make: Callable[[nn.Module, Path], Path], name: str) -> bytes:
    with TemporaryDirectory() as folder:
        return make(built(MODULES[name]), Path(folder) / "net.pt2").read_bytes()


def fixed(kind: type[nn.Module], path: Path) -> Path:
    """An export for batches of 3 alone."""
    program = torch.export.export(built(kind), (z_of(3),))
    torch.export.save(program, path)
    return path


def changed(name: str, held: bytes, find: str, put: str) -> bytes:
    if not name.endswith("models/model.json"):
        return held
    text, n_found = re.subn(find, lambda match: put, json.dumps(json.loads(held)), count=1)
    assert n_found == 1
    return text.encode()


def rewritten(archive: Path, other: Path, change: Callable[[str, bytes], bytes]) -> None:
    """The same archive with its members changed."""
    with zipfile.ZipFile(archive) as held, zipfile.ZipFile(other, "w") as made:
        for entry in held.infolist():
            made.writestr(entry.filename, change(entry.filename, held.read(entry)))


@pytest.mark.parametrize("first_risk", [code_scan.first_risk, export_scan.first_risk])
def test_a_compressed_archive_that_is_damaged_inside_is_a_sentence(
    tmp_path: Path, first_risk: Callable[[Path], str]
) -> None:
    path = tmp_path / "damaged.pt2"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/code/net.py", "def forward(self): pass\n" * 50)
        archive.writestr("net/models/model.json", '{"graph_module": []}' * 50)
    content = bytearray(path.read_bytes())
    for name in (b"net/code/net.py", b"net/models/model.json"):
        start = content.index(name) + len(name)
        content[start : start + 8] = b"\xff" * 8
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="save or download it again"):
        first_risk(path)
