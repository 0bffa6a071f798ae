"""Guards of the structure: which way imports run, which names are public, who may import what."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import ganprobe

ROOT = Path(__file__).parents[1]
PACKAGE = Path(ganprobe.__file__).parent
PLUGINS = sorted(path.parent for path in (ROOT / "plugins").glob("*/__init__.py"))

ROWS = [
    {"errors"},
    {"indices", "nested", "progress", "selection_files", "surroundings", "transfer"},
    {"weight_files"},
    {
        "animations",
        "components",
        "direction_sets",
        "drawing",
        "effects",
        "image_files",
        "information",
        "interpolation",
        "overlays",
        "regions",
        "sample_choices",
        "tones",
        "unit_sets",
    },
    {"association", "boundaries", "calls", "classes", "sites", "latents", "provenance"},
    {"latent_sets", "prediction"},
    {"latent_files"},
    {"layers", "recordings"},
    {"site_sets"},
    {"params"},
    {"interventions"},
    {"engine"},
    {"runs", "normalisation"},
    {"generators", "measures", "store"},
    {"forwards", "placement", "segmenters", "statistics", "style"},
    {"recorder"},
    {"replay"},
    {"sweeps"},
    {"probe", "loaders"},
    {"activation_source", "attribution", "chosen_samples", "dissection", "kernels", "spaces"},
    {"causal", "factorisation", "jacobians", "search"},
    {"context_figure", "results"},
    {"result_files"},
    {"analysis", "stored_statistics"},
    {"hookspecs"},
    {"plugins"},
    {"archives"},
    {"loading"},
    {"catalogue", "scaffold"},
    {"cli"},
    {"testing"},
    {"__main__"},
]
ROW_OF = {module: row for row, modules in enumerate(ROWS) for module in modules}


def imported_modules(path: Path) -> Iterator[str]:
    """Absolute names of what a file imports, also inside functions and for types only."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules_of_the_core() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def home_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", modules_of_the_core(), ids=lambda path: path.stem)
def test_imports_run_one_way(path: Path) -> None:
    importer = home_of(path)
    assert importer in ROW_OF, f"{importer} has no row yet"
    for name in imported_modules(path):
        parts = name.split(".")
        if parts[0] != "ganprobe" or len(parts) < 2 or parts[1] == importer:
            continue
        if parts[1] not in ROW_OF:
            assert parts[1] in ganprobe.__all__, f"{path.name} imports unknown {name}"
            continue
        assert ROW_OF[parts[1]] < ROW_OF[importer], f"{importer} imports {parts[1]}"


def test_only_the_engine_touches_forward_hooks() -> None:
    users = {
        home_of(path)
        for path in modules_of_the_core()
        if "register_forward" in path.read_text() or "_forward_hooks" in path.read_text()
    }
    assert users == {"engine"}


def test_all_names_every_public_name_and_no_other() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    for_types = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ganprobe.")
        for alias in node.names
    }
    assert len(ganprobe.__all__) == len(set(ganprobe.__all__))
    assert for_types | {"__version__"} == set(ganprobe.__all__)
    for name in ganprobe.__all__:
        assert getattr(ganprobe, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ganprobe.nothing


@pytest.mark.parametrize("path", modules_of_the_core(), ids=lambda path: path.stem)
def test_every_modules_all_is_defined_in_it(path: Path) -> None:
    tree = ast.parse(path.read_text())
    named = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    if path.name == "__main__.py":
        return
    assert len(named) == 1, f"{path.name} has no __all__"
    assert named[0] == sorted(
        named[0], key=lambda name: (not name.isupper(), not name[0].isupper(), name)
    )
    defined = {name for node in tree.body for name in names_bound_by(node)}
    assert set(named[0]) <= defined


def names_bound_by(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Assign):
        return {ast.unparse(target) for target in node.targets}
    if isinstance(node, ast.AnnAssign):
        return {ast.unparse(node.target)}
    if isinstance(node, ast.ImportFrom):
        return {alias.asname or alias.name for alias in node.names}
    return set()


@pytest.mark.parametrize(
    "path",
    [path for plugin in PLUGINS for path in sorted(plugin.rglob("*.py"))],
    ids=lambda path: f"{path.parent.name}-{path.stem}",
)
def test_plugins_import_only_public_names(path: Path) -> None:
    own = path.relative_to(ROOT / "plugins").parts[0]
    others = {plugin.name for plugin in PLUGINS} - {own}
    for name in imported_modules(path):
        head, *rest = name.split(".")
        assert head not in others, f"{path} imports another plugin: {name}"
        if head == "ganprobe" and rest:
            assert rest[0] in ganprobe.__all__, f"{path} imports {name}, which is not public"


def test_every_entry_point_has_its_folder_and_the_other_way_round() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    entries = project["entry-points"]["ganprobe"]
    assert sorted(entries.values()) == [plugin.name for plugin in PLUGINS]
    assert {f"ganprobe_{name}" for name in entries} == set(entries.values())


def test_nothing_below_the_command_line_prints() -> None:
    for path in modules_of_the_core():
        calls = [
            node
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "print"
        ]
        assert not calls, f"{path} prints"
