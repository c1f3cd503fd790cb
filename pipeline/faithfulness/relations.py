"""Relations that a text claims: a predicate, what stands before it, and what after it."""

from pipeline.faithfulness.claims import Mention, Passage, RelationClaim
from pipeline.faithfulness.grammar import ASSERTED_RELATION, CLASSES, Kind


def relations(passage: Passage) -> list[RelationClaim]:
    """The relations claimed, from left to right."""
    claims: list[RelationClaim] = []
    for match in ASSERTED_RELATION.finditer(passage.kinds):
        claim = _relation(passage, match.start(), claims[-1] if claims else None)
        if claim.subjects and claim.objects:
            claims.append(claim)
    return claims


def _relation(passage: Passage, at: int, last: RelationClaim | None) -> RelationClaim:
    """The relation claimed by item `at`; without subjects or objects where the text names none.

    Args:
        last: the relation claimed before it.
    """
    phrase, sentence = passage.items[at].phrase, passage.sentence_of(at)
    assert phrase is not None
    here = [m for m in passage.mentions if m.sentence == sentence and not m.negated]
    before, after = [m for m in here if m.end <= at], [m for m in here if m.start > at]
    if passage.kinds[at] not in (Kind.RELATION, Kind.ASIDE):
        verb = at > 0 and passage.kinds[at - 1] in CLASSES["COPULA"]
        sure = verb and bool(after) and after[0].start == at + 1
        return RelationClaim(phrase.readings, before[-1:], after, phrase.value, sure)
    objects, sure = _objects(passage, at, after)
    pronouns = [i for i in passage.subjects if i < at and passage.sentence_of(i) == sentence]
    if pronouns and (not before or before[-1].end <= pronouns[-1]):
        subjects = passage.antecedents(pronouns[-1])
        sure = sure and len(subjects) == 1
    elif before:
        subjects = passage.listed(reversed(before))
        if last is not None and before[-1] in last.objects and last.subjects[0].sentence == sentence:
            subjects = last.subjects + subjects  # "... next to the hangar and left of the trees"
    else:
        subjects = [mention for mention in after if mention not in objects][:1]
    return RelationClaim(phrase.readings, subjects, objects, phrase.value, sure)


def _objects(passage: Passage, at: int, after: list[Mention]) -> tuple[list[Mention], bool]:
    """The objects of the relation at item `at`, and whether they are sure."""
    if passage.kinds[at] == Kind.ASIDE:
        return passage.antecedents(at), False
    if passage.kinds[at + 1 : at + 2] == Kind.PRONOUN:
        return passage.antecedents(at + 1), False
    if after and after[0].start == at + 1:
        return passage.listed(after), True
    return [], False
