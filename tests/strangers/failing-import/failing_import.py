"""Imports what is not there."""

import no_such_library_of_mine

from ganprobe import Analysis, hookimpl


@hookimpl
def register_analyses() -> list[type[Analysis]]:
    return no_such_library_of_mine.analyses()
