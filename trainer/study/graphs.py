"""A scene graph as a graph network reads it: groups and predicates in words."""

from pipeline.graph.scene_graph import GroupGraph
from pipeline.graph.verbalise import say_group
from trainer.methods.graphs import GraphTexts


def in_words(graph: GroupGraph | None) -> GraphTexts:
    """The graph's groups as nodes ("two small red cars at the left") and its relations as edges.

    The kind of scene is a node of its own. It stands last, so that relations count the groups as before. An
    image without a graph has no node.
    """
    if graph is None:
        return GraphTexts(())
    scene = (f"{graph.scene} scene",) if graph.scene else ()
    return GraphTexts((*map(say_group, graph.groups), *scene), graph.relations)
