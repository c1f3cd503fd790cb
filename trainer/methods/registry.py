"""Every method, one entry each: those of the evaluation, in its order, and those of the study alone.

The evaluation, the study and the report take methods, order and families from here. A new comparator is one
entry here and one file beside this one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from trainer.methods.artemis import Artemis, artemis_scores
from trainer.methods.combiner import Combiner, WideCombiner
from trainer.methods.composeae import ComposeAeLike
from trainer.methods.graph_encoder import GraphCombiner, GraphStages
from trainer.methods.graphs import SCENE_GRAPH
from trainer.methods.mix import LinearMix, MixHead
from trainer.methods.recipes import HYBRID_QUERY, Mixed, Network, Recipe, Untrained
from trainer.methods.tirg import Tirg
from trainer.methods.untrained import chance, cirevl, image_only, text_only
from trainer.methods.weicom import weicom_scores
from trainer.retrieval.fusion import fusion_scores
from trainer.retrieval.similarity import TEXT_INPUTS
from trainer.tuning.heads import FusionHead, Head


class Family(StrEnum):
    """Groups of methods that are compared, in the report's order."""

    NO_LANGUAGE_MODEL = "without a language model"
    SCENE_GRAPH = "given the scene graph itself"
    SAME_TEXTS = "given the same texts"
    TERMS = "one similarity alone, tuned"
    HYBRID = "hybrid similarity"


@dataclass(frozen=True)
class Method:
    """One method.

    Attributes:
        name: in metrics, rankings, plots and the study.
        family: says which claim a comparator belongs to.
        inputs: what it reads beside the image: texts of `TEXT_INPUTS`, `SCENE_GRAPH` and `HYBRID_QUERY`.
        recipe: how it learns beside the encoder; None where it is scored with the encoder alone.
        tower_texts: the study also tunes the text tower for this comparator, as a weighted sum of the image
            and these texts; none: its text tower is always frozen.
        plotted: it stands in the plots of `dvc.yaml` and in the study's table of traps.
        pictured: the report's gallery shows it at first.
    """

    name: str
    family: Family
    inputs: tuple[str, ...] = ()
    recipe: Recipe | None = None
    tower_texts: tuple[str, ...] = ()
    plotted: bool = False
    pictured: bool = False

    @property
    def reads_captions(self) -> bool:
        """Whether it reads a text that a language model wrote."""
        return any(name not in ("text", SCENE_GRAPH) for name in self.inputs)

    def tower_head(self) -> Head:
        """A fresh head to tune the text tower: one share is chosen on validation, several are learned."""
        return FusionHead(*self.tower_texts) if len(self.tower_texts) == 1 else MixHead(self.tower_texts)


_TEXT, _CAPTION, _GRAPH = ("text",), ("pseudo_caption",), ("text", SCENE_GRAPH)
_WRITTEN = ("text", "graph", "pseudo_caption")  # modification, interpretation and pseudo caption
METHODS = (
    Method("chance", Family.NO_LANGUAGE_MODEL, (), Untrained(chance)),
    Method("image_only", Family.NO_LANGUAGE_MODEL, (), Untrained(image_only)),
    Method("text_only", Family.NO_LANGUAGE_MODEL, _TEXT, Untrained(text_only)),
    Method(
        "image_plus_text", Family.NO_LANGUAGE_MODEL, _TEXT, Mixed(fusion_scores), _TEXT,
        plotted=True, pictured=True,
    ),
    Method("weicom", Family.NO_LANGUAGE_MODEL, _TEXT, Mixed(weicom_scores)),
    Method("tirg", Family.NO_LANGUAGE_MODEL, _TEXT, Network(Tirg), _TEXT),
    Method("combiner", Family.NO_LANGUAGE_MODEL, _TEXT, Network(Combiner), _TEXT),
    Method(
        "image_plus_pseudo_caption", Family.SAME_TEXTS, _CAPTION, Mixed(fusion_scores), _CAPTION,
        plotted=True,
    ),
    Method("combiner_pseudo_caption", Family.SAME_TEXTS, _CAPTION, Network(Combiner), _CAPTION),
    Method("hybrid_untuned", Family.HYBRID, TEXT_INPUTS, plotted=True),
    Method("triplet", Family.TERMS, ("text", "graph")),
    Method("language", Family.TERMS, ("language",)),
    Method("pseudo_caption", Family.TERMS, _CAPTION),
    Method("hybrid", Family.HYBRID, TEXT_INPUTS, plotted=True, pictured=True),
)  # fmt: skip


# methods that the study alone trains, so that the evaluation stays short
STUDIED = (
    Method("artemis", Family.NO_LANGUAGE_MODEL, _TEXT, Network(Artemis, artemis_scores), _TEXT),
    Method("composeae_like", Family.NO_LANGUAGE_MODEL, _TEXT, Network(ComposeAeLike), _TEXT),
    Method("graph_combiner", Family.SCENE_GRAPH, _GRAPH, Network(GraphCombiner), _TEXT),
    Method("graph_two_stages", Family.SCENE_GRAPH, _GRAPH, Network(GraphStages), _TEXT),
    Method("cirevl", Family.SAME_TEXTS, _CAPTION, Untrained(cirevl)),
    Method(
        "artemis_pseudo_caption", Family.SAME_TEXTS, _CAPTION, Network(Artemis, artemis_scores), _CAPTION
    ),
    Method("composeae_like_pseudo_caption", Family.SAME_TEXTS, _CAPTION, Network(ComposeAeLike), _CAPTION),
    Method(
        "combiner_all_texts", Family.SAME_TEXTS, _WRITTEN,
        Network(partial(WideCombiner, inputs=1 + len(_WRITTEN))), _WRITTEN,
    ),
    Method(
        "linear_mix", Family.SAME_TEXTS, TEXT_INPUTS,
        Network(lambda dimension: LinearMix(1 + len(TEXT_INPUTS))), TEXT_INPUTS,
    ),
    Method(
        "hybrid_combiner", Family.HYBRID, (*_WRITTEN, HYBRID_QUERY),
        Network(partial(WideCombiner, inputs=2 + len(_WRITTEN)), beside=HYBRID_QUERY),
    ),
)  # fmt: skip


def every() -> list[Method]:
    """Every method, by family; within one those of the evaluation come first."""
    return [method for family in Family for method in (*METHODS, *STUDIED) if method.family is family]


def named(name: str) -> Method:
    """The method with this name."""
    return next(method for method in every() if method.name == name)


def comparators() -> Iterator[tuple[Method, Recipe]]:
    """What our methods are compared with, in the evaluation or in the study."""
    return (
        (method, method.recipe) for method in every() if method.recipe and method.family is not Family.HYBRID
    )


def comparator_inputs() -> list[str]:
    """The texts that comparators of the evaluation read."""
    read = {name for method in METHODS if method.recipe for name in method.inputs}
    return [name for name in TEXT_INPUTS if name in read]


def plotted() -> list[str]:
    """The methods whose lines have a colour in plots, ours first."""
    return [method.name for method in reversed(METHODS) if method.plotted]


def pictured() -> list[str]:
    """The methods whose first images the report shows at first, ours first."""
    return [method.name for method in reversed(METHODS) if method.pictured]


def families() -> list[tuple[str, list[str]]]:
    """Title and names of the evaluation's methods of each family."""
    names = {family: [m.name for m in METHODS if m.family is family] for family in Family}
    return [(family.value, of) for family, of in names.items() if of]
