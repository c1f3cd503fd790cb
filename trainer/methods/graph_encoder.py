"""A graph network beside the image and the text encoder: what the method turns into language, not so turned.

The graph convolution is that of Johnson et al. (CVPR 2018, "Image generation from scene graphs"): a network
reads subject, predicate and object of an edge and says something to both ends. The readout is the gated sum
of Li et al. (ICLR 2016, "Gated graph sequence neural networks"). A node starts as the text tower's feature of
its words and each layer adds to it: so a node without an edge is not lost, and the untrained encoder gives
about the mean of its nodes.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from trainer.methods.combiner import Combiner, WideCombiner
from trainer.methods.graphs import Graphs

LAYERS = 2


class GraphLayer(nn.Module):
    """One graph convolution with residuals.

    Args:
        dimension: D of nodes and edges.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__()
        hidden = 2 * dimension
        self.edge = nn.Sequential(
            nn.Linear(3 * dimension, hidden), nn.ReLU(), nn.Linear(hidden, 2 * hidden + dimension)
        )
        self.node = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, dimension))
        self.split = (hidden, dimension, hidden)

    def forward(
        self, nodes: Tensor, edges: Tensor, subjects: Tensor, objects: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Nodes (N, D) and edges (E, D) after one round, given each edge's ends, int64 (E,)."""
        triples = self.edge(torch.cat([nodes[subjects], edges, nodes[objects]], -1))
        to_subject, to_edge, to_object = triples.split(self.split, -1)
        ends = torch.cat([subjects, objects])  # (2E,)
        said = _sums(relu(torch.cat([to_subject, to_object])), ends, len(nodes))  # (N, H)
        count = _sums(torch.ones_like(ends, dtype=nodes.dtype)[:, None], ends, len(nodes))  # (N, 1)
        heard = self.node(said / count.clamp(min=1))  # the mean, as published
        return nodes + heard * (count > 0), edges + to_edge


class GraphEncoder(nn.Module):
    """One vector for each graph.

    Args:
        dimension: D of the features of texts, and of the vector.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(GraphLayer(dimension) for _ in range(LAYERS))
        self.gate = nn.Linear(2 * dimension, 1)
        self.value = nn.Linear(2 * dimension, dimension)

    def forward(self, graphs: Graphs) -> Tensor:
        """(B, D), L2-normalised, of B graphs; zeros for one without a node."""
        words = graphs.features[graphs.nodes]  # (N, D)
        nodes, edges = words, graphs.features[graphs.edges[:, 1]]
        ends = graphs.ends()
        for layer in self.layers:
            nodes, edges = layer(nodes, edges, *ends)
        both = torch.cat([nodes, words], -1)  # (N, 2D)
        said = torch.sigmoid(self.gate(both)) * (nodes + self.value(both))
        return normalize(_sums(said, graphs.graph_of_nodes(), len(graphs)), dim=-1)


class GraphCombiner(nn.Module):
    """The combiner given image, modification and the encoded graph at once.

    Args:
        dimension: D of all features.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.encoder = GraphEncoder(dimension)
        self.combiner = WideCombiner(dimension, 3)

    def forward(self, image: Tensor, text: Tensor, graphs: Graphs) -> Tensor:
        """(B, D), L2-normalised, of image and text features (B, D) and B graphs."""
        return self.combiner(image, text, self.encoder(graphs))


class GraphStages(nn.Module):
    """Two combiners in a row: image and graph make the content, content and modification the query.

    These are the two stages of SHF (Wang et al., "Scene graph-aware hierarchical fusion network", IEEE TGRS
    2024), which fuses feature maps of several levels; here each side has one feature.

    Args:
        dimension: D of all features.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.encoder = GraphEncoder(dimension)
        self.content = Combiner(dimension)
        self.query = Combiner(dimension)

    def forward(self, image: Tensor, text: Tensor, graphs: Graphs) -> Tensor:
        """(B, D), L2-normalised, of image and text features (B, D) and B graphs."""
        return self.query(self.content(image, self.encoder(graphs)), text)


def _sums(values: Tensor, owners: Tensor, count: int) -> Tensor:
    """(count, X): the sum of the values (M, X) of each owner."""
    return values.new_zeros(count, values.shape[1]).index_add(0, owners, values)
