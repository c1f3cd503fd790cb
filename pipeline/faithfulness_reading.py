"""What a caption claims: mentions with number, attributes and place, and relations between them."""

from dataclasses import dataclass, field
from itertools import pairwise

from pipeline import faithfulness_words as words
from pipeline.faithfulness_items import (
    AND,
    ATTRIBUTE,
    COLLECTIVE,
    COMMA,
    COPULA,
    DETERMINER,
    FUNCTION,
    NAME,
    NEGATION,
    NUMBER,
    OF,
    PLACE,
    PREDICATE,
    PREPOSITION,
    PRONOUN,
    RELATIVE,
    STOP,
    VAGUE,
    VERB,
    WORD,
    Item,
    items_of,
)
from pipeline.faithfulness_lexicon import PLURAL, SINGULAR, Vocabulary


@dataclass(slots=True)
class Mention:
    """A noun phrase that names an object. What is only possible satisfies a fact and contradicts none."""

    name: str
    start: int  # items from start to end, the noun's included
    end: int
    sentence: int
    plural: bool | None
    determiner: str | None = None
    number: int | None = None
    vague: str | None = None
    negated: bool = False
    short: bool = False
    first: bool = True  # of its name in the text
    attributes: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    possible_attributes: list[str] = field(default_factory=list)
    possible_places: list[str] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)  # attributes and places said not to hold

    @property
    def definite(self) -> bool:
        return self.determiner in words.DEFINITE

    @property
    def many(self) -> bool | None:
        """Whether it speaks of several objects; None where the phrase does not say."""
        if self.number is not None:
            return self.number != 1
        return True if self.vague else self.plural


@dataclass(slots=True)
class RelationClaim:
    """Some of `subjects` stand in one of `readings` to some of `objects`. An unsure claim invents nothing."""

    readings: tuple[tuple[str, bool], ...]
    subjects: list[Mention]
    objects: list[Mention]
    text: str
    sure: bool


@dataclass(slots=True)
class Reading:
    mentions: list[Mention]
    relations: list[RelationClaim]


def read(text: str, vocabulary: Vocabulary) -> Reading:
    """Read a caption. Needs no graph: what it claims is compared afterwards."""
    return _Reader(items_of(text, vocabulary), vocabulary).reading()


class _Reader:
    def __init__(self, items: list[Item], vocabulary: Vocabulary) -> None:
        self.items = items
        self.vocabulary = vocabulary
        self.sentence_of: list[int] = []
        sentence = 0
        for item in items:
            self.sentence_of.append(sentence)
            sentence += item.kind == STOP
        self.mentions: list[Mention] = []

    def reading(self) -> Reading:
        for at, item in enumerate(self.items):
            if item.kind == NAME:
                if not self._is_scene(at):
                    self.mentions.append(self._mention(at, item.phrase.value, at + 1))
            elif item.kind in (NUMBER, WORD, ATTRIBUTE):
                self._elided(at, item)
        self.mentions.sort(key=lambda mention: mention.end)
        for number, mention in enumerate(self.mentions):
            following = self.mentions[number + 1] if number + 1 < len(self.mentions) else None
            self._read_before(mention, number)
            self._read_after(mention, following, number)
        named: set[str] = set()
        for mention in self.mentions:
            mention.first = mention.name not in named
            named.add(mention.name)
        self._read_pronouns()
        return Reading(self.mentions, self._relations())

    # ---- noun phrases

    def _is_scene(self, at: int) -> bool:
        """ "A tennis court scene": the name says what kind of place it is."""
        after = self.items[at + 1] if at + 1 < len(self.items) else None
        named = self.items[at].text
        return after is not None and after.text == "scene" and named in self.vocabulary.scenes

    def _mention(self, at: int, name: str, end: int) -> Mention:
        items = self.items
        item = items[at]
        plural: bool | None = None
        short = False
        if item.kind == NAME:
            plural = {SINGULAR: False, PLURAL: True}.get(item.phrase.number)
            short = item.phrase.short
        mention = Mention(name, at, end, self.sentence_of[at], plural, short=short)
        left = at - 1
        separators: list[tuple[int, int]] = []  # where, and how many attributes had been read there
        skipped = 0
        while left >= 0:
            before = items[left]
            if before.kind == ATTRIBUTE:
                mention.attributes.append(before.phrase.value)
            elif before.kind == PLACE and before.bare and left == mention.start - 1 and mention.start == at:
                mention.places.append(before.cell)
            elif before.kind in (AND, COMMA) and left > 0:
                joins = items[left + 1].kind == ATTRIBUTE and items[left - 1].kind == ATTRIBUTE
                if not joins or before.text in (";", "(", ")", ":"):
                    break
                separators.append((left, len(mention.attributes)))
            elif before.kind == NUMBER and mention.number is None and mention.vague is None:
                mention.number = int(str(before.value))
            elif before.kind == VAGUE and mention.number is None and mention.vague is None:
                mention.vague = str(before.value)
            elif before.kind == DETERMINER:
                if mention.determiner is None:
                    mention.determiner = before.text
                if before.text == "both" and mention.number is None:
                    mention.number = 2
                mention.start = left
                if before.text not in ("the", "these", "those"):
                    break
                left -= 1
                continue
            elif before.kind == OF and left > 0:
                left = self._before_of(mention, left)
                break
            elif before.kind == NEGATION and before.text in (
                "no",
                "without",
                "neither",
                "nor",
                "lacking",
                "lacks",
            ):
                mention.negated = True
                mention.start = left
                break
            elif before.kind in (WORD, VERB) and skipped < 2 and self._leads_to_quantity(left):
                skipped += 1
            else:
                break
            if before.kind not in (AND, COMMA):
                mention.start = left
            left -= 1
        if mention.determiner is None and left >= 0 and items[left].kind == NEGATION:
            mention.negated = items[left].text in ("no", "without")
        self._give_back(mention, separators, left)
        mention.attributes.reverse()
        if mention.number is None and mention.vague is None and mention.determiner in ("a", "an", "another"):
            mention.number = None if mention.plural else 1
        self._deny(mention)
        return mention

    def _leads_to_quantity(self, left: int) -> bool:
        """Whether an unknown word is an adjective: something that opens a noun phrase stands before it."""
        for at in range(left - 1, max(left - 3, -1), -1):
            if self.items[at].kind in (NUMBER, VAGUE, DETERMINER, ATTRIBUTE):
                return True
            if self.items[at].kind not in (WORD, VERB):
                return False
        return False

    def _before_of(self, mention: Mention, left: int) -> int:
        """ "a row of cars", "both of the cars", "one of the cars"."""
        items, at = self.items, left - 1
        if items[at].kind == COLLECTIVE:
            said = items[at].value
            while at > 0 and items[at - 1].kind in (DETERMINER, NUMBER, ATTRIBUTE, WORD, VAGUE):
                at -= 1
                if items[at].kind == DETERMINER:
                    break
            if mention.number is None and mention.vague is None:
                if isinstance(said, int):
                    mention.number = said
                elif said == "some" and any(i.text in ("large", "great", "big") for i in items[at:left]):
                    mention.vague = "many"
                elif isinstance(said, str):
                    mention.vague = said
            if mention.determiner is None:
                mention.determiner = "" if said is None else None
            mention.start = at
        elif items[at].kind == DETERMINER and items[at].text in ("both", "all", "each"):
            mention.determiner, mention.start = items[at].text, at
        elif items[at].kind in (NUMBER, VAGUE) and mention.determiner == "the":
            mention.number = None  # "one of the cars" says nothing of how many there are
            mention.start = at
        return at

    def _give_back(self, mention: Mention, separators: list[tuple[int, int]], left: int) -> None:
        """ "The car is white and green trees ...": what stands before the "and" belongs to the car."""
        if not separators or left < 0 or mention.determiner or mention.number is not None or mention.vague:
            return
        if self.items[left].kind in (COPULA, RELATIVE, NAME, NEGATION):
            where, kept = separators[0]
            del mention.attributes[kept:]
            mention.start = where + 1

    def _deny(self, mention: Mention) -> None:
        """ "There are no cars", "is free of cars", "there is not a single car"."""
        at = mention.start - 1
        before = self.items[at] if at >= 0 else None
        if before is None:
            return
        earlier = self.items[at - 1] if at > 0 else before
        if before.kind == NEGATION:
            mention.negated = True
        elif before.kind == OF:
            mention.negated = earlier.text in ("free", "empty", "devoid", "clear")
        elif before.text == "any":
            mention.negated = earlier.kind == NEGATION
        elif before.text in ("or", ",") and self.mentions and self.mentions[-1].end == at:
            mention.negated = self.mentions[-1].negated and not mention.determiner

    def _elided(self, at: int, item: Item) -> None:
        """ "two red cars and one blue", "the white ones": a noun phrase that leaves its noun out."""
        if not self.mentions:
            return
        name, items = self.mentions[-1].name, self.items
        if item.kind == WORD and item.text in ("ones", "others"):
            self.mentions.append(self._mention(at, name, at + 1))
            return
        if item.kind != NUMBER or self._part_of_phrase(at):
            return
        end = at + 1
        while end < len(items) and items[end].kind == ATTRIBUTE:
            end += 1
        closes = end == len(items) or items[end].kind in (STOP, COMMA, AND, PLACE, COPULA)
        if closes and (end > at + 1 or (end < len(items) and items[end].kind == PLACE)):
            mention = Mention(name, at, end, self.sentence_of[at], None)
            mention.number = int(str(item.value))
            mention.attributes = [i.phrase.value for i in items[at + 1 : end]]
            self.mentions.append(mention)

    def _part_of_phrase(self, at: int) -> bool:
        """Whether a noun follows this number, attributes and unknown words between."""
        for item in self.items[at + 1 :]:
            if item.kind == NAME:
                return True
            if item.kind == WORD:
                return True
            if item.kind not in (ATTRIBUTE, NUMBER) and not (item.kind == COMMA and item.text == ","):
                return False
            if item.kind == COMMA:
                return False
        return False

    # ---- what follows a noun

    def _read_after(self, mention: Mention, following: Mention | None, number: int) -> None:
        """Attributes and places said of a mention after its noun, up to the next noun phrase or sentence."""
        items = self.items
        end = len(items)
        if following is not None:
            end = max(mention.end, following.start)
        at, copula, plural_copula, denied, foreign = mention.end, False, False, False, False
        while at < end and items[at].kind != STOP:
            item = items[at]
            after = items[at + 1] if at + 1 < len(items) else None
            if item.kind == COPULA:
                copula = True
                plural_copula = plural_copula or item.text in words.PLURAL_COPULAS
            elif item.kind == NEGATION:
                denied = True
            elif item.kind == ATTRIBUTE:
                if self._predicative(at, end, following) and not foreign:
                    self._claim(mention, "attributes", item.phrase.value, denied)
                    if plural_copula:
                        self._share(number, "possible_attributes", item.phrase.value)
            elif item.kind == PLACE:
                if item.of and self._of_object(at):
                    return
                if self._fronts(at, end, mention, following):
                    return
                if item.bare and at > mention.end and not self._bare_place_ok(at):
                    pass
                elif foreign:
                    mention.possible_places.append(item.cell)
                else:
                    self._claim(mention, "places", item.cell, denied)
                    if plural_copula:
                        self._share(number, "possible_places", item.cell)
                denied = False
            elif item.kind == PREDICATE and item.phrase.value not in words.WEAK_PREDICATES:
                if after is not None and (at + 1 >= end or after.kind in (PRONOUN, DETERMINER)):
                    return
            elif item.kind == PRONOUN and copula:
                return
            elif item.kind in (DETERMINER, NUMBER, VAGUE) and item.text not in ("both", "all", "each"):
                foreign = True  # a noun phrase about something that no graph names
            at += 1

    def _bare_place_ok(self, at: int) -> bool:
        before = self.items[at - 1]
        return before.kind in (COMMA, COPULA, VERB, AND) or before.kind == NAME

    def _predicative(self, at: int, end: int, following: Mention | None) -> bool:
        """Whether an attribute after a noun speaks of it, and not of an unknown noun that comes next."""
        after = self.items[at + 1] if at + 1 < len(self.items) else None
        if after is None or at + 1 >= end:
            return True
        if after.kind == WORD and self.items[at - 1].kind != COPULA:
            return False
        return after.kind not in (NAME, NUMBER)

    def _claim(self, mention: Mention, what: str, value: str, denied: bool) -> None:
        (mention.denied if denied else getattr(mention, what)).append(value)

    def _share(self, number: int, what: str, value: str) -> None:
        """ "The car and the hangar are white": the nouns before, joined to this one, may be meant too."""
        for earlier in range(number - 1, -1, -1):
            one, two = self.mentions[earlier], self.mentions[earlier + 1]
            between = self.items[one.end : two.start]
            if (
                one.sentence != two.sentence
                or not between
                or any(i.kind not in (AND, COMMA) for i in between)
            ):
                return
            getattr(one, what).append(value)

    def _of_object(self, at: int) -> bool:
        """ "the left of the hangar" is a relation; "the center of the airport" is a place."""
        for item in self.items[at + 1 : at + 4]:
            if item.kind == NAME:
                return item.text not in self.vocabulary.scenes
            if item.kind not in (OF, DETERMINER):
                return False
        return False

    def _fronts(self, at: int, end: int, mention: Mention, following: Mention | None) -> bool:
        """Whether a place belongs to the noun phrase after it: "... and, at the bottom, one pond"."""
        if following is None or following.sentence != mention.sentence:
            return False
        before = at - 1
        while before >= mention.end and self.items[before].kind == COMMA and self.items[before].text == ",":
            before -= 1
        opened = before >= mention.end and (
            self.items[before].kind == AND
            or self.items[before].text in ("with", "while", "whereas", "where")
            or self.items[before].text == ";"
        )
        inverted = at + 1 < following.start and self.items[at + 1].kind == COPULA
        if not opened and before == at - 2 and inverted:
            opened = True  # ", on the right is a blue car"
        if not opened and before == at - 2 and before >= mention.end - 1 and mention.places:
            opened = self._leads_straight(at + 1, following.start, commas=False)
        return opened and self._leads_straight(at + 1, following.start)

    def _leads_straight(self, at: int, end: int, commas: bool = True) -> bool:
        """Whether only little words stand between a place and the noun phrase that it fronts."""
        kinds = {COPULA, VERB, FUNCTION, RELATIVE, PREPOSITION, OF, DETERMINER, WORD}
        for item in self.items[at:end]:
            if item.kind == COMMA and commas and item.text in (",", ":"):
                continue
            if item.kind not in kinds:
                return False
        return True

    # ---- places that stand first, and pronouns

    def _read_before(self, mention: Mention, number: int) -> None:
        """ "At the top left there are two cars": the place goes to the noun phrase after it."""
        previous = self.mentions[number - 1] if number else None
        low = previous.end if previous is not None and previous.sentence == mention.sentence else 0
        for at in range(mention.start - 1, low - 1, -1):
            if self.items[at].kind == STOP:
                return
            if self.items[at].kind == PLACE:
                self._front(at, number)
                return

    def _front(self, at: int, number: int) -> None:
        mention = self.mentions[number]
        first = number == 0 or self.mentions[number - 1].sentence != mention.sentence
        cell = self.items[at].cell
        if self.items[at].of and self._of_object(at):
            return
        if first:
            fronted = self._leads_straight(at + 1, mention.start)
        else:
            fronted = self._fronts(at, mention.start, self.mentions[number - 1], mention)
        if not fronted or mention.places:
            return
        mention.places.append(cell)
        for later in range(number + 1, len(self.mentions)):
            one, two = self.mentions[later - 1], self.mentions[later]
            between = self.items[one.end : two.start]
            if two.sentence != mention.sentence or any(i.kind not in (AND, COMMA) for i in between):
                return
            if not two.places:
                two.possible_places.append(cell)

    def _antecedents(self, at: int) -> list[Mention]:
        """Whom "it" or "they" may mean: mentions of the right number in this sentence or the one before."""
        several = words.PRONOUNS.get(self.items[at].text, True)
        earlier = [m for m in self.mentions if m.end <= at and not m.negated]
        for sentence in (self.sentence_of[at], self.sentence_of[at] - 1, self.sentence_of[at] - 2):
            fitting = [m for m in earlier if m.sentence == sentence and m.many in (several, None)]
            if fitting:
                return fitting
        return []

    def _read_pronouns(self) -> None:
        """ "They are red": said of the mention that fits, for sure if only one does."""
        for at in range(len(self.items)):
            if not self._is_pronoun(at):
                continue
            meant = self._antecedents(at)
            following = next((m for m in self.mentions if m.start > at), None)
            shadow = Mention("", at, at + 1, self.sentence_of[at], None)
            self._read_after(shadow, following, 0)
            only = len({id(m) for m in meant}) == 1
            for mention in meant:
                if only:
                    mention.attributes += shadow.attributes
                    mention.places += shadow.places
                    mention.denied += shadow.denied
                else:
                    mention.possible_attributes += shadow.attributes
                    mention.possible_places += shadow.places

    # ---- relations

    def _relations(self) -> list[RelationClaim]:
        claims: list[RelationClaim] = []
        for at, item in enumerate(self.items):
            if item.kind == PREDICATE:
                claim = self._relation(at, item, claims)
                if claim is not None and claim.subjects and claim.objects:
                    claims.append(claim)
        return claims

    def _relation(self, at: int, item: Item, claims: list[RelationClaim]) -> RelationClaim | None:
        phrase, sentence = item.phrase, self.sentence_of[at]
        here = [m for m in self.mentions if m.sentence == sentence and not m.negated]
        before = [m for m in here if m.end <= at]
        after = [m for m in here if m.start > at]
        pronouns = [
            i for i in range(at - 1, -1, -1) if self.sentence_of[i] == sentence and self._is_pronoun(i)
        ]
        if phrase.value in words.WEAK_PREDICATES:
            said = at > 0 and self.items[at - 1].kind == COPULA and after[:1] and after[0].start == at + 1
            return RelationClaim(phrase.readings, before[-1:], after, phrase.value, sure=bool(said))
        objects, sure = self._objects(at, after)
        denied = any(self.items[i].kind == NEGATION for i in range(max(0, at - 2), at))
        if denied:
            return None
        if not objects:
            return None
        if pronouns and (not before or before[-1].end <= pronouns[0]):
            subjects = self._antecedents(pronouns[0])
            return RelationClaim(
                phrase.readings, subjects, objects, phrase.value, sure and len(subjects) == 1
            )
        if not before:
            subjects = [m for m in after if m not in objects][:1]
            return RelationClaim(phrase.readings, subjects, objects, phrase.value, sure)
        subjects = [before[-1]]
        last = claims[-1] if claims else None
        if last is not None and before[-1] in last.objects and last.subjects[0].sentence == sentence:
            subjects = [*last.subjects, *subjects]  # "... next to the hangar and left of the trees"
        for one in range(len(before) - 2, -1, -1):
            between = self.items[before[one].end : before[one + 1].start]
            if not between or any(i.kind not in (AND, COMMA) for i in between):
                break
            subjects.append(before[one])
        return RelationClaim(phrase.readings, subjects, objects, phrase.value, sure)

    def _is_pronoun(self, at: int) -> bool:
        starts = at == 0 or self.items[at - 1].kind in (STOP, AND, COMMA)
        if self.items[at].kind == PRONOUN or not starts:
            return starts
        follows = self.items[at + 1].kind if at + 1 < len(self.items) else STOP
        return self.items[at].text in ("both", "these", "those") and follows == COPULA

    def _objects(self, at: int, after: list[Mention]) -> tuple[list[Mention], bool]:
        following = self.items[at + 1] if at + 1 < len(self.items) else None
        if following is not None and following.kind == PRONOUN:
            return self._antecedents(at + 1), False
        if not after or after[0].start != at + 1:
            return [], False
        objects = [after[0]]
        for one, two in pairwise(after):
            between = self.items[one.end : two.start]
            if not between or any(i.kind not in (AND, COMMA) for i in between):
                break
            objects.append(two)
        return objects, True
