"""Relations that a text claims: a predicate, what stands before it, and what after it."""

from itertools import pairwise

from pipeline.faithfulness import words
from pipeline.faithfulness.claims import Mention, Passage, RelationClaim
from pipeline.faithfulness.items import COPULA, NEGATION, PREDICATE, PRONOUN, Item


def relations(passage: Passage) -> list[RelationClaim]:
    claims: list[RelationClaim] = []
    for at, item in enumerate(passage.items):
        if item.kind == PREDICATE:
            claim = _relation(passage, at, item, claims)
            if claim is not None and claim.subjects and claim.objects:
                claims.append(claim)
    return claims


def _relation(passage: Passage, at: int, item: Item, claims: list[RelationClaim]) -> RelationClaim | None:
    phrase, sentence = item.phrase, passage.sentence_of[at]
    here = [m for m in passage.mentions if m.sentence == sentence and not m.negated]
    before = [m for m in here if m.end <= at]
    after = [m for m in here if m.start > at]
    pronouns = [
        i for i in range(at - 1, -1, -1) if passage.sentence_of[i] == sentence and passage.is_pronoun(i)
    ]
    if phrase.value in words.WEAK_PREDICATES:
        said = at > 0 and passage.items[at - 1].kind == COPULA and after[:1] and after[0].start == at + 1
        return RelationClaim(phrase.readings, before[-1:], after, phrase.value, sure=bool(said))
    objects, sure = _objects(passage, at, after)
    denied = any(passage.items[i].kind == NEGATION for i in range(max(0, at - 2), at))
    if denied:
        return None
    if not objects:
        return None
    if pronouns and (not before or before[-1].end <= pronouns[0]):
        subjects = passage.antecedents(pronouns[0])
        return RelationClaim(phrase.readings, subjects, objects, phrase.value, sure and len(subjects) == 1)
    if not before:
        subjects = [m for m in after if m not in objects][:1]
        return RelationClaim(phrase.readings, subjects, objects, phrase.value, sure)
    subjects = [before[-1]]
    last = claims[-1] if claims else None
    if last is not None and before[-1] in last.objects and last.subjects[0].sentence == sentence:
        subjects = [*last.subjects, *subjects]  # "... next to the hangar and left of the trees"
    for one in range(len(before) - 2, -1, -1):
        if not passage.joined(before[one], before[one + 1]):
            break
        subjects.append(before[one])
    return RelationClaim(phrase.readings, subjects, objects, phrase.value, sure)


def _objects(passage: Passage, at: int, after: list[Mention]) -> tuple[list[Mention], bool]:
    following = passage.items[at + 1] if at + 1 < len(passage.items) else None
    if following is not None and following.kind == PRONOUN:
        return passage.antecedents(at + 1), False
    if not after or after[0].start != at + 1:
        return [], False
    objects = [after[0]]
    for one, two in pairwise(after):
        if not passage.joined(one, two):
            break
        objects.append(two)
    return objects, True
