"""What models say around a text: labels, prefaces and remarks to the reader, as tables of phrases."""

import re


def _any(*phrases: str) -> str:
    return "(?:" + "|".join(phrases) + ")"


def _compiled(*parts: str) -> re.Pattern[str]:
    """The pattern of these parts; an apostrophe is either of its signs."""
    return re.compile("".join(parts).replace("'", "['\u2019]"), re.IGNORECASE)


# What models call the text: words that a text about a picture hardly begins a list with, and all words.
_CAPTION = _any(
    "captions?", "descriptions?", "answer", "response", "output", "interpretation", "rewrite", "json"
)
_TEXT = _any(
    _CAPTION, "text", "sentences?", "result", "version", "summary", "statement", "modification", "request",
    "command", "instruction", "wish", "option",
)  # fmt: skip
_LATER = _any("final", "modified", "updated", "revised", "corrected", "new")
_KIND = _any(
    _LATER, "plain", "short", "simple", "concise", "brief", "single", "one", "improved", "rewritten",
    "generated", "suggested", "possible", "pseudo", "image", "aerial", "target", "scene", "graph", "query",
    "edited", "faithful", "alt", "satellite", "remote", "sensing", "drone", "overhead",
    "(?:one|two|three|single)-sentence",
)  # fmt: skip

# "Caption:", "Final caption (plain):", "Caption - ", or such words alone on a line
LABEL = _compiled(
    rf"(?:{_KIND} ){{0,5}}",
    _any(
        rf"{_any(_TEXT, 'assistant')}(?: #?\d{{1,2}})?(?: \([^()\n]{{1,40}}\))? ?(?::\s*|$)",
        rf"{_CAPTION} [-\u2014] ",
    ),
)
LABEL_OF_FINAL = _compiled(rf"(?:{_KIND} ){{0,4}}{_LATER}\b")

INTERJECTION = _compiled(
    _any("sure", "sure thing", "certainly", "of course", "absolutely", "okay", "ok", "alright", "all right",
         "understood", "got it", "no problem", "gladly", "yes") + r"\b ?[!.,:]+\s*|",
    _any("great", "perfect", "happy to help", "i'd be happy to(?: help)?", "here you go") + r" ?[!.:]+\s*",
)  # fmt: skip

# "Based on the graph, here is a plain caption of the image:", "The caption is:", 'The caption would be "'
_GROUNDS = _any("based on", "given", "according to", "from", "after", "for", "with", "using", "as requested")
_HERE = _any("here(?:'s| is| are)", "below is", "this is", "the following is", "i would write")
_JOINING = _any("of", "for", "that", "with", "in", "at", "on", "by", "near", "and", "or", "to")
_NOUN = rf"(?:(?!{_JOINING} )[\w\x27\u2019-]+ ){{0,6}}"  # what stands before it: no place, no second thing
_ABOUT = _any(
    "of", "for", "that", "which", "with", "in", "based", "as", "to", "describing", "using", "after",
    "according", "following", "given", "from", "where", "stating", "you", "reflecting", "incorporating",
    "about", "without", "when", "once", "considering", "generated", "derived",
)  # fmt: skip
_MORE = rf"(?: {_ABOUT}\b[^:.\n]{{0,200}})?"  # what else is said of the text
_IS = _any(" is", " are", " reads?", " would be", " could be", " might be", " can be", " should be")
PREFACE = _compiled(
    rf"(?:{_GROUNDS}\b[^:.\n]{{0,150}}, ?)?",
    _any(
        rf"{_HERE} {_NOUN}{_TEXT}{_MORE} ?:",
        rf"{_HERE} {_NOUN}{_CAPTION}{_MORE}[.!]?\n",
        rf"{_any('the', 'an?', 'my', 'your', 'one')} {_NOUN}{_CAPTION}{_MORE}{_IS}?(?: ?:| ?(?=[\"\u201c]))",
    ),
    r"\s*",
)
# The same in other languages: "Hier ist die Bildunterschrift:", "以下是图像描述："
_CAPTION_ABROAD = _any(
    "bildunterschrift", "bildbeschreibung", "beschreibung", "antwort", "légende", "réponse",
    "descripción", "leyenda", "respuesta", "descrição", "legenda", "resposta", "didascalia", "descrizione",
    "risposta", "описание", "подпись", "ответ", "标题", "描述", "说明", "答案", "キャプション", "説明",
    "캡션", "설명", "الوصف", "التعليق",
)  # fmt: skip
PREFACE_ABROAD = _compiled(rf"[^:：.!?\n]{{0,60}}{_CAPTION_ABROAD}[^:：.!?\n]{{0,60}}[:：]\s*")

ANNOUNCEMENT = _compiled(  # the same later on, where the words are surely of the caption, or end a line
    r"(?:\A|(?<=[.!?,]) )",
    _any(
        rf"{_HERE} {_NOUN}{_TEXT}{_MORE} ?:$",
        rf"{_HERE} {_NOUN}{_CAPTION}{_MORE} ?:\s*",
        rf"(?:so |thus,? |therefore,? )?(?:the|my) (?:{_KIND} ){{0,4}}{_CAPTION}{_MORE}{_IS} ?:\s*",
    ),
)

# Sentences to the reader, or about the text
_SPEAKS = _any(
    "is", "was", "has", "only", "should", "does", "now", "accurately",
    _any("state", "include", "describe", "capture", "reflect", "mention", "follow", "cover", "use", "keep",
         "list", "provide", "adhere", "contain", "give", "incorporate", "combine", "ensure", "maintain",
         "stay", "present", "convey", "summari[sz]e", "add", "remove", "avoid", "focuse", "meet") + "s",
)  # fmt: skip
_DONE = _any(
    "made", "kept", "removed", "added", "changed", "included", "used", "written", "tried", "ensured",
    "followed", "described",
)  # fmt: skip
_REMARK = _any(
    r"(?:please )?let me know\b",
    r"(?:please )?feel free\b",
    r"(?:i )?hope (?:this|that|it)\b",
    r"is there anything\b",
    r"would you like (?:me|to|any)\b",
    r"if you(?:'d like| need| have| want| require| prefer| would like)\b",
    r"thank you\b",
    r"thanks for\b",
    r"does this (?:help|work|meet|capture|look|sound)\b",
    rf"\(?(?:this|the above|my) {_TEXT} {_SPEAKS}\b",
    rf"the {_CAPTION} (?:above )?{_SPEAKS}\b",
    r"in this (?:caption|description)\b",
    rf"(?:please )?note:? (?:that )?(?:i|(?:this|the) {_CAPTION})\b",
    r"\((?:note\b|i )",
    r"\(?word count:",
    rf"i(?:'ve| have) {_DONE}\b",
    r"i (?:made|kept|used|tried|included|ensured|followed|trust)\b",
    r"i can (?:also )?(?:provide|give|write|make|help|adjust)\b",
    "alternatively,",
    "(?:explanation|reasoning|rationale|justification):",
)
_SECTION = _any(  # of lines alone: within a line such words may belong to the text
    r"(?:important )?notes?(?: that\b| ?:)",
    r"n\.?b\.?:",
    "disclaimer:",
    r"alternative\b",
    "another (?:option|version|caption)",
    r"option (?:2|two|b)\b",
    "(?:key |main )?"
    + _any("explanation", "reasoning", "rationale", "justification", "breakdown", "changes", "facts",
           "details", "modifications", "thought process", "checklist")
    + "(?: made| included| used)? ?:",
)  # fmt: skip
FIRST_REMARK = _compiled(rf"{_REMARK}[^\n]*\n")
LAST_REMARK = _compiled(
    _any(
        rf"(?:(?<=[.!?])|(?<=[.!?][\"\u201d\u2019\x27)])) {_REMARK}",
        rf"\n(?:[*_#]{{1,6}} ?)?{_any(_REMARK, _SECTION)}",
    )
)
