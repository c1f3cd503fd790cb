"""The phrases to look for in captions of one dataset: names, attributes, predicates, scenes, synonyms."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from pipeline.faithfulness import words
from pipeline.faithfulness.grammar import Kind
from pipeline.faithfulness.scenes import Scenes, squeezed
from pipeline.graph.scene_graph import GroupGraph
from pipeline.graph.verbalise import pluralise

_WEAK_KINDS = {"with": Kind.WITH} | dict.fromkeys(("has", "have", "having", "of", "and"), Kind.WEAK)


def tokenise(text: str) -> list[str]:
    """Lower-case words and the punctuation that ends clauses; hyphens stay inside words."""
    return [token.replace("’", "'") for token in words.TOKEN.findall(text.lower().replace("_", " "))]


@dataclass(frozen=True)
class Phrase:
    """A sequence of tokens and what it stands for."""

    tokens: tuple[str, ...]
    kind: Kind  # a name, an attribute or a predicate
    value: str  # as the graphs write it
    plural: bool | None = None  # of a name; None: either
    readings: tuple[tuple[str, bool], ...] = ()  # of a predicate: (predicate, turned round)
    short: bool = False  # "court" for "tennis court": can refer to one that was named before


@dataclass(frozen=True)
class Vocabulary:
    """Every word that the graphs of a dataset use: a text can state these rightly, or invent them."""

    names: frozenset[str]
    attributes: frozenset[str]
    predicates: frozenset[str]
    scenes: frozenset[str]

    @cached_property
    def phrases(self) -> Mapping[tuple[str, ...], Phrase]:
        """Phrases by their tokens: a name rather than a predicate, a predicate rather than an attribute."""
        index: dict[tuple[str, ...], Phrase] = {}
        for phrase in chain(self._names(), self._predicates(), self._attributes()):
            if phrase.tokens:
                index.setdefault(phrase.tokens, phrase)
        return index

    @cached_property
    def lengths(self) -> Mapping[str, list[int]]:
        """How many tokens phrases have, long ones first, by their first token."""
        lengths: dict[str, set[int]] = {}
        for tokens in self.phrases:
            lengths.setdefault(tokens[0], set()).add(len(tokens))
        return {first: sorted(sizes, reverse=True) for first, sizes in lengths.items()}

    def phrases_at(self, tokens: Sequence[str], at: int) -> Iterator[Phrase]:
        """The phrases that stand in a text from the token number `at` on, long ones first."""
        for length in self.lengths.get(tokens[at], ()):
            if phrase := self.phrases.get(tuple(tokens[at : at + length])):
                yield phrase

    @cached_property
    def attribute_of(self) -> Mapping[str, str]:
        """The attribute that each one is compared as: synonyms are one, unless the graphs use several."""
        meaning = {attribute: attribute for attribute in self.attributes}
        for group in words.ATTRIBUTE_SYNONYMS:
            used = [word for word in group if word in self.attributes]
            if len(used) <= 1:
                meaning |= dict.fromkeys(group, used[0] if used else group[0])
            else:
                meaning |= {word: word for word in group}
        return meaning

    def meanings(self, attributes: Iterable[str]) -> list[str]:
        """The attributes that these are compared as."""
        return [self.attribute_of.get(attribute.lower(), attribute.lower()) for attribute in attributes]

    @cached_property
    def other_scenes(self) -> Scenes:
        """Finds scenes, except those that are, or contain, the name of an object."""
        names = self._name_tokens
        joined = {"".join(tokens) for tokens in names}
        single = {tokens[0] for tokens in names if len(tokens) == 1}
        return Scenes(
            scene
            for scene in self.scenes
            if squeezed(scene) not in joined and not single & set(tokenise(scene))
        )

    @cached_property
    def scene_words(self) -> frozenset[str]:
        """First words of scenes that no object's name starts with."""
        heads = {tokens[0] for scene in self.scenes if (tokens := tokenise(scene))}
        return frozenset(heads - {tokens[0] for tokens in self._name_tokens})

    @property
    def _name_tokens(self) -> list[tuple[str, ...]]:
        return [tokens for tokens, phrase in self.phrases.items() if phrase.kind == Kind.NAME]

    def _names(self) -> Iterable[Phrase]:
        known = {tuple(tokenise(name)) for name in self.names}
        heads: dict[str, list[str]] = {}
        for name in sorted(self.names):
            tokens = tuple(tokenise(name))
            yield from _name_forms(tokens, name)
            if len(tokens) > 1:
                heads.setdefault(tokens[-1], []).append(name)
        for group in words.NAME_SYNONYMS:
            used = [word for word in group if word in self.names]
            if len(used) == 1:
                for word in group:
                    tokens = tuple(tokenise(word))
                    if tokens not in known:
                        yield from _name_forms(tokens, used[0])
        for head, names in heads.items():
            if len(names) == 1 and (head,) not in known:
                for phrase in _name_forms((head,), names[0]):
                    yield Phrase(phrase.tokens, Kind.NAME, names[0], phrase.plural, short=True)

    def _attributes(self) -> Iterable[Phrase]:
        for attribute in sorted({*self.attributes, *words.COMMON_ATTRIBUTES, *self.attribute_of}):
            tokens = tuple(tokenise(attribute))
            if len(tokens) != 1 or tokens[0] not in words.NUMBERS:
                yield Phrase(tokens, Kind.ATTRIBUTE, self.attribute_of.get(attribute, attribute))

    def _predicates(self) -> Iterable[Phrase]:
        readings: dict[str, dict[tuple[str, bool], None]] = {}
        classes = [dict(group) for group in words.PREDICATE_CLASSES]
        for predicate in sorted({*self.predicates, *words.COMMON_PREDICATES}):
            readings.setdefault(predicate, {})[(predicate, False)] = None
            bare = predicate
            if not any(predicate in group for group in classes):
                bare = re.sub(r"^\w+ed ", "", predicate)  # "near" also states "parked near"
            for group in classes:
                if bare not in group:
                    continue
                for form, way in group.items():
                    if form in self.predicates and form not in (predicate, bare) and way == group[bare]:
                        continue  # the graphs distinguish the two
                    turned = way != group[bare]
                    for wording in {form, predicate.replace(bare, form)}:
                        readings.setdefault(wording, {})[(predicate, turned)] = None
                        if way == "~" and bare == predicate:
                            readings[wording][(predicate, True)] = None
        for form, alternatives in readings.items():
            kind = _WEAK_KINDS.get(form, Kind.RELATION)
            yield Phrase(tuple(tokenise(form)), kind, form, readings=tuple(alternatives))


def vocabulary_of(graphs: Iterable[GroupGraph]) -> Vocabulary:
    """The words of these graphs."""
    names: set[str] = set()
    attributes: set[str] = set()
    predicates: set[str] = set()
    scenes: set[str] = set()
    for graph in graphs:
        if graph.scene:
            scenes.add(graph.scene.lower())
        for group in graph.groups:
            names.add(group.name.lower())
            attributes.update(attribute.lower() for attribute in group.attributes)
        predicates.update(predicate.lower() for _, predicate, _ in graph.relations)
    return Vocabulary(frozenset(names), frozenset(attributes), frozenset(predicates), frozenset(scenes))


def _name_forms(tokens: tuple[str, ...], name: str) -> Iterable[Phrase]:
    if not tokens:
        return
    last = tokens[-1]
    plurals = {pluralise(last), words.IRREGULAR_PLURALS.get(last, pluralise(last))}
    for ending, plural in (("fe", "ves"), ("f", "ves")):
        if last.endswith(ending) and last not in words.IRREGULAR_PLURALS:
            plurals.add(last.removesuffix(ending) + plural)
    singulars = {one for one, many in words.IRREGULAR_PLURALS.items() if many == last and one != last}
    if last.endswith("ies"):
        singulars.add(last[:-3] + "y")
    elif last.endswith("s") and not last.endswith(("ss", "us", "is")):
        singulars.add(last[:-1])
        if last.endswith(("ses", "xes", "zes", "ches", "shes")):
            singulars.add(last[:-2])
    looks_plural = bool(singulars)
    yield Phrase(tokens, Kind.NAME, name, None if looks_plural or last in plurals else False)
    for plural in sorted(plurals - {last}):
        yield Phrase((*tokens[:-1], plural), Kind.NAME, name, True)
    for singular in sorted(singulars - {last}):
        yield Phrase((*tokens[:-1], singular), Kind.NAME, name, False)
