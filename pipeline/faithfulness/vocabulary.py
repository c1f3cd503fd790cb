"""The phrases to look for in captions of one dataset: names, attributes, predicates, scenes, synonyms."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import chain

from pipeline.faithfulness import words
from pipeline.faithfulness.grammar import Kind
from pipeline.faithfulness.labels import (
    attribute_words,
    is_grammar,
    name_words,
    plain,
    plain_label,
    predicate_words,
    words_of_scene,
)
from pipeline.faithfulness.scenes import Scenes, squeezed
from pipeline.graph.plurals import IRREGULAR, pluralise
from pipeline.graph.scene_graph import GroupGraph
from pipeline.graph.table import Labels

_WEAK_KINDS = {"with": Kind.WITH} | dict.fromkeys(("has", "have", "having", "of"), Kind.WEAK)
_RELATIONS = (Kind.RELATION, Kind.WEAK, Kind.WITH)
SHORTEST_JOINED = 6  # letters of a phrase that is found whether its words are joined or not
_PUNCTUATED = re.compile(r"[^\W_][/.:][^\W_]|[/(]")  # "ship/boat", "court (tennis)", but no list


def tokenise(text: str) -> list[str]:
    """Lower-case words and the punctuation that ends clauses; hyphens stay inside words."""
    return [token.replace("’", "'") for token in words.TOKEN.findall(plain(text).replace("_", " "))]


@dataclass(frozen=True)
class Phrase:
    """A sequence of tokens and what it stands for."""

    tokens: tuple[str, ...]
    kind: Kind  # a name, an attribute or a predicate
    value: str  # as the graphs write it
    plural: bool | None = None  # of a name; None: either
    readings: tuple[tuple[str, bool], ...] = ()  # of a predicate: (predicate, turned round)
    foreign: bool = False  # a name that no graph has
    short: bool = False  # "court" for "tennis court": can refer to one that was named before


@dataclass(frozen=True)
class Vocabulary:
    """Every label that the graphs of a dataset use: a text can state these rightly, or invent them.

    A label of a graph is compared as what its own words mean in a text: "small-vehicle" as "small vehicle",
    "trees" as "tree" if there is such a name. Labels that mean nothing of their kind are not searched for.
    """

    names: frozenset[str]
    attributes: frozenset[str]
    predicates: frozenset[str]
    scenes: frozenset[str]

    def labels(self) -> dict[str, list[str]]:
        """All labels by their kind, sorted: JSON values."""
        return {one.name: sorted(getattr(self, one.name)) for one in fields(self)}

    def name_of(self, name: str) -> str | None:
        """The name that this one is compared as; None if it is not searched for."""
        return self._meaning(name_words(name), (Kind.NAME,))

    def meanings(self, attributes: Iterable[str]) -> list[str | None]:
        """The attributes that these are compared as; None for those that are not searched for."""
        return [self._meaning(attribute_words(attribute), (Kind.ATTRIBUTE,)) for attribute in attributes]

    def predicate_of(self, predicate: str) -> str | None:
        """The predicate that this one is compared as; None if it is not searched for."""
        return self._meaning(predicate_words(predicate), _RELATIONS)

    def _meaning(self, found: tuple[str, ...], kinds: Collection[Kind]) -> str | None:
        phrase = self.phrases.get(found) or self.joined.get("".join(found))
        if Kind.NAME in kinds:
            phrase = self.named_shapes.get(found, phrase)
        if not found or phrase is None:
            return " ".join(found) or None
        return phrase.value if phrase.kind in kinds and not phrase.short else None

    @cached_property
    def phrases(self) -> Mapping[tuple[str, ...], Phrase]:
        """Phrases by their tokens: a name rather than a predicate, a predicate rather than an attribute."""
        index: dict[tuple[str, ...], Phrase] = {}
        names = (phrase for phrase in self._names() if phrase.tokens not in self.named_shapes)
        for phrase in chain(names, self._predicates(), self._attributes(), self._foreign_names()):
            index.setdefault(phrase.tokens, phrase)
        return index

    @cached_property
    def named_shapes(self) -> Mapping[tuple[str, ...], Phrase]:
        """Names that are attributes as well, by their token: the words around it tell which it is."""
        index: dict[tuple[str, ...], Phrase] = {}
        for phrase in self._names():
            if len(phrase.tokens) == 1 and phrase.tokens[0] in words.NAMED_SHAPES:
                index.setdefault(phrase.tokens, phrase)
        return index

    @cached_property
    def lengths(self) -> Mapping[str, list[int]]:
        """How many tokens phrases have, long ones first, by their first token."""
        lengths: dict[str, set[int]] = {}
        for tokens in self.phrases:
            lengths.setdefault(tokens[0], set()).add(len(tokens))
        return {first: sorted(sizes, reverse=True) for first, sizes in lengths.items()}

    @cached_property
    def joined_heads(self) -> frozenset[str]:
        """The first one, two and three letters of `joined` and of `scene_letters`."""
        return frozenset(
            letters[:size] for letters in (*self.joined, *self.scene_letters) for size in (1, 2, 3)
        )

    @cached_property
    def joined(self) -> Mapping[str, Phrase]:
        """Phrases by their letters alone: a text may part the words of "tenniscourt", or join others."""
        index: dict[str, Phrase] = {}
        for tokens, phrase in self.phrases.items():
            letters = "".join(tokens)
            searched = not phrase.short and not phrase.foreign
            if len(letters) >= SHORTEST_JOINED and searched and letters.isalnum():
                index.setdefault(letters, phrase)
        return index

    def phrases_at(self, tokens: Sequence[str], at: int) -> Iterator[Phrase]:
        """The phrases that stand in a text from the token number `at` on, long ones first."""
        for length in self.lengths.get(tokens[at], ()):
            if phrase := self.phrases.get(tuple(tokens[at : at + length])):
                yield phrase

    @cached_property
    def attribute_of(self) -> Mapping[str, str]:
        """The attribute that each one is compared as: synonyms are one."""
        attributes = _spoken(self.attributes, attribute_words)
        meaning = {attribute: attribute for attribute in attributes}
        for synonyms in words.ATTRIBUTE_SYNONYMS:
            group = [" ".join(attribute_words(word)) or word for word in synonyms]
            if not attributes.isdisjoint(group) or not words.COMMON_ATTRIBUTES.isdisjoint(group):
                meaning |= _one_of(group, attributes)
        return meaning

    @cached_property
    def _same_name(self) -> Mapping[str, str]:
        """For names and their synonyms, the name that they are compared as."""
        names = _spoken(self.names, name_words)
        meaning: dict[str, str] = {}
        for synonyms in words.NAME_SYNONYMS:
            group = [" ".join(name_words(word)) for word in synonyms]
            if not names.isdisjoint(group):
                meaning |= _one_of(group, names)
        return meaning

    @cached_property
    def other_scenes(self) -> Scenes:
        """Finds scenes, except those that are a phrase, or contain the name of an object."""
        names = self._name_tokens
        joined = {"".join(tokens) for tokens in names}
        single = {tokens[0] for tokens in names if len(tokens) == 1}
        return Scenes(
            scene
            for scene in self.scenes
            if squeezed(scene) not in joined
            and not single & set(tokenise(scene))
            and tuple(tokenise(scene)) not in self.phrases
        )

    def names_object(self, text: str) -> bool:
        """Whether these words are a phrase of the graphs, as an object's name is, or its beginning."""
        tokens = tuple(tokenise(text))
        return tokens in self.phrases or any(name[: len(tokens)] == tokens for name in self._name_tokens)

    @cached_property
    def scene_letters(self) -> frozenset[str]:
        """The letters of scenes that are no phrase: "parkinglot", of which "lot" may be an object."""
        return frozenset(map(squeezed, self.scenes)) - self.joined.keys()

    @cached_property
    def scene_heads(self) -> Mapping[str, list[tuple[str, ...]]]:
        """How scenes are named, by their first word, long names first.

        That word is enough, unless captions need it for other things: "dense" of "dense residential", "fish"
        of "fish farm" beside "fish pond".
        """
        names = {tokens[0] for tokens in self._name_tokens}
        heads: dict[str, list[tuple[str, ...]]] = {}
        for tokens in sorted(
            map(tuple, map(tokenise, self.scenes)), key=lambda tokens: (-len(tokens), tokens)
        ):
            if tokens not in self.phrases:
                heads.setdefault(tokens[0], []).append(tokens)
        for first, said in heads.items():
            if first not in names and not is_grammar((first,)):
                said.append((first,))
        return heads

    @cached_property
    def scene_ends(self) -> frozenset[str]:
        """The last words of scenes that are no phrase: "the park" may be a "city park"."""
        ends = {tuple(tokenise(scene)[-1:]) for scene in self.scenes if " " in scene}
        return frozenset(end for (end,) in ends - self.phrases.keys())

    @cached_property
    def _name_tokens(self) -> list[tuple[str, ...]]:
        return [
            tokens
            for tokens, phrase in self.phrases.items()
            if phrase.kind == Kind.NAME and not phrase.foreign
        ]

    def _names(self) -> Iterable[Phrase]:
        for phrase in self._name_phrases():
            collective = phrase.short and phrase.tokens[0] in words.COLLECTIVES  # "the lot", a parking lot
            if collective or not is_grammar(phrase.tokens):
                yield phrase

    def _name_phrases(self) -> Iterable[Phrase]:
        names = _spoken(self.names, name_words)
        known = {tuple(name.split()) for name in names}
        heads: dict[str, list[str]] = {}
        for name in sorted(names):
            tokens = tuple(name.split())
            yield from _name_forms(tokens, self._same_name.get(name, name))
            if len(tokens) == 2 and tokens[:1] not in known:
                yield from _turned_forms(tokens, self._same_name.get(name, name))
            if not any(tokens[start:] in known for start in range(1, len(tokens))) and len(tokens) > 1:
                heads.setdefault(tokens[-1], []).append(name)
        for label in sorted(filter(_PUNCTUATED.search, self.names)):
            if tokens := name_words(label):
                yield from _name_forms(_as_written(label), " ".join(tokens))
        for label in sorted(filter(words.HYPHEN.search, self.names)):
            if tokens := name_words(label):
                name = " ".join(tokens)
                yield from _name_forms(_hyphenated(label), self._same_name.get(name, name))
        for word, name in self._same_name.items():
            if word not in names:
                yield from _name_forms(tuple(word.split()), name)
        for head, longer in heads.items():
            if (head,) not in known:
                name = longer[0] if len(longer) == 1 else head  # of several, the text decides
                for phrase in _name_forms((head,), name):
                    yield Phrase(phrase.tokens, Kind.NAME, name, phrase.plural, short=True)

    def _foreign_names(self) -> Iterable[Phrase]:
        of_scenes = {word for scene in self.scenes for word in (scene, *scene.split())}
        for name in sorted(words.COMMON_NAMES - of_scenes):
            for phrase in _name_forms(tuple(name.split()), name):
                yield replace(phrase, foreign=True)

    def _attributes(self) -> Iterable[Phrase]:
        meaning = self.attribute_of
        for attribute in sorted({*words.COMMON_ATTRIBUTES, *words.COMMON_STATES, *meaning}):
            yield Phrase(tuple(attribute.split()), Kind.ATTRIBUTE, meaning.get(attribute, attribute))
        for label in sorted(filter(_PUNCTUATED.search, self.attributes)):
            if tokens := attribute_words(label):
                attribute = " ".join(tokens)
                yield Phrase(_as_written(label), Kind.ATTRIBUTE, meaning.get(attribute, attribute))

    def _predicates(self) -> Iterable[Phrase]:
        predicates = _spoken(self.predicates, predicate_words)
        readings: dict[str, dict[tuple[str, bool], None]] = {}
        classes = [dict(group) for group in words.PREDICATE_CLASSES]
        for predicate in sorted({*predicates, *words.COMMON_PREDICATES}):
            readings.setdefault(predicate, {})[(predicate, False)] = None
            bare = predicate
            if not any(predicate in group for group in classes):
                bare = re.sub(r"^\w+ed ", "", predicate)  # "near" also states "parked near"
            for group in classes:
                if bare not in group:
                    continue
                for form, way in group.items():
                    turned = way != group[bare]
                    for wording in {form, predicate.replace(bare, form)}:
                        readings.setdefault(wording, {})[(predicate, turned)] = None
                        if way == "~" and bare == predicate:
                            readings[wording][(predicate, True)] = None
            for form, turned in _verb_forms(predicate):
                readings.setdefault(form, {})[(predicate, turned)] = None
        for form, alternatives in readings.items():
            kind = _WEAK_KINDS.get(form, Kind.RELATION)
            yield Phrase(tuple(form.split()), kind, form, readings=tuple(alternatives))


def vocabulary_of(graphs: Iterable[GroupGraph], labels: Labels | None = None) -> Vocabulary:
    """The words of these graphs, and of the labels of others."""
    labels = labels or Labels()
    names, attributes = set(labels.names), set(labels.attributes)
    predicates, scenes = set(labels.predicates), set(labels.scenes)
    for graph in graphs:
        if graph.scene:
            scenes.add(graph.scene)
        for group in graph.groups:
            names.add(group.name)
            attributes.update(group.attributes)
        predicates.update(predicate for _, predicate, _ in graph.relations)
    return Vocabulary(
        frozenset(map(plain_label, names)),
        frozenset(map(plain_label, attributes)),
        frozenset(map(plain_label, predicates)),
        frozenset(" ".join(words_of_scene(scene)) for scene in scenes) - {""},
    )


def _verb_forms(predicate: str) -> Iterator[tuple[str, bool]]:
    """The forms of a verb that is a predicate, and whether they turn it round: "crosses", "crossed by"."""
    found = re.fullmatch(r"(\w{3,})(?:ing|ed by)", predicate)
    if found is None:
        return
    stem, passive = found[1], predicate.endswith(" by")
    past = f"{stem.removesuffix('y')}ied" if re.search("[^aeiou]y$", stem) else f"{stem}ed"
    yield from ((f"{stem}{ending}", passive) for ending in ("", "e", "s", "es", "ing"))
    yield f"{past} by", not passive


def _spoken(labels: Iterable[str], words_of: Callable[[str], tuple[str, ...]]) -> set[str]:
    """The labels that are searched for, as their words, joined by spaces.

    Of "tenniscourt" and "tennis court" only the second.
    """
    spoken = {" ".join(found) for found in map(words_of, labels) if found}
    parted = {label.replace(" ", "") for label in spoken if " " in label}
    return {label for label in spoken if label not in parted}


def _one_of(synonyms: Sequence[str], used: Collection[str]) -> dict[str, str]:
    """Synonyms as the first one that labels use; a narrower word that they use beside another is none."""
    chosen = next((word for word in synonyms if word in used), synonyms[0])
    narrow = {word for word in synonyms if word in used and word in words.NARROWER}
    return {word: word if word in narrow else chosen for word in synonyms}


def _as_written(label: str) -> tuple[str, ...]:
    """The tokens of a text that repeats a label as it is, with its punctuation."""
    return tuple(piece for token in tokenise(label) for piece in words.HYPHEN.split(token))


def _hyphenated(label: str) -> tuple[str, ...]:
    """The same with its hyphens, as in "two-storey house" and "on-ramp", of which "on" is no name."""
    return tuple(words.HYPHEN.sub("-", token) for token in tokenise(label))


def _turned_forms(tokens: tuple[str, ...], name: str) -> Iterable[Phrase]:
    """The forms of a name that is said with "of": "piles of salt", "rows of vines"."""
    first, last = tokens
    for phrase in _name_forms((last,), name):
        for said in {first, pluralise(first)}:
            yield replace(phrase, tokens=(*phrase.tokens, "of", said))


def _name_forms(tokens: tuple[str, ...], name: str) -> Iterable[Phrase]:
    if not tokens:
        return
    last = tokens[-1]
    plurals = {pluralise(last)}
    if last in IRREGULAR:
        plurals.add(last + "s")  # "persons"
    if last.endswith("o"):
        plurals |= {last + "s", last + "es"}  # "buffaloes"
    for ending, plural in (("fe", "ves"), ("f", "ves")):
        if last.endswith(ending) and last not in IRREGULAR:
            plurals.add(last.removesuffix(ending) + plural)
    singulars = {one for one, many in IRREGULAR.items() if many == last and one != last}
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
