"""How a text speaks: what no caption does, whatever its graph. It asks, refuses, guesses, tells of an edit,
repeats itself, echoes the prompt, or ends in the middle of a sentence.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from pipeline.faithfulness import words
from pipeline.faithfulness.claims import Passage
from pipeline.faithfulness.grammar import CLASSES, PHRASE_START, UNFINISHED, Kind
from pipeline.faithfulness.items import Item

LONGEST_LOOP = 24  # items of a phrase that is said again at once
SHORTEST_SENTENCE = 3  # items of a sentence that a text must not say again


def faults(passage: Passage) -> Iterator[str]:
    """What the text does that no caption does, in words; a word that a graph's label has is no fault."""
    for at, item in enumerate(passage.items):
        starts = at == 0 or passage.kinds[at - 1] == Kind.STOP
        if item.text == "?" or (starts and item.text in words.QUESTIONS):
            yield "a question"
        elif item.phrase is None and (fault := _fault_of_word(passage, at)):
            yield f"{fault} '{item.text}'"
    if phrase := _loop(passage):
        yield f"repetition '{phrase}'"
    if UNFINISHED.search(passage.kinds):
        yield "an unfinished sentence"


def repeated_sentences(passage: Passage) -> dict[str, int]:
    """Sentences that stand more than once in a text, alone or as the beginning of another, and how often."""
    texts = [item.text for item in passage.items]
    ends = [at for at, kind in enumerate(passage.kinds) if kind == Kind.STOP]
    sentences = (
        texts[start:end]
        for start, end in zip([0, *[end + 1 for end in ends]], [*ends, len(texts)], strict=True)
    )
    said = [" ".join(sentence) for sentence in sentences if len(sentence) >= SHORTEST_SENTENCE]
    counts = Counter({one: sum(f"{other} ".startswith(f"{one} ") for other in said) for one in said})
    return {sentence: count for sentence, count in counts.items() if count > 1}


def _fault_of_word(passage: Passage, at: int) -> str | None:
    """What a word of no label says that no caption says."""
    items = passage.items
    text, kind = items[at].text, items[at].kind
    before = items[at - 1].text if at else ""
    after = [item.text for item in items[at + 1 : at + 3]]
    opens = at == 0 or items[at - 1].kind in (Kind.STOP, Kind.COLON, Kind.COMMA)
    if text in words.PROMPT_LABELS and after[:1] == [":"] and (opens or text not in words.PICTURE_WORDS):
        return "echo of"
    if text in words.TASK or (opens and _is_order(passage, at)):
        return "instruction"
    if text in words.SPEAKER and not (text in words.SEERS and "see" in after):
        return None if text in words.CANNOT and after == ["be", "seen"] else "speaker"
    if text in words.HEDGES or after in words.HEDGES_AFTER.get(text, ()):
        return "guess"
    if kind == Kind.OR and not _denied(passage, at):
        return "guess"
    if text == "longer" and before in ("no", "any"):
        return "edit"
    if text in words.EDITS and before != "in":
        goes_on = words.EDITS_BEFORE.get(text)
        if goes_on is None or "".join(after[:1]) in goes_on:
            return "edit"
    if text == "been" and before in words.HAVING and _is_event(items[at + 1 : at + 2]):
        return "edit"
    return None


def _is_event(following: Sequence[Item]) -> bool:
    """Whether something happened, as in "has been uncoupled", and not "has been photographed"."""
    return any(item.kind == Kind.WORD and item.text not in words.NO_ATTRIBUTES for item in following)


def _is_order(passage: Passage, at: int) -> bool:
    """Whether an imperative and its object begin here: "Place a car", but not "Set in a park"."""
    text, after = passage.items[at].text, [item.text for item in passage.items[at + 1 : at + 2]]
    if text not in words.IMPERATIVES or words.NO_IMPERATIVES.get(text) == after:
        return False
    return passage.kinds[at + 1 : at + 2] in tuple(
        CLASSES["BEGINNING"] + Kind.PICTURE + Kind.PRONOUN + Kind.COLON
    )


def _denied(passage: Passage, at: int) -> bool:
    """Whether a denial stands before an item of its sentence: "no cars or boats"."""
    start = passage.kinds.rfind(Kind.STOP, 0, at) + 1
    return any(
        item.kind in CLASSES["NEGATION"] or item.text in words.LACKING | words.ABSENCE
        for item in passage.items[start:at]
    )


def _loop(passage: Passage) -> str | None:
    """A phrase that is said again at once, if there is one: "two houses two houses", "car, car, car".

    It begins where a phrase may: "one vertical car at the top, one car at the top, one" is none.
    """
    texts, kinds = [item.text for item in passage.items], passage.kinds
    for size in range(1, min(LONGEST_LOOP, len(texts) // 2) + 1):
        run, wanted = 0, size if size > 1 else 2
        for at in range(len(texts) - size):
            run = run + 1 if texts[at] == texts[at + size] and kinds[at] != Kind.STOP else 0
            start = at - wanted + 1
            if run < wanted or not PHRASE_START.match(kinds, start):
                continue
            if any(kind in CLASSES["CONTENT"] for kind in kinds[start : at + 1]):
                return " ".join(texts[at - size + 1 : at + 1])
    return None
