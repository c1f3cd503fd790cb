"""Every method of the evaluation, one entry each, in the evaluation's order.

The evaluation, the study and the report take methods, order and families from here. A new comparator is one
entry here and one file beside this one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from trainer.methods.combiner import Combiner
from trainer.methods.recipes import Mixed, Network, Recipe, Untrained
from trainer.methods.tirg import Tirg
from trainer.methods.untrained import chance, image_only, text_only
from trainer.methods.weicom import weicom_scores
from trainer.retrieval.fusion import fusion_scores
from trainer.retrieval.similarity import TEXT_INPUTS


class Family(StrEnum):
    """Groups of methods that are compared, in the report's order."""

    NO_LANGUAGE_MODEL = "without a language model"
    SAME_TEXTS = "given the same texts"
    TERMS = "one similarity alone, tuned"
    HYBRID = "hybrid similarity"


@dataclass(frozen=True)
class Method:
    """One method.

    Attributes:
        name: in metrics, rankings, plots and the study.
        family: says which claim a comparator belongs to.
        inputs: the texts that it reads, of `TEXT_INPUTS`.
        recipe: how a comparator learns; None for our own methods, which are scored with the tuned encoder.
        tower_text: the study also tunes the text tower for this comparator, as a weighted sum of the image
            and this input; None: its text tower is always frozen.
        plotted: it stands in the plots of `dvc.yaml` and in the study's table of traps.
        pictured: the report's gallery shows it at first.
    """

    name: str
    family: Family
    inputs: tuple[str, ...] = ()
    recipe: Recipe | None = None
    tower_text: str | None = None
    plotted: bool = False
    pictured: bool = False

    @property
    def reads_captions(self) -> bool:
        """Whether it reads a text that a language model wrote."""
        return any(name != "text" for name in self.inputs)


_TEXT, _CAPTION = ("text",), ("pseudo_caption",)
METHODS = (
    Method("chance", Family.NO_LANGUAGE_MODEL, (), Untrained(chance)),
    Method("image_only", Family.NO_LANGUAGE_MODEL, (), Untrained(image_only)),
    Method("text_only", Family.NO_LANGUAGE_MODEL, _TEXT, Untrained(text_only)),
    Method(
        "image_plus_text", Family.NO_LANGUAGE_MODEL, _TEXT, Mixed(fusion_scores), "text",
        plotted=True, pictured=True,
    ),
    Method("weicom", Family.NO_LANGUAGE_MODEL, _TEXT, Mixed(weicom_scores)),
    Method("tirg", Family.NO_LANGUAGE_MODEL, _TEXT, Network(Tirg), "text"),
    Method("combiner", Family.NO_LANGUAGE_MODEL, _TEXT, Network(Combiner), "text"),
    Method(
        "image_plus_pseudo_caption", Family.SAME_TEXTS, _CAPTION, Mixed(fusion_scores), "pseudo_caption",
        plotted=True,
    ),
    Method("combiner_pseudo_caption", Family.SAME_TEXTS, _CAPTION, Network(Combiner), "pseudo_caption"),
    Method("hybrid_untuned", Family.HYBRID, TEXT_INPUTS, plotted=True),
    Method("triplet", Family.TERMS, ("text", "graph")),
    Method("language", Family.TERMS, ("language",)),
    Method("pseudo_caption", Family.TERMS, _CAPTION),
    Method("hybrid", Family.HYBRID, TEXT_INPUTS, plotted=True, pictured=True),
)  # fmt: skip


def named(name: str) -> Method:
    """The method with this name."""
    return next(method for method in METHODS if method.name == name)


def comparators() -> Iterator[tuple[Method, Recipe]]:
    """What our methods are compared with."""
    return ((method, method.recipe) for method in METHODS if method.recipe)


def comparator_inputs() -> list[str]:
    """The texts that comparators read."""
    read = {name for method, _ in comparators() for name in method.inputs}
    return [name for name in TEXT_INPUTS if name in read]


def plotted() -> list[str]:
    """The methods whose lines have a colour in plots, ours first."""
    return [method.name for method in reversed(METHODS) if method.plotted]


def pictured() -> list[str]:
    """The methods whose first images the report shows at first, ours first."""
    return [method.name for method in reversed(METHODS) if method.pictured]


def families() -> list[tuple[str, list[str]]]:
    """Title and names of the methods of each family."""
    return [(family.value, [m.name for m in METHODS if m.family is family]) for family in Family]
