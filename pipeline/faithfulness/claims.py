"""What a reader of captions finds: mentions of objects, claims of relations, and the text they stand in."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from pipeline.faithfulness import words
from pipeline.faithfulness.grammar import LIST, SUBJECT, Kind
from pipeline.faithfulness.items import Item, items_of
from pipeline.faithfulness.vocabulary import Vocabulary

Aspect = Literal["attribute", "position"]
Force = Literal["stated", "possible", "denied"]

FARTHEST = 4  # sentences between a pronoun and what it refers to


class Claim(NamedTuple):
    """An attribute or a position that a text says of an object, or denies.

    A claim that is only possible can confirm a fact, but contradicts none.
    """

    aspect: Aspect
    value: str
    force: Force = "stated"


@dataclass(slots=True, eq=False)
class Mention:
    """A noun phrase that names an object, from item `start` to `end`, and what the text claims of it."""

    name: str
    start: int
    end: int  # the item after its noun
    sentence: int
    plural: bool | None = None
    determiner: str | None = None  # "" where none is needed: a row of cars
    number: int | None = None
    vague: str | None = None
    part: int | None = None  # "four of the tanks"
    negation: str | None = None  # in the noun phrase
    negated: bool = False  # the text says that there is none
    distributes: bool = False  # the text denies what it says of it: "neither car is red"
    short: bool = False
    foreign: bool = False  # no graph has its name
    first: bool = True  # no earlier mention has its name
    telegraphic: bool = False  # its text does without articles: "ship at left"
    claims: list[Claim] = field(default_factory=list)

    @property
    def definite(self) -> bool:
        return self.determiner in words.DEFINITE

    @property
    def many(self) -> bool | None:
        """Whether it speaks of several objects; None where the phrase does not say."""
        if self.number is not None:
            return self.number != 1
        return True if self.vague else self.plural

    @property
    def attributes(self) -> list[str]:
        """Those stated."""
        return [value for aspect, value, force in self.claims if aspect == "attribute" and force == "stated"]

    @property
    def positions(self) -> list[str]:
        """Those stated."""
        return [value for aspect, value, force in self.claims if aspect == "position" and force == "stated"]


@dataclass(slots=True)
class RelationClaim:
    """One of `readings` relates some `subjects` to some `objects`; only a `sure` claim can be invented.

    Attributes:
        at: the item of its predicate.
        fronted: from and to which item it stands before its subject: "Below the hangar" are two cars.
    """

    readings: tuple[tuple[str, bool], ...]
    subjects: list[Mention]
    objects: list[Mention]
    text: str
    sure: bool
    at: int
    fronted: tuple[int, int] | None = None
    denied: bool = False

    @property
    def names_one(self) -> bool:
        """Whether the predicate is followed by its object's name, and not by a pronoun."""
        return self.objects[0].start == self.at + 1


class Place(NamedTuple):
    """A position that is of one of several mentions: "the cars are below the hangar, at the left"."""

    position: str
    mentions: list[Mention]


@dataclass(slots=True)
class Reading:
    """What a text says.

    Attributes:
        places: positions of which it does not say whose they are.
        faults: what it does that no caption does.
        repeated: sentences that it says more than once, and how often.
        strange: nouns of objects that no graph has.
    """

    mentions: list[Mention]
    relations: list[RelationClaim]
    places: list[Place] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    repeated: dict[str, int] = field(default_factory=dict)
    strange: list[str] = field(default_factory=list)


class Passage:
    """The items of a text, and the mentions found so far, in their order.

    Attributes:
        kinds: the kind of every item, one character each.
        subjects: the items that open a clause as its subject: pronouns, and verbs apart from it.
        resumed: by such a verb, its subject.
        scenes: names of objects by which the text calls its scene: "a tennis court scene".
        narrated: what it says of objects that were there before an edit.
    """

    def __init__(self, text: str, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.items: list[Item] = items_of(text, vocabulary)
        self.kinds = "".join([item.kind for item in self.items])
        self.subjects = [match.start() for match in SUBJECT.finditer(self.kinds)]
        self.resumed: dict[int, Mention] = {}
        self.mentions: list[Mention] = []
        self.places: list[Place] = []
        self.scenes: list[str] = []
        self.narrated: list[str] = []

    def pass_over(self, start: int, end: int) -> None:
        """Let no later rule read the items from `start` up to `end`."""
        self.kinds = self.kinds[:start] + Kind.FUNCTION * (end - start) + self.kinds[end:]

    def sentence_from(self, at: int) -> list[str]:
        """The items from `at` to the end of its sentence, as texts."""
        end = self.kinds.find(Kind.STOP, at)
        return [item.text for item in self.items[at : None if end < 0 else end]]

    def sentence_of(self, at: int) -> int:
        """The number of an item's sentence."""
        return self.kinds.count(Kind.STOP, 0, at)

    def listed(self, mentions: Iterable[Mention], joint: re.Pattern[str] = LIST) -> list[Mention]:
        """The first of these mentions and those that form a list with it: "the car and the hangar".

        Args:
            mentions: in the order of the text, or in the opposite order.
            joint: the rule of what stands between them.
        """
        members: list[Mention] = []
        for mention in mentions:
            if members:
                before, after = sorted((members[-1], mention), key=lambda member: member.end)
                if not joint.fullmatch(self.kinds, before.end, after.start):
                    break
            members.append(mention)
        return members

    def located(self, mention: Mention, joints: Collection[Kind] = (Kind.PREPOSITION,)) -> list[Mention]:
        """What is said to be in or on a mention: the boat of "a boat in the water".

        Args:
            joints: what stands before it.
        """
        if self.kinds[max(mention.start - 1, 0)] not in joints:
            return []
        before = [other for other in self.mentions if other.end < mention.start][-1:]
        return [other for other in before if other.sentence == mention.sentence]

    def is_scene(self, mention: Mention) -> bool:
        """Whether a mention names the scene that things are in: "in this park"."""
        before = self.items[max(mention.start - 1, 0)].text
        inside = before == "of" or before in words.PREPOSITIONS
        return inside and mention.definite and mention.name in self.vocabulary.scenes

    def antecedents(self, at: int, besides: Collection[Mention] = ()) -> list[Mention]:
        """What "it" or "they" may refer to: mentions of fitting number in this sentence or the latest before.

        "The former" and "the latter" are the last two mentions, those that fit the verb if there are two.

        Args:
            besides: mentions that it does not refer to.
        """
        if at in self.resumed:
            return [self.resumed[at]]
        text = self.items[at].text
        several = words.PRONOUNS.get(text, "its" not in text.split())  # "to its left"
        earlier = [m for m in self.mentions if m.end <= at and not m.negated and m.many in (several, None)]
        earlier = [mention for mention in earlier if mention not in besides]
        if text in words.PRONOUN_PHRASES:
            named = [m for m in self.mentions if m.end <= at and not m.negated and not self.is_scene(m)]
            others = [mention for mention in named if mention not in besides]
            named = others if len(others) > 1 else named
            verb = self.kinds[at + 1 : at + 2]
            fitting = [m for m in named if m.many in (verb == Kind.ARE, None)]
            pair = (fitting if verb in (Kind.IS, Kind.ARE) and len(fitting) > 1 else named)[-2:]
            return pair[:1] if text == "the former" else pair[1:]
        latest = self.sentence_of(at)
        for sentence in range(latest, latest - FARTHEST - 1, -1):
            if fitting := [mention for mention in earlier if mention.sentence == sentence]:
                return fitting
        return []
