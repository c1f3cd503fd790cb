"""Whether a modification in words asks for what it should: every change, the right way round, nothing else.

The text is read by rule, clause by clause. A wording that the reader does not know counts as wrong, so the
judgement errs on the strict side: such a text is repaired, written by rule or dropped.
"""

from dataclasses import dataclass

from pipeline.faithfulness.check import Check
from pipeline.faithfulness.matching import vague_class
from pipeline.faithfulness.vocabulary import Vocabulary
from pipeline.graph.scene_graph import Group, GroupGraph, count_of
from pipeline.pairs.difference import Change
from pipeline.pairs.statements import Statement, Values, statements_of
from pipeline.pairs.wording import difference_line


@dataclass(frozen=True)
class ModificationChecker:
    """Checks the texts of one query; in the captions' machinery it stands where a caption's checker does.

    Args:
        reference: the graph that is changed: a name that two of its groups have needs more words.
    """

    changes: tuple[Change, ...]
    reference: GroupGraph
    vocabulary: Vocabulary

    @property
    def checkable(self) -> bool:
        """Whether every label can be looked for in a text."""
        groups = [group for change in self.changes for group in (change.before, change.after) if group]
        groups += [group for change in self.changes for group in change.ends or ()]
        names = [self.vocabulary.name_of(group.name) for group in groups]
        labels = self.vocabulary.meanings([attribute for group in groups for attribute in group.attributes])
        predicates = [self.vocabulary.predicate_of(c.relation[1]) for c in self.changes if c.relation]
        return None not in names and None not in labels and None not in predicates

    def check(self, text: str, graph: GroupGraph | None = None) -> Check:
        """Compare a text with the changes; `missed` and `invented` name changes and clauses."""
        statements = statements_of(text, self.vocabulary)
        left = [statement for statement in statements if not statement.empty]
        missed = []
        for change in self.changes:
            if not self._take(change, left):
                missed.append(difference_line(change))
        invented = [statement.text for statement in left]
        invented += [word for statement in statements for word in statement.unknown]
        if len(text.split()) > 60 * len(self.changes):
            invented.append("too many words")
        return Check(len(self.changes), tuple(missed), tuple(dict.fromkeys(invented)))

    def _take(self, change: Change, left: list[Statement]) -> bool:
        """Take out of `left` the clause, or the two clauses, that say a change; False where none does."""
        for statement in left:
            if self._says(statement, change):
                left.remove(statement)
                return True
        if change.before is None or change.after is None:
            return False
        parts = [Change("remove", before=change.before), Change("add", after=change.after)]
        said = [next((one for one in left if self._says(one, part)), None) for part in parts]
        if None in said or said[0] is said[1]:
            return False
        left[:] = [statement for statement in left if not any(statement is one for one in said)]
        return True

    def _says(self, statement: Statement, change: Change) -> bool:
        if change.relation is not None:
            return self._says_relation(statement, change)
        if statement.relation is not None or statement.frame is None:
            return False
        if change.before is None or change.after is None:
            return self._says_group(statement, change)
        return self._says_change(statement, change.before, change.after)

    def _says_group(self, statement: Statement, change: Change) -> bool:
        """A group that is added or removed is named with all that is known of it."""
        group = change.after or change.before
        assert group is not None
        wanted = ("remove",) if change.after is None else ("add", "want")
        if statement.frame not in wanted or not statement.old.empty:
            return False
        if statement.negative and change.after is not None:
            return False
        values = _joined(statement.base, statement.new)
        return (
            values.names == [self.vocabulary.name_of(group.name)]
            and self._states_quantity(values, group, removed=change.after is None)
            and values.attributes == self._attributes(group)
            and values.positions == ({group.position} if group.position else set())
        )

    def _says_change(self, statement: Statement, before: Group, after: Group) -> bool:
        """A group that is changed: each new value as the new one, each old value, if any, as the old one."""
        if statement.own and statement.frame == "remove":
            return False
        base, old, new = statement.base, statement.old, statement.new
        name = self.vocabulary.name_of(before.name)
        if set(base.names + old.names + new.names) != {name}:
            return False
        changing = statement.frame == "change"
        if not self._counted(base, old, new, before, after, changing, statement.strong):
            return False
        if not _turned(
            _set(before.position),
            _set(after.position),
            base.positions,
            old.positions,
            new.positions,
            changing,
        ):
            return False
        if not _turned(self._attributes(before), self._attributes(after), base.attributes, old.attributes,
                       new.attributes, changing):  # fmt: skip
            return False
        if sum(self.vocabulary.name_of(group.name) == name for group in self.reference.groups) <= 1:
            return True
        said = _joined(_joined(base, old), new)
        kept = self._attributes(before) & self._attributes(after)
        place = _set(before.position) & _set(after.position)
        return kept <= said.attributes and place <= said.positions

    def _counted(
        self,
        base: Values,
        old: Values,
        new: Values,
        before: Group,
        after: Group,
        changing: bool,
        strong: bool,
    ) -> bool:
        if before.quantity == after.quantity:
            return all(_fits(values, before) for values in (base, old, new))
        if strong and new.numbers == old.numbers == set() and new.vague == old.vague == set():
            return False  # "add three cars" does not make three of two
        if (new.numbers or new.vague) and (base.numbers or base.vague) and not changing:
            return False  # "I would like two cars from two to three"
        stated_new = new if new.numbers or new.vague else base
        if stated_new is base and changing and not (old.numbers or old.vague):
            return False
        stated_old = [values for values in (base, old, new) if values is not stated_new]
        if not (stated_new.numbers or stated_new.vague) and after.quantity:
            return False
        return _fits(stated_new, after) and all(_fits(values, before) for values in stated_old)

    def _states_quantity(self, values: Values, group: Group, removed: bool) -> bool:
        if not _fits(values, group):
            return False
        if group.quantity in ("", "1") and (removed or group.quantity == ""):
            return True  # "the hangar"
        return bool(values.numbers or values.vague)

    def _attributes(self, group: Group) -> set[str]:
        return {meaning for meaning in self.vocabulary.meanings(group.attributes) if meaning is not None}

    def _says_relation(self, statement: Statement, change: Change) -> bool:
        assert change.relation is not None and change.ends is not None
        if statement.relation is None:
            return False
        negative = statement.negative or statement.frame == "remove"
        if negative is change.added or (statement.frame is None):
            return False
        readings, before, after = statement.relation
        predicate = self.vocabulary.predicate_of(change.relation[1])
        subject, object_ = (self.vocabulary.name_of(group.name) for group in change.ends)
        said = _joined(_joined(statement.base, statement.old), statement.new)
        attributes = set().union(*(self._attributes(group) for group in change.ends))
        places = set().union(*(_set(group.position) for group in change.ends))
        if not (said.attributes <= attributes and said.positions <= places):
            return False
        if any(all(number != count_of(group.quantity) for group in change.ends) for number in said.numbers):
            return False
        ends = {False: ([subject], [object_]), True: ([object_], [subject])}
        return any(reading == predicate and (before, after) == ends[turned] for reading, turned in readings)


def _turned(
    before: set[str], after: set[str], base: set[str], old: set[str], new: set[str], changing: bool
) -> bool:
    """Whether the values of an aspect are said the right way round.

    Args:
        before, after: the values that are there, and that should be.
        base, old, new: those that a clause states of what it speaks of, as past, and as wanted.
    """
    gone, come = before - after, after - before
    if not gone and not come:
        return base | old | new <= before
    wanted = new or (base if old or not changing else set())
    past = old | (base if new else set())
    if not come:  # a value that goes without another in its place must be named as the old one
        return gone <= old and not new & gone and base | old <= before and new <= after
    if not wanted:
        return False
    return come <= wanted and not wanted & gone and wanted <= after and past <= before


def _fits(values: Values, group: Group) -> bool:
    """Whether every quantity that is stated is the group's."""
    count = count_of(group.quantity)
    if count is not None:
        return values.numbers <= {count} and not values.vague
    wanted = vague_class(group.quantity) if group.quantity else None
    return values.numbers <= (set() if group.quantity else {1}) and values.vague <= (
        {wanted} if wanted else set()
    )


def _joined(one: Values, other: Values) -> Values:
    return Values(
        one.names + other.names, one.numbers | other.numbers, one.vague | other.vague,
        one.attributes | other.attributes, one.positions | other.positions,
    )  # fmt: skip


def _set(value: str | None) -> set[str]:
    return {value} if value else set()
