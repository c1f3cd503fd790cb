"""What a reader of captions finds: mentions of objects, claims of relations, and the text they stand in."""

from dataclasses import dataclass, field

from pipeline.faithfulness import words
from pipeline.faithfulness.items import AND, COMMA, COPULA, PRONOUN, STOP, Item
from pipeline.faithfulness.vocabulary import Vocabulary


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


class Passage:
    """The items of a text, the sentence of each, and the mentions found so far, in their order."""

    def __init__(self, items: list[Item], vocabulary: Vocabulary) -> None:
        self.items = items
        self.vocabulary = vocabulary
        self.sentence_of: list[int] = []
        sentence = 0
        for item in items:
            self.sentence_of.append(sentence)
            sentence += item.kind == STOP
        self.mentions: list[Mention] = []

    def joined(self, one: Mention, two: Mention) -> bool:
        """Whether two noun phrases in a row form a list: "the car and the hangar"."""
        between = self.items[one.end : two.start]
        listed = between and all(item.kind in (AND, COMMA) for item in between)
        return bool(listed) and one.sentence == two.sentence

    def is_pronoun(self, at: int) -> bool:
        """Whether a pronoun opens a clause here."""
        starts = at == 0 or self.items[at - 1].kind in (STOP, AND, COMMA)
        if self.items[at].kind == PRONOUN or not starts:
            return starts and self.items[at].kind == PRONOUN
        follows = self.items[at + 1].kind if at + 1 < len(self.items) else STOP
        return self.items[at].text in ("both", "these", "those") and follows == COPULA

    def antecedents(self, at: int) -> list[Mention]:
        """Whom "it" or "they" may mean: mentions of the right number in this sentence or the one before."""
        several = words.PRONOUNS.get(self.items[at].text, True)
        earlier = [m for m in self.mentions if m.end <= at and not m.negated]
        for sentence in (self.sentence_of[at], self.sentence_of[at] - 1, self.sentence_of[at] - 2):
            fitting = [m for m in earlier if m.sentence == sentence and m.many in (several, None)]
            if fitting:
                return fitting
        return []
