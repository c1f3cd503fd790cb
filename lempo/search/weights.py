"""Which similarities a query can have, and their weights: what cannot be computed gives its weight away."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.base.errors import UserError, perhaps
from trainer.retrieval.similarity import SHARES, TERMS
from trainer.retrieval.splits import language_text
from trainer.retrieval.weights import Choice

PLAIN = {
    "text": "text",
    "graph": "interpretation",
    "language": "text with the interpretation",
    "pseudo_caption": "pseudo caption",
}


@dataclass(frozen=True)
class Plan:
    """What a query is made of.

    Attributes:
        choice: weights with sum 1, and a mixture whose sizes have the sum 1; 0 for what is left out.
        texts: by the names of the query's inputs, those with a weight.
        left_out: one sentence for each change of a weight that nobody asked for.
    """

    choice: Choice
    texts: dict[str, str]
    left_out: list[str]


def asked_weights(choice: Choice, weights: Mapping[str, float] | None) -> Choice:
    """The weights and the mixture with those that a query names in their place.

    Raises:
        UserError: a name is unknown, or a value is no number, below 0 (the graph's may be) or endless.
    """
    values = {**choice.record()["weights"], **choice.record()["mixture"]}
    for name, value in (weights or {}).items():
        if name not in values:
            remedy = f"{perhaps(name, values)}Use {', '.join([*TERMS, *SHARES])}"
            raise UserError("there is no such weight", remedy, field="weights", value=name)
        if not -1e6 < value < 1e6 or (value < 0 and name != "graph"):
            remedy = "Give a number from 0 on; only graph may be below 0"
            raise UserError(f"the weight of {name} cannot be used", remedy, field="weights", value=value)
        values[name] = float(value)
    if not any(values[name] for name in TERMS):
        raise UserError("all weights are 0", f"Give one of {', '.join(TERMS)} a weight", field="weights")
    return Choice.of(
        {
            "weights": {name: values[name] for name in TERMS},
            "mixture": {name: values[name] for name in SHARES},
        }
    )


def wanted_texts(choice: Choice, text: str | None) -> tuple[bool, bool]:
    """Whether an interpretation and a pseudo caption would have any weight."""
    triplet, language, pseudo_caption = choice.weights
    described = text is not None and bool((triplet and choice.mixture[2]) or language)
    return described, text is not None and bool(pseudo_caption)


def plan_query(
    choice: Choice,
    has_image: bool,
    text: str | None,
    interpretation: str | None,
    pseudo_caption: str | None,
) -> Plan:
    """The weights of what a query has; with a reference alone, images are compared by their features."""
    left_out: list[str] = []
    if text is None:
        if choice.weights != (1.0, 0.0, 0.0):
            left_out.append("all similarities with texts: there is no text, so images are compared")
        return Plan(Choice((1.0, 0.0, 0.0), (1.0, 0.0, 0.0)), {}, left_out)
    if not has_image:
        left_out.append("all similarities with a reference: there is none, so the text alone is compared")
        return Plan(Choice((0.0, 1.0, 0.0), (0.0, 1.0, 0.0)), {"text": text, "language": text}, left_out)
    a, b, d = choice.mixture
    if interpretation is None:
        d = 0.0
    if not (a or b or d):
        a = b = 0.5
        left_out.append("the chosen mixture, of which nothing is left: image and text count alike")
    weights = list(choice.weights)
    if pseudo_caption is None:
        weights[2] = 0.0
    if not any(weights):
        weights[:2] = [0.5, 0.5]
        left_out.append("the chosen weights, of which nothing is left: triplet and language count alike")
    total, size = sum(weights), abs(a) + abs(b) + abs(d)
    used = Choice(
        (weights[0] / total, weights[1] / total, weights[2] / total), (a / size, b / size, d / size)
    )
    if used.weights != choice.weights and weights[2] != choice.weights[2]:
        shown = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(TERMS, used.weights, strict=True))
        left_out.append(f"the weight of the pseudo caption: the others share it ({shown})")
    texts = {"text": text, "language": language_text(text, interpretation)}
    if interpretation is not None:
        texts["graph"] = interpretation
    if pseudo_caption is not None:
        texts["pseudo_caption"] = pseudo_caption
    wanted = {"text": used.weights[0] * b, "graph": used.weights[0] * d}
    wanted |= {"language": used.weights[1], "pseudo_caption": used.weights[2]}
    return Plan(used, {name: of for name, of in texts.items() if wanted[name]}, left_out)
