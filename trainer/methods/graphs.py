"""Scene graphs as a network reads them: nodes and edges are texts, whose features the text tower gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SCENE_GRAPH = "scene_graph"  # the input of a method that reads the reference's graph itself


@dataclass(frozen=True)
class GraphTexts:
    """One graph in words: its nodes, and its edges as subject, predicate and object, ends as node indices."""

    nodes: tuple[str, ...]
    edges: tuple[tuple[int, str, int], ...] = ()

    def all_texts(self) -> list[str]:
        """Every text, with repetitions."""
        return [*self.nodes, *(predicate for _, predicate, _ in self.edges)]


@dataclass(frozen=True)
class Graphs:
    """B graphs one after the other, without padding; rows are taken as of a tensor.

    Attributes:
        features: (T, D), L2-normalised, of the distinct texts.
        nodes: int64 (N,), rows of `features`.
        edges: int64 (E, 3): subject, row of the predicate's feature, object; ends count in their own graph.
        nodes_of, edges_of: int64 (B + 1,), where the nodes and edges of each graph begin, and the end.
    """

    features: Tensor
    nodes: Tensor
    edges: Tensor
    nodes_of: Tensor
    edges_of: Tensor

    @classmethod
    def of(cls, graphs: Sequence[GraphTexts], row_of: Mapping[str, int], features: Tensor) -> "Graphs":
        """Graphs in words, given the row of each text in `features`."""
        nodes = [row_of[text] for graph in graphs for text in graph.nodes]
        edges = [(s, row_of[text], o) for graph in graphs for s, text, o in graph.edges]
        device = features.device
        return cls(
            features,
            torch.tensor(nodes, dtype=torch.int64, device=device),
            torch.tensor(edges, dtype=torch.int64, device=device).reshape(-1, 3),
            _starts([len(graph.nodes) for graph in graphs]).to(device),
            _starts([len(graph.edges) for graph in graphs]).to(device),
        )

    def __len__(self) -> int:
        return len(self.nodes_of) - 1

    def __getitem__(self, rows: Tensor | slice) -> "Graphs":
        """Some graphs, in the order of `rows`."""
        wanted = torch.arange(len(self), device=self.nodes.device)[rows]
        nodes, nodes_of = _picked(self.nodes_of, wanted)
        edges, edges_of = _picked(self.edges_of, wanted)
        return Graphs(self.features, self.nodes[nodes], self.edges[edges], nodes_of, edges_of)

    def graph_of_nodes(self) -> Tensor:
        """int64 (N,), the graph of each node."""
        return _owners(self.nodes_of)

    def ends(self) -> tuple[Tensor, Tensor]:
        """Subject and object of each edge as indices of `nodes`: int64 (E,) each."""
        first = self.nodes_of[_owners(self.edges_of)]  # (E,)
        return first + self.edges[:, 0], first + self.edges[:, 2]


def _starts(counts: Sequence[int]) -> Tensor:
    return torch.tensor([0, *counts], dtype=torch.int64).cumsum(0)


def _owners(starts: Tensor) -> Tensor:
    return torch.arange(len(starts) - 1, device=starts.device).repeat_interleave(starts.diff())


def _picked(starts: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Indices of all that belongs to `rows`, and where each of them begins among these."""
    counts = starts.diff()[rows]
    begins = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    shift = (starts[rows] - begins[:-1]).repeat_interleave(counts)
    return torch.arange(len(shift), device=starts.device) + shift, begins
