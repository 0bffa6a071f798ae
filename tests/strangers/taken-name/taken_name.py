"""Calls its analysis as one of ganprobe's own is called."""

from ganprobe import Analysis, Params, Result, hookimpl


class Traversal(Analysis[Params]):
    """Another way of walking."""

    name, summary, Params = "traversal", "Another way of walking.", Params

    def run(self, context, params):
        return Result(findings=["This is not the traversal that you meant."])


@hookimpl
def register_analyses() -> list[type[Analysis]]:
    return [Traversal]
