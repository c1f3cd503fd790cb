"""The language model in a search: an interpretation or a pseudo caption written while somebody waits.

It goes by way of the row cache, so the same question costs nothing twice.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.captions.rows import Row
from pipeline.captions.run import row_cache
from pipeline.captions.settings import Settings, read_settings
from pipeline.captions.stages import CAPTION, INTERPRET, LanguageStage
from pipeline.captions.writer import TextWriter
from pipeline.faithfulness.check import Checker, vocabulary_of
from pipeline.graph.scene_graph import GroupGraph, SceneGraph
from pipeline.graph.summary import summarised
from pipeline.llm.engines import open_engine
from pipeline.llm.prompt import Message
from pipeline.llm.types import Engine, Request, Result


class Language:
    """Writes texts with one engine, which opens when the row cache first lacks one and then stays open.

    Args:
        engine: opens another engine than the one that the parameters name.
    """

    def __init__(self, params: Params, paths: Paths, engine: Callable[[], Engine] | None = None) -> None:
        self._params, self._paths = params, paths
        self._row: list[Message] = []
        self._kept = _Kept(engine or partial(open_engine, params, paths.root, self._row))
        self._cache = row_cache(paths)
        self._settings: dict[str, Settings] = {}

    def interpretation(self, graph: SceneGraph) -> tuple[str | None, str | None]:
        """The text of a graph; or None, and why there is none.

        Raises:
            UserError: the prompt or the model cannot be used.
        """
        settings, (groups, cut) = self._read(INTERPRET), self._summarised(graph)
        messages = settings.messages(groups)
        return self._write(settings, messages, groups, groups, cut)

    def pseudo_caption(self, graph: SceneGraph, modification: str) -> tuple[str | None, str | None]:
        """The caption of the image that is asked for; or None, and why there is none.

        Raises:
            UserError: the prompt or the model cannot be used.
        """
        settings, (groups, cut) = self._read(CAPTION), self._summarised(graph)
        messages = settings.messages(groups, modification=modification)
        return self._write(settings, messages, groups, None, cut)  # which facts it must state is not known

    def close(self) -> None:
        """Close the engine."""
        self._kept.end()

    def _summarised(self, graph: SceneGraph) -> tuple[GroupGraph, bool]:
        return summarised(graph, self._params.llm.max_groups, self._params.llm.max_relations)

    def _read(self, stage: LanguageStage) -> Settings:
        if stage.name not in self._settings:
            self._settings[stage.name] = read_settings(stage, self._params, self._paths)
        return self._settings[stage.name]

    def _write(
        self,
        settings: Settings,
        messages: list[Message],
        graph: GroupGraph,
        stated: GroupGraph | None,
        cut: bool,
    ) -> tuple[str | None, str | None]:
        self._row[:] = messages
        row = Row("search", "0", messages, stated, Checker(vocabulary_of([graph])), cut, not graph.groups)
        with TextWriter(settings, self._cache, lambda: self._kept, 1) as writer:
            (outcome,) = writer.write([row])
        return outcome.best.text, outcome.best.error


class _Kept(Engine):
    """An engine that stays open when a writer closes it."""

    def __init__(self, opens: Callable[[], Engine]) -> None:
        self._opens = opens
        self._engine: Engine | None = None

    def generate(self, requests: Iterable[Request]) -> Iterator[Result]:
        if self._engine is None:
            self._engine = self._opens()
        yield from self._engine.generate(requests)

    def close(self) -> None:
        """The next question needs it."""

    def end(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None
