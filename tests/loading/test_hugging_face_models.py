"""Models as diffusers and huggingface_hub lay them out, from disk and from their cache."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DModel, VQModel
from huggingface_hub import constants, errors

from ganprobe import GanprobeError, Probe, UntrustedError, UsageError, WeightsError, load
from ganprobe.loading import snapshot
from ganprobe.loading.specs import HuggingFaceSpec
from model_code import model_folder, write_code

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB_CODE = """
from huggingface_hub import PyTorchModelHubMixin
from torch import nn


class Small(nn.Module, PyTorchModelHubMixin):
    def __init__(self, nz: int = 10, width: int = 4):
        super().__init__()
        self.body = nn.Sequential(
            nn.ConvTranspose2d(nz, width, 4), nn.ReLU(), nn.ConvTranspose2d(width, 3, 2), nn.Tanh()
        )

    def forward(self, z):
        return self.body(z)
"""


def autoencoder(kind: Any = AutoencoderKL, **more: Any) -> Any:
    torch.manual_seed(0)
    return kind(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        sample_size=16,
        **more,
    ).eval()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders with models, as their libraries save them."""
    folder = tmp_path_factory.mktemp("saved")
    autoencoder(latent_channels=4, shift_factor=0.1).save_pretrained(folder / "kl")
    autoencoder(latent_channels=4).save_pretrained(folder / "bin", safe_serialization=False)
    autoencoder(latent_channels=4).save_pretrained(folder / "shards", max_shard_size="20KB")
    vq = autoencoder(VQModel, latent_channels=3, num_vq_embeddings=16)
    vq.save_pretrained(folder / "pipeline" / "vqvae")
    parts = {"vqvae": ["diffusers", "VQModel"], "unet": ["diffusers", "UNet2DModel"]}
    index = {"_class_name": "LDMPipeline", **parts}
    (folder / "pipeline" / "model_index.json").write_text(json.dumps(index))
    tiny = AutoencoderTiny(
        encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1), num_decoder_blocks=(1, 1),
    )  # fmt: skip
    tiny.save_pretrained(folder / "tiny")
    UNet2DModel(
        sample_size=8, block_out_channels=(8,), down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",), norm_num_groups=4,
    ).save_pretrained(folder / "unet")  # fmt: skip
    return folder


def test_a_decoder_is_given_what_a_diffusion_model_makes(saved: Path) -> None:
    generator = load(str(saved / "kl"))
    assert (generator.name, generator.latent_space.shape) == ("kl", (4, 8, 8))
    assert (generator.image_range, generator.output) == ((-1.0, 1.0), ("sample",))
    theirs = AutoencoderKL.from_pretrained(saved / "kl").eval()
    z = generator.sample(3)
    with torch.no_grad():
        scaled = theirs.decode(z.z / theirs.config["scaling_factor"] + 0.1).sample
        assert torch.allclose(generator.forward(z), scaled, atol=1e-6)
        plain = load(str(saved / "kl"), arguments={"scaling_factor": 1, "shift_factor": 0})
        assert torch.allclose(plain.forward(z), theirs.decode(z.z).sample, atol=1e-6)
    assert any("divided by the scaling factor 0.18215" in note for note in generator.notes)
    assert not any("scaling factor" in note for note in plain.notes)
    assert "model.decoder.conv_in" in {layer.name for layer in Probe(generator).layers()}


@pytest.mark.parametrize("name", ["bin", "shards"])
def test_weights_in_other_files_are_the_same(saved: Path, name: str) -> None:
    generator = load(str(saved / name))
    z = generator.sample(2)
    with torch.no_grad():
        theirs = autoencoder(latent_channels=4).decode(z.z / 0.18215).sample
        assert torch.allclose(generator.forward(z), theirs, atol=1e-6)
    n_files = len(list((saved / name).glob("*"))) - 1
    assert len(generator.source["files"]) == n_files


def test_weights_with_names_of_earlier_versions_are_read(saved: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(saved / "kl", tmp_path / "old")
    file = tmp_path / "old" / "diffusion_pytorch_model.safetensors"
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = load_file(file)
    for new, old in names.items():
        tensors = {name.replace(f".{new}.", f".{old}."): one for name, one in tensors.items()}
    save_file(tensors, file)
    before, now = load(str(tmp_path / "old")), load(str(saved / "kl"))
    assert before.weights_sha256() == now.weights_sha256()
    del tensors["decoder.conv_in.weight"]
    save_file(tensors, file)
    with pytest.raises(WeightsError, match=r"do not fit"):
        load(str(tmp_path / "old"))


def test_a_pipelines_decoder_is_taken(saved: Path) -> None:
    generator = load(str(saved / "pipeline"))
    assert generator.latent_space.shape == (3, 8, 8)
    assert any("its vqvae was taken" in note for note in generator.notes)
    assert load(str(saved / "pipeline" / "vqvae")).weights_sha256() == generator.weights_sha256()


def test_a_shape_that_the_configuration_does_not_tell_is_asked_for(saved: Path) -> None:
    with pytest.raises(UsageError, match="say how large the latents are, as --latent 4x32x32"):
        load(str(saved / "tiny"))
    assert Probe(load(str(saved / "tiny"), latent=(4, 4, 6))).image_shape == (3, 8, 12)


def test_a_description_beside_says_what_the_layout_does_not(saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved / "tiny", tmp_path / "tiny")
    toml = '[generator]\nname = "mine"\n[latent]\nshape = [4, 4, 4]\n[images]\nrange = [-2, 2]\n'
    (tmp_path / "tiny" / "ganprobe.toml").write_text(toml)
    generator = load(str(tmp_path / "tiny"))
    assert (generator.name, generator.image_range) == ("mine", (-2.0, 2.0))


def edited(folder: Path, name: str, **changed: object) -> None:
    held = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**held, **changed}))


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("unet", lambda folder: None, "holds a UNet2DModel, which turns no latents into images"),
        ("kl", lambda folder: edited(folder, "config.json", _class_name="NoSuchVAE"),
         "names the class 'NoSuchVAE', which diffusers .* does not have"),
        ("kl", lambda folder: edited(folder, "config.json", _class_name="utils.logging"),
         "names the class 'utils.logging', which diffusers"),
        ("kl", lambda folder: (folder / "diffusion_pytorch_model.safetensors").unlink(),
         "has a config.json and no weights; say --weights FILE"),
        ("kl", lambda folder: (folder / "config.json").write_text("{"), "cannot be read: "),
        ("kl", lambda folder: (folder / "config.json").write_text("[1]"), "holds a list and no"),
        ("kl", lambda folder: (folder / "config.json").unlink(),
         "holds no generator that is known: no ganprobe.toml, no config.json"),
        ("pipeline", lambda folder: edited(folder, "model_index.json", vqvae=[None, None]),
         r"is a pipeline with no autoencoder; .*\(in it: .*unet \(UNet2DModel\)\)"),
        ("kl", lambda folder: (folder / "diffusion_pytorch_model.safetensors").write_bytes(b""),
         r"is empty"),
    ],
)  # fmt: skip
def test_what_cannot_be_loaded_says_what_is_there(
    saved: Path, tmp_path: Path, name: str, change: Callable[[Path], Any], told: str
) -> None:
    shutil.copytree(saved / name, tmp_path / name)
    change(tmp_path / name)
    with pytest.raises(GanprobeError, match=told):
        load(str(tmp_path / name))


def test_a_class_that_the_user_names_takes_the_configuration(tmp_path: Path) -> None:
    """The layout of PyTorchModelHubMixin: config.json holds the arguments."""
    from ganprobe.loading.factory_code import import_typed
    from ganprobe.loading.specs import CodeSpec

    (tmp_path / "small.py").write_text(HUB_CODE)
    torch.manual_seed(4)
    network = import_typed(CodeSpec("Small", file=tmp_path / "small.py")).factory(nz=7, width=3)
    network.save_pretrained(tmp_path / "small")
    with pytest.raises(UsageError, match="names no class of diffusers; name the class"):
        load(str(tmp_path / "small"))
    generator = load(str(tmp_path / "small"), factory=f"{tmp_path}/small.py:Small")
    assert generator.source["arguments"] == {"nz": 7, "width": 3}
    z = generator.sample(2)
    with torch.no_grad():
        assert torch.equal(generator.forward(z), network.eval()(z.z))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


def put(cache: Path, repository: str, files: Path, inner: str = "") -> Path:
    """Files in a cache, as huggingface_hub leaves them."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True, exist_ok=True)
    (folder / "refs" / "main").write_text(COMMIT)
    snapshot_folder = folder / "snapshots" / COMMIT
    shutil.copytree(files, snapshot_folder / inner, dirs_exist_ok=True)
    return snapshot_folder


def test_a_repository_in_the_cache_is_loaded_without_a_network(saved: Path, cache: Path) -> None:
    put(cache, "some/vae", saved / "kl")
    put(cache, "some/vae", saved / "pipeline" / "vqvae", "inner")
    generator = load("hf:some/vae")
    assert (generator.name, generator.latent_space.shape) == ("vae", (4, 8, 8))
    assert generator.source["repository"] == "some/vae"
    assert generator.source["revision"] == COMMIT
    assert load("some/vae@main").weights_sha256() == generator.weights_sha256()
    assert load(f"some/vae@{COMMIT}").weights_sha256() == generator.weights_sha256()
    assert load("hf:some/vae/inner").latent_space.shape == (3, 8, 8)
    with pytest.raises(UsageError, match="has no folder 'outer' with a configuration"):
        load("hf:some/vae/outer")


def test_a_repository_that_describes_itself_needs_trust_for_its_code(
    cache: Path, tmp_path: Path
) -> None:
    network = model_folder(tmp_path / "model")
    root = put(cache, "some/gan", tmp_path / "model")
    (root / "README.md").write_text("# A model")
    with pytest.raises(UntrustedError, match=r"network\.py"):
        load("some/gan")
    generator = load("some/gan", trust=True)
    z = generator.sample(2)
    with torch.no_grad():
        assert torch.equal(generator.forward(z), network(z.z))


def test_a_repository_with_nothing_that_is_known_says_so(cache: Path, tmp_path: Path) -> None:
    write_code(tmp_path / "code")
    put(cache, "some/code", tmp_path / "code")
    with pytest.raises(UsageError, match=r"holds no generator that is known"):
        load("some/code")


def failing(error: Exception) -> Callable[..., str]:
    def fail(*arguments: object, **keywords: object) -> str:
        raise error

    return fail


def response(status: int) -> Any:
    """What the library keeps of an answer, whichever client it uses."""
    return SimpleNamespace(status_code=status, headers={}, request=None, text="")


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (lambda: errors.GatedRepoError("no", response=response(403)), UsageError, "is gated: ask"),
        (lambda: errors.RepositoryNotFoundError("no", response=response(404)), UsageError,
         "there is no repository 'some/gan' of Hugging Face at v2"),
        (lambda: errors.RevisionNotFoundError("no", response=response(404)), UsageError,
         "there is no revision 'v2' of 'some/gan'"),
        (lambda: errors.LocalEntryNotFoundError("no"), WeightsError, "no way to the network"),
        (lambda: ConnectionError("refused"), WeightsError, "no way to the network"),
        (lambda: RuntimeError("5xx\n  later"), WeightsError, "fetched: RuntimeError: 5xx l"),
    ],
)  # fmt: skip
def test_each_failure_of_fetching_is_a_sentence(
    error: Callable[[], Exception],
    kind: type[Exception],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", failing(error()))
    with pytest.raises(kind, match=told):
        load("some/gan@v2")


def test_what_is_in_no_cache_is_not_fetched_offline(cache: Path) -> None:
    with pytest.raises(WeightsError, match=r"no way to the network \(or HF_HUB_OFFLINE is set\)"):
        load("some/vae")


def test_only_what_is_needed_is_fetched(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub that gives a file only if it is asked for by its name or pattern."""
    from fnmatch import fnmatch

    hub, local = tmp_path / "hub", tmp_path / COMMIT
    shutil.copytree(saved / "pipeline", hub)
    shutil.copytree(saved / "bin", hub / "older")
    (hub / "unet").mkdir()
    (hub / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"large")
    (hub / "vqvae" / "diffusion_pytorch_model.bin").write_bytes(b"also large")

    def download(repository: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        for file in (path for path in hub.rglob("*") if path.is_file()):
            name = str(file.relative_to(hub))
            if any(fnmatch(name, pattern) for pattern in allow_patterns):
                (local / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, local / name)
        return str(local)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    local.mkdir()
    found = snapshot.fetch_snapshot(HuggingFaceSpec("some/pipeline"))
    fetched = {str(path.relative_to(local)) for path in local.rglob("*") if path.is_file()}
    assert fetched == {
        "model_index.json", "vqvae/config.json", "vqvae/diffusion_pytorch_model.safetensors",
    }  # fmt: skip
    assert found == snapshot.Snapshot(local, COMMIT)
    snapshot.fetch_snapshot(HuggingFaceSpec("some/pipeline", "older"))
    assert (local / "older" / "diffusion_pytorch_model.bin").is_file()
