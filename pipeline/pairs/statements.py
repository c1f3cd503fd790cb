"""A modification as statements: of each clause, what it speaks of, what is there before, and what comes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from pipeline.faithfulness import words
from pipeline.faithfulness.grammar import CLASSES, Kind
from pipeline.faithfulness.items import Item, items_of
from pipeline.faithfulness.vocabulary import Vocabulary

Frame = Literal["remove", "add", "change", "want"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_REMOVE = _words(
    "remove removed removing delete deleted erase erased drop dropped eliminate eliminated discard omit "
    "omitted without no minus gone away rid disappear disappears vanish vanished missing absent exclude "
    "excluded out clear cleared hide lose"
)
_ADD = _words(
    "add added adding insert inserted introduce introduced include included plus extra additional also "
    "too well addition another more appear appears"
)
_WEAK_ADD = _words("with there put place build show have contain containing featuring")
_CHANGE = _words(
    "made change changed move moved make turn turned paint painted repaint recolour recolor resize shift "
    "relocate replace replaced swap substitute increase increased reduce reduced decrease decreased set "
    "enlarge shrink let keep"
)
_WANT = _words(
    "would want like wish prefer should need needs must same but now only identical similar instead except"
)
_OLD = _words("instead rather unlike not previously formerly currently was were longer replacing originally")
_NEW = _words("to into be become becomes becoming being by as")
_EXCHANGE = _words("replace replaced swap substitute")
_KNOWN = (
    _REMOVE | _ADD | _WEAK_ADD | _CHANGE | _WANT | _OLD | _NEW | words.PICTURE_WORDS
    | _words(
        "i i'd we you me my please can could may get take exactly just everything else way version one "
        "ones however than of position colour color size number amount count located location still do "
        "does don't did so if that is it its them they their those these this here from place stead "
        "going want look looking looks see seeing where who which such done had has having i'm rest "
        "other others stay unchanged ideally kindly and or then while on in at for s left-hand modified "
        "different difference's only will won't isn't aren't go goes belong belongs what whose compared "
        "anymore any leave remain remaining original"
    )
)  # fmt: skip
_POINTING = _words("this that the same current given")  # before "one": the picture
_IDLE = _words("number count amount position colour color size")


@dataclass
class Values:
    """What a part of a clause states."""

    names: list[str] = field(default_factory=list)
    numbers: set[int] = field(default_factory=set)
    vague: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    positions: set[str] = field(default_factory=set)

    @property
    def empty(self) -> bool:
        return not (self.names or self.numbers or self.vague or self.attributes or self.positions)


@dataclass
class Statement:
    """A clause.

    Attributes:
        frame: what its own words, or those of the clause before it, ask for; None for a plain sentence.
        own: whether these words are its own.
        strong: whether it says that something is added, and not only how it should be.
        base, old, new: what it speaks of, what it calls past, and what it calls wanted.
        relation: (readings of a predicate, names before it, names after it).
        negative: whether it denies.
        exchange: whether it says that something is replaced.
        late: whether it says after the name that this is gone, or added.
    """

    text: str = ""
    frame: Frame | None = None
    own: bool = False
    strong: bool = False
    base: Values = field(default_factory=Values)
    old: Values = field(default_factory=Values)
    new: Values = field(default_factory=Values)
    relation: tuple[tuple[tuple[str, bool], ...], list[str], list[str]] | None = None
    negative: bool = False
    late: bool = False
    exchange: bool = False
    unknown: list[str] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return self.relation is None and self.base.empty and self.old.empty and self.new.empty


def statements_of(text: str, vocabulary: Vocabulary) -> list[Statement]:
    """Read a modification. What it does not understand stands in `unknown` of its clause."""
    clauses = _clauses(items_of(text, vocabulary))
    read = [part for clause in clauses for part in _parts(_read(clause))]
    last: Statement | None = None
    for statement in read:
        if statement.frame is None and last is not None:
            statement.frame, statement.strong = last.frame, last.strong
        if statement.frame is not None:
            last = statement
    for statement, after in zip(read[-2::-1], read[:0:-1], strict=True):
        open_ended = not statement.own or statement.frame == "want"
        if after.late and open_ended and statement.new.empty and statement.old.empty:
            statement.frame, statement.late = after.frame, not statement.own  # "the car and the bus are gone"
    return read


def _parts(statement: Statement) -> list[Statement]:
    """Two statements of a clause that puts one object in another's place: "a pond instead of the car"."""
    base, old, new = statement.base, statement.old, statement.new
    gone, come = (old, base) if old.names and base.names else (base, new)
    alone = all(len(values.names) == 1 for values in (gone, come)) and gone.names != come.names
    if (
        not alone
        or (gone is base and not statement.exchange)
        or statement.relation is not None
        or statement.frame == "remove"
    ):
        return [statement]
    if come is base:
        _merge(come, new)
    removed = Statement(statement.text, "remove", own=True, base=gone, unknown=statement.unknown)
    return [removed, Statement(statement.text, "add", own=True, base=come)]


def _clauses(items: Sequence[Item]) -> Iterator[list[Item]]:
    clause: list[Item] = []
    for at, item in enumerate(items):
        if item.kind in (Kind.STOP, Kind.SEMICOLON, Kind.COLON) or (
            item.kind in (Kind.COMMA, Kind.AND) and item.text != "but" and _splits(items, at)
        ):
            if clause:
                yield clause
            clause = []
        elif item.kind not in (Kind.COMMA, Kind.AND) or item.text in ("but", "plus"):
            clause.append(item)
    if clause:
        yield clause


def _splits(items: Sequence[Item], at: int) -> bool:
    """Whether a new clause begins after a comma or an "and": one that names an object of its own."""
    before, rest = items[at - 1 : at], list(items[at + 1 :])
    while rest and rest[0].kind in (Kind.COMMA, Kind.AND):
        rest = rest[1:]
    if not rest or (rest[0].text in _OLD and not (rest[0].text == "not" and _has_name(rest[1:3]))):
        return False
    if before and before[0].kind == Kind.ATTRIBUTE and rest[0].kind == Kind.ATTRIBUTE:
        return False
    opens = rest[0].text in ("keep", "leave") or "same" in [item.text for item in rest[:2]]
    return opens or _has_name(_up_to_separator(rest))


def _up_to_separator(items: Sequence[Item]) -> list[Item]:
    end = next(
        (i for i, item in enumerate(items) if item.kind in CLASSES["SEPARATOR"] + Kind.STOP), len(items)
    )
    return list(items[:end])


def _has_name(items: Sequence[Item]) -> bool:
    return any(item.kind == Kind.NAME for item in items)


def _read(items: Sequence[Item]) -> Statement:
    out = Statement(" ".join(item.text for item in items))
    part, exchange, names = out.base, False, []
    for at, item in enumerate(items):
        word, following = item.text, items[at + 1].text if at + 1 < len(items) else ""
        previous = items[at - 1].text if at else ""
        if item.kind == Kind.NAME:
            part.names.append(item.value)
            names.append(item.value)
            if out.relation is not None:
                out.relation[2].append(item.value)
        elif item.kind == Kind.NUMBER and item.number is not None:
            if word != "one" or previous not in _POINTING:
                part.numbers.add(item.number)
        elif item.kind == Kind.VAGUE:
            part.vague.add(item.value)
        elif item.kind == Kind.ATTRIBUTE:
            after_name = part is out.base and out.base.names and following_is_no_name(items, at)
            (out.new if after_name else part).attributes.add(item.value)
        elif item.kind in CLASSES["POSITION"]:
            first = word.split()[0]
            target = (
                out.old
                if first == "from"
                else out.new
                if first in ("to", "into", "toward", "towards")
                else part
            )
            target.positions.add(item.value)
        elif item.kind == Kind.RELATION and item.phrase is not None and not (word == "by" and exchange):
            out.relation = (item.phrase.readings, list(names), [])
        elif item.kind == Kind.COLLECTIVE:
            if item.number is not None:
                part.numbers.add(item.number)
            elif word not in _IDLE and item.value:
                part.vague.add(item.value)
        elif word in ("a", "an"):
            if at + 1 == len(items) or items[at + 1].kind not in (Kind.VAGUE, Kind.COLLECTIVE):
                part.numbers.add(1)
        else:
            part, exchange = _cue(out, part, exchange, word, following, items, at)
    out.exchange = exchange
    said = {item.text for item in items}
    if "longer" in said and said & {"instead", "rather"}:
        out.unknown.append("longer")  # "red cars instead of no longer red"
    for item, after in pairwise(items):  # "keep the cars and remove everything else"
        if item.text in _REMOVE and after.text in ("everything", "others"):
            out.unknown.append(after.text)
    if out.base.names == [] and out.frame != "change":
        _merge(out.base, out.new)
    return out


def following_is_no_name(items: Sequence[Item], at: int) -> bool:
    """Whether an attribute is said of what is before it: no name follows it in its noun phrase."""
    for item in items[at + 1 :]:
        if item.kind == Kind.NAME:
            return False
        if item.kind != Kind.ATTRIBUTE:
            return True
    return True


def _cue(
    out: Statement, part: Values, exchange: bool, word: str, following: str, items: Sequence[Item], at: int
) -> tuple[Values, bool]:
    """What a small word or an unknown one changes: the frame of the clause, or the part that follows."""
    kind = items[at].kind
    if kind == Kind.WORD and word not in _KNOWN:
        out.unknown.append(word)
    if word == "longer" or kind in (Kind.NOT, Kind.NO, Kind.NEITHER):
        out.negative = True
    if word == "instead" and following != "of":
        return part, exchange
    if word == "no" and following == "longer":
        return part, exchange
    if word == "place" and following == "of":
        return out.old, exchange
    if word in _EXCHANGE:
        exchange = True
    if word in ("with", "by", "for") and exchange:
        return out.new, exchange
    if word == "from":
        return out.old, exchange
    if word == "longer" or (word in _OLD and (out.frame != "change" or not part.empty)):
        if out.frame is None and word != "not":
            _frame(out, "want")
        return out.old, exchange
    if word in _REMOVE:
        _frame(out, "remove")
    elif word in _ADD:
        soft = word in ("also", "too", "well")  # of anything: "and remove the car, too"
        if out.frame in ("want", "add") or (out.frame != "remove" and not soft):
            _frame(out, "add")
            out.strong = not soft
    elif word in _CHANGE:
        _frame(out, "change")
    elif word in _WEAK_ADD and out.frame in (None, "want"):
        _frame_weakly(out, word, following, first=at == 0)
    elif word in _WANT and out.frame is None:
        _frame(out, "want")
    if word in _NEW and not part.empty and part is not out.old:
        return out.new, exchange
    if word in _NEW and part is out.old and word in ("to", "into"):
        return out.new, exchange
    return part, exchange


def _frame_weakly(out: Statement, word: str, following: str, first: bool) -> None:
    """What a word says that both asks and describes: "an aerial view with" describes, "with" alone asks."""
    if word not in ("with", "there"):
        _frame(out, out.frame or "add")
    elif out.frame or (first if word == "with" else following in ("should", "must")):
        _frame(out, "want")


def _frame(out: Statement, frame: Frame) -> None:
    out.late = out.late or (not out.own and frame in ("remove", "add") and bool(out.base.names))
    out.frame, out.own = frame, True


def _merge(into: Values, other: Values) -> None:
    into.names += other.names
    into.numbers |= other.numbers
    into.vague |= other.vague
    into.attributes |= other.attributes
    into.positions |= other.positions
    other.names = []
    for values in (other.numbers, other.vague, other.attributes, other.positions):
        values.clear()
