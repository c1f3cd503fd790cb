"""Relations that a text claims: a predicate, what stands before it, and what after it."""

from collections.abc import Iterator
from dataclasses import replace

from pipeline.faithfulness import words
from pipeline.faithfulness.claims import Claim, Mention, Passage, RelationClaim
from pipeline.faithfulness.grammar import (
    ADVERB,
    ASSERTED_RELATION,
    CLASSES,
    CLAUSE_JOINT,
    DENIED_RELATION,
    FRONTED_RELATION,
    INVERSION,
    NEXT_INVERSION,
    NEXT_SUBJECT,
    OBJECT_REMARK,
    OPENING_POSITION,
    SHARED_OBJECT,
    STRANDED,
    Kind,
)


def relations(passage: Passage) -> list[RelationClaim]:
    """The relations claimed, from left to right, then those denied."""
    claims: list[RelationClaim] = []
    for match in ASSERTED_RELATION.finditer(passage.kinds):
        claim = _relation(passage, match.start(), claims[-1] if claims else None)
        if claim.subjects and claim.objects:
            if place := _place_in_scene(passage, claim):
                claim = replace(claim, sure=False)
                claim.subjects[0].claims.append(Claim("position", place, "possible"))
            claims.append(claim)
    claims += _stranded(passage)
    for match in DENIED_RELATION.finditer(passage.kinds):
        claim = _relation(passage, match.start(), None)
        if claim.subjects and claim.objects and claim.sure:
            claims.append(replace(claim, denied=True, fronted=None))
    return claims


def _stranded(passage: Passage) -> Iterator[RelationClaim]:
    """The relations whose preposition stands apart: "to which a long belt is connected"."""
    for match in STRANDED.finditer(passage.kinds):
        first, last = match.start(), match.end() - 1
        verb = (passage.items[last].text, passage.items[first].text)
        phrase = passage.items[last].phrase if match["predicate"] else passage.vocabulary.phrases.get(verb)
        before = [mention for mention in passage.mentions if mention.end <= first][-1:]
        between = [mention for mention in passage.mentions if first < mention.start and mention.end < last]
        if phrase is not None and phrase.readings and before and between:
            subjects = passage.listed(between)
            yield RelationClaim(phrase.readings, subjects, before, phrase.value, True, last)


def _relation(passage: Passage, at: int, last: RelationClaim | None) -> RelationClaim:
    """The relation claimed by item `at`; without subjects or objects where the text names none.

    Args:
        last: the relation claimed before it.
    """
    kinds, phrase, sentence = passage.kinds, passage.items[at].phrase, passage.sentence_of(at)
    assert phrase is not None
    here = [m for m in passage.mentions if m.sentence == sentence and not m.negated]
    here = [m for m in here if kinds[m.start - 1] == Kind.RELATION or not passage.is_scene(m)]
    before, after = [m for m in here if m.end <= at], [m for m in here if m.start > at]
    if kinds[at] not in CLASSES["RELATING"]:
        verb = at > 0 and kinds[at - 1] in CLASSES["COPULA"]
        sure = verb and bool(after) and after[0].start == at + 1
        return RelationClaim(phrase.readings, before[-1:], after, phrase.value, sure, at)
    if kinds[at + 1 : at + 2] == Kind.RELATIVE:  # "a pond around which there are trees"
        sure = phrase.value not in words.LOOSE_PREDICATES
        said = RelationClaim(phrase.readings, passage.listed(after), before[-1:], phrase.value, sure, at)
        return replace(said, fronted=(at, at + 2)) if said.subjects else said
    end = _end_of_object(passage, at, after)
    sure = end > at + 1 and kinds[at + 1] != Kind.PRONOUN and phrase.value not in words.LOOSE_PREDICATES
    following = [mention for mention in after if mention.start >= end]
    if following and (front := _front(passage, at, end, opens=not before)) is not None:
        objects = _objects(passage, at, after, [], last)
        subjects = _one_clause(passage, passage.listed(following))
        end = _end_of_remark(passage, end)
        return RelationClaim(phrase.readings, subjects, objects, phrase.value, sure, at, fronted=(front, end))
    listed = _one_clause(passage, passage.listed(reversed(before)))
    # "cars on the roads and bushes beside them": the roads are no subjects
    nearest = [m for m in listed if last is None or m is listed[0] or m not in last.objects]
    objects = _objects(passage, at, after, nearest, last)
    pronouns = [i for i in passage.subjects if i < at and passage.sentence_of(i) == sentence]
    if pronouns and (not before or before[-1].end <= pronouns[-1]):
        subjects = passage.antecedents(pronouns[-1])
        sure = sure and len(subjects) == 1
    elif before:
        subjects = nearest
        if located := passage.located(before[-1]):  # "boats in the water, left of the dock"
            subjects, sure = subjects + located, False
        if last is not None and before[-1] in last.objects and last.subjects[0].sentence == sentence:
            subjects = last.subjects + subjects  # "... next to the hangar and left of the trees"
    else:
        scene = at > 0 and kinds[at - 1] == Kind.PICTURE  # "The park contains a pond"
        subjects = [mention for mention in after if mention not in objects and not scene][:1]
    return RelationClaim(phrase.readings, subjects, objects, phrase.value, sure, at)


def _place_in_scene(passage: Passage, claim: RelationClaim) -> str | None:
    """The place that a relation may mean: "on the left of the park", which is the scene here."""
    text, object_ = passage.items[claim.at].text, claim.objects[0]
    if not (claim.names_one and object_.definite and object_.name in passage.vocabulary.scenes):
        return None
    return words.cell_of(text.split()) if text.startswith(words.PLACING) else None


def _end_of_object(passage: Passage, at: int, after: list[Mention]) -> int:
    """The item after the first object of the relation at item `at`; without an object, after the relation."""
    if passage.kinds[at + 1 : at + 2] == Kind.PRONOUN:
        return at + 2
    return after[0].end if after and after[0].start == at + 1 else at + 1


def _objects(
    passage: Passage,
    at: int,
    after: list[Mention],
    subjects: list[Mention],
    last: RelationClaim | None = None,
) -> list[Mention]:
    """The objects of the relation at item `at`; a pronoun is none of its subjects.

    A pronoun may mean what the last one did: "Above it is a chimney. Below it are two cars."
    """
    if passage.kinds[at] == Kind.ASIDE or passage.kinds[at + 1 : at + 2] == Kind.PRONOUN:
        pronoun = at if passage.kinds[at] == Kind.ASIDE else at + 1
        meant = passage.antecedents(pronoun, besides=subjects)
        same = last.objects if last is not None and not last.names_one else []
        same = [*same, *_opening(passage, pronoun)]
        return [*meant, *(m for m in same if m not in meant and m not in subjects)]
    if after and after[0].start == at + 1:
        listed = _one_clause(passage, passage.listed(after))
        ends = (i for i, mention in enumerate(listed) if i and NEXT_SUBJECT.match(passage.kinds, mention.end))
        return listed[: next(ends, None)]
    if shared := SHARED_OBJECT.match(passage.kinds, at):
        return _objects(passage, shared.end() - 1, [m for m in after if m.start >= shared.end()], subjects)
    if subjects and ADVERB.match(passage.kinds, at):
        first = subjects[-1]  # the mentions before a relation come in the opposite order
        return passage.located(first, (Kind.WITH, Kind.LINK))
    return []


def _opening(passage: Passage, pronoun: int) -> list[Mention]:
    """What the same pronoun means at the beginning of its sentence: "It is large and has two cars on it"."""
    text, sentence = passage.items[pronoun].text, passage.sentence_of(pronoun)
    opening = [i for i in passage.subjects if i < pronoun and passage.items[i].text == text]
    same = [i for i in opening if passage.sentence_of(i) == sentence]
    return passage.antecedents(same[0]) if same else []


def _end_of_remark(passage: Passage, end: int) -> int:
    """The item after what is said of a relation's object: "Below the hangar at the left are two cars"."""
    remark = OBJECT_REMARK.match(passage.kinds, end)
    return remark.end() if remark else end


def _one_clause(passage: Passage, listed: list[Mention]) -> list[Mention]:
    """Without the second of two that ", and" parts: "near the hangar, and a car"."""
    if len(listed) == 2:
        first, second = sorted(listed, key=lambda mention: mention.end)
        if CLAUSE_JOINT.fullmatch(passage.kinds, first.end, second.start):
            return listed[:1]
    return listed


def _front(passage: Passage, at: int, end: int, opens: bool) -> int | None:
    """Where a relation's clause begins, if it is said before its subject; else None.

    As in "Below the hangar are two cars", and "and, at the left, below it, a car".

    Args:
        end: the item after its object.
        opens: whether no object is named before it in its sentence.
    """
    kinds, since = passage.kinds, passage.kinds.rfind(Kind.STOP, 0, at) + 1
    if INVERSION.match(kinds, _end_of_remark(passage, end)) is None:
        return None
    if opens:
        position = OPENING_POSITION.search(kinds, since, at)
        pronoun = any(since <= subject < at for subject in passage.subjects)
        return None if pronoun else position.start("position") if position else at
    if kinds[at - 1] == Kind.COMMA and NEXT_INVERSION.match(kinds, end):
        return at
    joint = FRONTED_RELATION.search(kinds, since, at)
    return joint.start("front") if joint else None
