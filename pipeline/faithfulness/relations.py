"""Relations that a text claims: a predicate, what stands before it, and what after it."""

from pipeline.faithfulness import words
from pipeline.faithfulness.claims import Mention, Passage, RelationClaim
from pipeline.faithfulness.grammar import (
    ASSERTED_RELATION,
    CLASSES,
    CLAUSE_JOINT,
    FRONTED_RELATION,
    INVERSION,
    Kind,
)


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
    kinds, phrase, sentence = passage.kinds, passage.items[at].phrase, passage.sentence_of(at)
    assert phrase is not None
    here = [m for m in passage.mentions if m.sentence == sentence and not m.negated]
    before, after = [m for m in here if m.end <= at], [m for m in here if m.start > at]
    if kinds[at] not in CLASSES["RELATING"]:
        verb = at > 0 and kinds[at - 1] in CLASSES["COPULA"]
        sure = verb and bool(after) and after[0].start == at + 1
        return RelationClaim(phrase.readings, before[-1:], after, phrase.value, sure)
    end = _end_of_object(passage, at, after)
    sure = end > at + 1 and kinds[at + 1] != Kind.PRONOUN and phrase.value not in words.LOOSE_PREDICATES
    following = [mention for mention in after if mention.start >= end]
    if following and _is_fronted(passage, at, end, opens=not before):
        objects, subjects = _objects(passage, at, after, []), passage.listed(following)
        while kinds[end] in CLASSES["POSITION"]:
            end += 1  # of the object: "Below the hangar at the left are two cars"
        return RelationClaim(phrase.readings, subjects, objects, phrase.value, sure, fronted=(at, end))
    objects = _objects(passage, at, after, before)
    pronouns = [i for i in passage.subjects if i < at and passage.sentence_of(i) == sentence]
    if pronouns and (not before or before[-1].end <= pronouns[-1]):
        subjects = passage.antecedents(pronouns[-1])
        sure = sure and len(subjects) == 1
    elif before:
        subjects = _one_clause(passage, passage.listed(reversed(before)))
        if last is not None and before[-1] in last.objects and last.subjects[0].sentence == sentence:
            subjects = last.subjects + subjects  # "... next to the hangar and left of the trees"
    else:
        subjects = [mention for mention in after if mention not in objects][:1]
    return RelationClaim(phrase.readings, subjects, objects, phrase.value, sure)


def _end_of_object(passage: Passage, at: int, after: list[Mention]) -> int:
    """The item after the first object of the relation at item `at`, or after the relation if none is there."""
    if passage.kinds[at + 1 : at + 2] == Kind.PRONOUN:
        return at + 2
    return after[0].end if after and after[0].start == at + 1 else at + 1


def _objects(passage: Passage, at: int, after: list[Mention], before: list[Mention]) -> list[Mention]:
    """The objects of the relation at item `at`; a pronoun is none of its subjects."""
    if passage.kinds[at] == Kind.ASIDE or passage.kinds[at + 1 : at + 2] == Kind.PRONOUN:
        pronoun = at if passage.kinds[at] == Kind.ASIDE else at + 1
        return passage.antecedents(pronoun, besides=_one_clause(passage, passage.listed(reversed(before))))
    if after and after[0].start == at + 1:
        return _one_clause(passage, passage.listed(after))
    return []


def _one_clause(passage: Passage, listed: list[Mention]) -> list[Mention]:
    """Without the second of two that ", and" parts: "near the hangar, and a car"."""
    if len(listed) == 2:
        first, second = sorted(listed, key=lambda mention: mention.end)
        if CLAUSE_JOINT.fullmatch(passage.kinds, first.end, second.start):
            return listed[:1]
    return listed


def _is_fronted(passage: Passage, at: int, end: int, opens: bool) -> bool:
    """Whether a relation is said before its subject: "Below the hangar are two cars", "to its left, a car".

    Args:
        end: the item after its object.
        opens: whether no object is named before it in its sentence.
    """
    if opens:
        return not any(passage.sentence_of(i) == passage.sentence_of(at) and i < at for i in passage.subjects)
    match = FRONTED_RELATION.search(passage.kinds, 0, at)
    return match is not None and INVERSION.match(passage.kinds, end) is not None
