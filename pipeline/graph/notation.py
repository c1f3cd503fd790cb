"""A graph as the lines of a prompt, the way a person would write it down, and as JSON."""

import json
from dataclasses import asdict

from pipeline.graph.scene_graph import GroupGraph
from pipeline.graph.verbalise import say_group, say_relation


def serialise(graph: GroupGraph) -> str:
    """A graph as lines: every fact once, in the order of the graph, each group and relation in a line.

    Example:
        scene: airport
        objects:
        - three small red cars at the top left
        - one white hangar at the center
        relations:
        - the cars are next to the hangar
    """
    lines = [f"scene: {graph.scene}"] if graph.scene else []
    lines += ["objects:", *(f"- {say_group(group)}" for group in graph.groups)]
    if graph.relations:
        lines.append("relations:")
        for relation in graph.relations:
            sentence = say_relation(graph, relation)
            lines.append(f"- {sentence[0].lower()}{sentence[1:-1]}")
    return "\n".join(lines)


def as_json(graph: GroupGraph) -> str:
    """The same facts as one line of JSON; relations name their groups by number, from 0.

    Example:
        {"scene": "airport", "objects": [{"quantity": "3", "name": "car", "attributes": ["small", "red"],
        "position": "top left"}], "relations": [[0, "next to", 1]]}
    """
    return json.dumps(
        {"scene": graph.scene, "objects": list(map(asdict, graph.groups)), "relations": graph.relations},
        ensure_ascii=False,
    )
