"""The wheel and the sdist hold what they must, and the wheel works from another folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def test_the_wheel_holds_the_package_and_every_plugin(distributions: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    plugins = {
        "ablation",
        "appearance",
        "arithmetic",
        "directions",
        "dissection",
        "inversion",
        "maps",
        "networks",
        "quality",
        "segmenters",
        "sensitivity",
        "swap",
        "traversal",
        "units",
        "veto",
        "zoo",
    }
    assert tops == {"ganprobe", *(f"ganprobe_{name}" for name in plugins)}
    assert "ganprobe/py.typed" in names
    assert "ganprobe_zoo/weights/digits-generator.safetensors" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_sdist_holds_tests_and_documents(distributions: Path) -> None:
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {"README.md", "CHANGELOG.md", "LICENSE", "plugins/README.md"} <= names
    assert {"tests/test_packaging.py", "benchmarks/README.md"} <= names
    assert not any(name.endswith((".h5", ".pyc")) for name in names)


def test_the_wheel_installed_elsewhere_finds_the_plugins(
    distributions: Path, tmp_path: Path
) -> None:
    (wheel,) = distributions.glob("*.whl")
    target = tmp_path / "site"
    install = ["pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([sys.executable, "-m", *install, str(wheel)], check=True)
    environment = os.environ | {"PYTHONPATH": str(target)}

    def run(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, check=True, capture_output=True, text=True, cwd=tmp_path, env=environment
        ).stdout

    listed = json.loads(run("-m", "ganprobe", "plugins", "--json"))
    assert {plugin["name"]: plugin["state"] for plugin in listed} == {
        "ablation": "loaded",
        "appearance": "loaded",
        "arithmetic": "loaded",
        "directions": "loaded",
        "dissection": "loaded",
        "inversion": "loaded",
        "maps": "loaded",
        "networks": "loaded",
        "quality": "loaded",
        "segmenters": "loaded",
        "sensitivity": "loaded",
        "swap": "loaded",
        "traversal": "loaded",
        "units": "loaded",
        "veto": "loaded",
        "zoo": "loaded",
    }
    program = (
        "import ganprobe, ganprobe_zoo\n"
        "module = ganprobe.load('digits').module\n"
        "print(ganprobe.__file__, ganprobe_zoo.__file__, type(module).__name__)"
    )
    package, zoo, network = run("-c", program).split()
    assert Path(package).is_relative_to(target)
    assert Path(zoo).is_relative_to(target)
    assert network == "DigitsGenerator"
