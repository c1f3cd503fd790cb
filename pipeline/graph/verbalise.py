"""Rules that turn a graph of groups into sentences: every fact once, names and attributes as written.

The embedded captioner learns this language, and a row gets these sentences if a language model failed and the
parameters allow it. Each fact has one form, so a caption can be checked word by word:

    An airport scene with two small white planes at the top left, one hangar at the center and many green
    trees. The planes are next to the hangar.
"""

from pipeline.graph.plurals import pluralise
from pipeline.graph.scene_graph import NUMBER_WORDS, Group, GroupGraph, mention

_WORD_OF = {str(number): word for word, number in NUMBER_WORDS.items()}
_VOWELS = "aeiou"


def number_word(n: int) -> str:
    """1 to 12 in words, any other number in digits."""
    return _WORD_OF.get(str(n), str(n))


def is_plural(quantity: str) -> bool:
    """Whether a name takes its plural after this quantity; without a quantity, the name stays as written."""
    return quantity not in ("", "1")


def say_group(group: Group) -> str:
    """A group without the scene around it: "two small red cars at the top left"."""
    name = pluralise(group.name) if is_plural(group.quantity) else group.name
    words = [_WORD_OF.get(group.quantity, group.quantity), *group.attributes, name]
    if group.position:
        words.append(f"at the {group.position}")
    return " ".join(filter(None, words))


def say_relation(graph: GroupGraph, relation: tuple[int, str, int]) -> str:
    """A relation as a sentence: "The small red cars are next to the hangar."

    A group is called by its name alone, unless another group of the graph has the same name.
    """
    subject, predicate, object_ = relation
    verb = "are" if is_plural(graph.groups[subject].quantity) else "is"
    return f"The {_in_number(graph, subject)} {verb} {predicate} the {_in_number(graph, object_)}."


def verbalise(graph: GroupGraph) -> str:
    """One caption that states every fact of the graph, in the graph's order, and nothing else."""
    if graph.scene:
        opening = f"{'An' if graph.scene[0].lower() in _VOWELS else 'A'} {graph.scene} scene"
    else:
        opening = "An aerial view"
    groups = [say_group(group) for group in graph.groups]
    if len(groups) > 1:
        groups = [*groups[:-2], f"{groups[-2]} and {groups[-1]}"]
    first = f"{opening} with {', '.join(groups)}." if groups else f"{opening}."
    return " ".join([first, *(say_relation(graph, relation) for relation in graph.relations)])


def _in_number(graph: GroupGraph, index: int) -> str:
    name = mention(graph, index)
    return pluralise(name) if is_plural(graph.groups[index].quantity) else name
