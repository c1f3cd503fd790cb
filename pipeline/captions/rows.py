"""The rows that a language stage writes about."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pipeline.faithfulness.check import Check
from pipeline.graph.scene_graph import GroupGraph
from pipeline.graph.summary import Limits
from pipeline.llm.pictures import Picture
from pipeline.llm.prompt import Message

Given = Literal["graph", "image", "graph and image"]


class TextChecker(Protocol):
    """Says what a text misses and invents: `Checker`, or one that is made for a row."""

    def check(self, text: str, graph: Any) -> Check: ...


@dataclass(frozen=True)
class Row:
    """One row to write about.

    `graph` is what the text must say, or None where that is not known. `summarised`: the prompt states less
    than the whole scene graph. `empty`: there is nothing to say, so the row is not sent to a model.
    `brought`: the text that a person wrote for the row, which no model is asked for. `picture` stands beside
    the prompt; `given` says what a model's text is made from. `shown`: the graph in the prompt; `again` makes
    the row anew with a graph within limits. Both are None where a prompt has no graph.
    """

    dataset: str
    id: str
    messages: list[Message]
    graph: GroupGraph | None
    checker: TextChecker
    summarised: bool
    empty: bool
    brought: str | None = None
    picture: Picture | None = None
    given: Given = "graph"
    shown: GroupGraph | None = None
    again: Callable[[Limits], "Row | None"] | None = None

    def shorter(self) -> "Row | None":
        """The row with half as much of its graph in the prompt; None if nothing more can be left out."""
        if self.again is None or self.shown is None:
            return None
        row = self.again(Limits.half_of(self.shown))
        return row if row is not None and row.messages != self.messages else None
