"""The thoughts that a model writes before its answer, by the marks that models put around them."""

import re

_KINDS = r"(?:think|thinking|thoughts?|reason|reasoning|reflection|analysis|scratchpad)(?:_\w{1,10})?"
_TAG = rf"(?:\w{{1,20}}[:|])?{_KINDS}\s{{0,9}}>"
_MARKS = (  # how thoughts begin, how they end; every repetition is bounded, so a search takes linear time
    (rf"<{_TAG}", rf"</{_TAG}"),  # DeepSeek, Qwen, with a prefix Seed and MiniMax
    (r"\[think\]", r"\[/think\]"),  # Magistral
    ("\u25c1think\u25b7", "\u25c1/think\u25b7"),  # Kimi
    (r"<\|open\|>think<\|sep\|>", r"<\|close\|>think<\|sep\|>"),
    (r"<\|start_thinking\|>", r"<\|end_thinking\|>"),  # Command
    (r"<\|plamo:begin_think:plamo\|>", r"<\|plamo:end_think:plamo\|>"),
    (  # gpt-oss
        r"<\|channel\|>\s{0,9}(?:analysis|commentary)\b[^<]{0,80}<\|message\|>",
        r"<\|channel\|>\s{0,9}final\b[^<]{0,80}(?:<\|constrain\|>[^<]{0,80})?<\|message\|>",
    ),
    (r"\A\s{0,9}(?-i:analysis(?=[A-Z]))", "assistantfinal"),  # the same without its special tokens
    (r"<\|channel>", r"<channel\|>"),  # Gemma
    (r"here(?:['\u2019]s| is) my thought process:", r"here(?:['\u2019]s| is) my response:"),  # Granite
)
_START, _END = (re.compile("|".join(marks), re.IGNORECASE) for marks in zip(*_MARKS, strict=True))
_TAIL = 80  # characters at the end of a prompt in which it may open the thoughts
_ALOUD = re.compile(  # how thoughts without a mark begin; no caption does
    r"\s{0,9}(?:(?:okay|ok|alright|all right|hmm|so|well|first|now)\b[,.]* ){0,3}"
    r"(?:the user|i (?:need|have|should|must|will)|i['\u2019]ll|we (?:need|have|must|should|are given)"
    r"|let['\u2019]s|let me|let us)\b",
    re.IGNORECASE,
)


def without_thoughts(answer: str) -> tuple[str, bool]:
    """What a model says beside its thoughts, and whether thoughts begin in the answer that never end.

    Thoughts may begin in the prompt, so all that stands before an end is a thought. Where nothing follows the
    last end, the text is what stands before the first thought.
    """
    end = max((match.end() for match in _END.finditer(answer)), default=0)
    start = _START.search(answer, end)
    if start is not None:
        return answer[end : start.start()], True
    if end and not answer[end:].strip() and (first := _START.search(answer)):
        return without_thoughts(answer[: first.start()])[0], False
    return answer[end:], False


def ends_thoughts(answer: str) -> bool:
    """Whether thoughts end in an answer, wherever they began."""
    return _END.search(answer) is not None


def thinks_aloud(answer: str) -> bool:
    """Whether an answer begins as thoughts do that no mark opens."""
    return _ALOUD.match(answer) is not None


def opened_thoughts(prompt: str) -> str:
    """The mark with which a prompt ends, where it opens the thoughts of the answer; else nothing."""
    tail = prompt[-_TAIL:]
    last = max(_START.finditer(tail), key=lambda match: match.start(), default=None)
    return tail[last.start() :] if last is not None and not tail[last.end() :].strip() else ""
