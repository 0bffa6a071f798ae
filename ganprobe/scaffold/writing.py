"""Writing: the files of a new plugin, all of them or none."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import jinja2

import ganprobe
from ganprobe.errors import GanprobeError, OutputExistsError
from ganprobe.scaffold.names import Kind, PluginNames

__all__ = ["NewPlugin", "new_plugin"]

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class NewPlugin:
    """A plugin that was written.

    Args:
        folder: that it is in.
        files: in it, the module first.
        n_lines: of all of them.
    """

    folder: Path
    files: tuple[Path, ...]
    n_lines: int


def new_plugin(names: PluginNames, kind: Kind, folder: Path) -> NewPlugin:
    """Write a plugin to a folder that is not there yet.

    Raises:
        OutputExistsError: something is there.
        GanprobeError: it cannot be written; nothing of it is left.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as somewhere:
        ...     written = new_plugin(
        ...         PluginNames.of("brightness"), "analysis", Path(somewhere) / "mine")
        >>> [file.name for file in written.files]
        ['ganprobe_brightness.py', 'test_brightness.py', 'pyproject.toml']
    """
    if os.path.lexists(folder):
        raise OutputExistsError(f"{folder} is there already; choose another --output")
    texts = _texts(names, kind)
    whole = folder.resolve()
    partial = whole.parent / f"{whole.name}.{os.getpid()}.partial"
    created = [parent for parent in whole.parents if not parent.exists()]
    try:
        partial.mkdir(parents=True)
        for name, text in texts.items():
            (partial / name).write_text(text, encoding="utf-8")
        partial.rename(whole)
    except OSError as error:
        reason = error.strerror or str(error)
        raise GanprobeError(f"cannot write {folder}: {reason}; choose another --output") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        for parent in created:
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()
    n_lines = sum(text.count("\n") for text in texts.values())
    return NewPlugin(folder, tuple(folder / name for name in texts), n_lines)


def _texts(names: PluginNames, kind: Kind) -> dict[str, str]:
    """What goes into each file."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # Python, not HTML
    )
    files = {
        f"{names.module}.py": f"{kind}.py.jinja",
        f"test_{names.module.removeprefix('ganprobe_')}.py": f"test_{kind}.py.jinja",
        "pyproject.toml": "pyproject.toml.jinja",
    }
    known = {"names": names, "version": ganprobe.__version__}
    return {file: templates.get_template(name).render(known) for file, name in files.items()}
