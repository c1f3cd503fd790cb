"""The front door: the `lempo` command, and one file for each tool that no DVC stage runs.

`import lempo` gives programs the names below; docs/python.md explains them. Each is imported when it is first
used, so that `import lempo` itself takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lempo.api import Project, encode_queries, gallery, score
    from lempo.search.searcher import Answer, Hit, Query, Searcher
    from pipeline.base.errors import UserError
    from pipeline.vision.features import Features, read_features
    from trainer.retrieval.similarity import QueryFeatures
    from trainer.retrieval.weights import Choice

__all__ = [
    "Answer", "Choice", "Features", "Hit", "Project", "Query", "QueryFeatures", "Searcher", "UserError",
    "encode_queries", "gallery", "read_features", "score",
]  # fmt: skip

_MODULES = {
    "lempo.api": ("Project", "encode_queries", "gallery", "score"),
    "lempo.search.searcher": ("Answer", "Hit", "Query", "Searcher"),
    "pipeline.base.errors": ("UserError",),
    "pipeline.vision.features": ("Features", "read_features"),
    "trainer.retrieval.similarity": ("QueryFeatures",),
    "trainer.retrieval.weights": ("Choice",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("lempo")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'lempo' has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
