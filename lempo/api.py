"""What `import lempo` gives to programs: a project's features and models, and scores of queries."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from lempo.search.encoder import Encoder, gallery_of, load_tuned
from lempo.search.searcher import Searcher
from lempo.search.settings import Settings, find_index
from pipeline.base.errors import UserError
from pipeline.base.expected import Expected
from pipeline.base.params import load_params
from pipeline.base.paths import Paths
from pipeline.base.schemas import SPLITS
from pipeline.vision.features import Features, read_features
from trainer.retrieval.similarity import QueryFeatures, similarity
from trainer.retrieval.splits import Split, language_text, load_splits
from trainer.retrieval.weights import Choice
from trainer.tuning.folder import read_record


class Project:
    """A project: a folder with `params.yaml` in which `dvc repro` has run.

    Every method refuses what was made from other parameters, prompts, models or tables than the project has.

    Attributes:
        params: the checked parameters.
        paths: where each table and folder lies.

    Raises:
        UserError: `params.yaml` is missing, or a value in it cannot be used.
    """

    def __init__(self, folder: str | Path = ".") -> None:
        self.paths = Paths(Path(folder))
        self.params = load_params(self.paths.root / "params.yaml")

    def features(self, dataset: str) -> Features:
        """The image features: `ids`, and `vectors` (N, D), float16 or float32, memory-mapped, L2-normalised.

        Raises:
            UserError: they are missing, damaged, or made from anything else.
        """
        return read_features(self.paths.features(self._known(dataset)), self._expected.features(dataset))

    def split(self, dataset: str, split: str = "test") -> Split:
        """The queries of one split with their texts and right answers, and their gallery.

        Args:
            split: train, val or test.

        Raises:
            UserError: a table or the features are missing or made from anything else, or the split is empty
                or unknown.
        """
        if split not in SPLITS:
            raise UserError(
                "there is no such split", f"Use one of {', '.join(SPLITS)}", field="split", value=split
            )
        removed = self.params.method.reference == "removed"
        return load_splits(self._expected, dataset, self.features(dataset), (split,), removed)[split]

    def encoder(self, dataset: str) -> Encoder:
        """The tuned text encoder with its frozen vision side, and in `choice` the weights chosen for it.

        Raises:
            UserError: it is missing, damaged, or made from anything else.
        """
        record = read_record(self.paths.tuned(self._known(dataset)), self._expected.tuned(dataset))
        return load_tuned(record, dataset, self.params.vlm, Settings.of(self.params), self.paths)

    def searcher(self, index: str | None = None, llm: bool = False) -> Searcher:
        """An open index.

        Args:
            index: a dataset, the folder of the images, or that of the index; None: the only one.
            llm: whether the project's language model may write texts.

        Raises:
            UserError: there is no such index, or it was made by another model.
        """
        folder = find_index(index, self.params, self.paths)
        return Searcher(folder, self.params, self.paths, llm=llm)

    @property
    def _expected(self) -> Expected:
        return Expected(self.params, self.paths)

    def _known(self, dataset: str) -> str:
        if dataset not in self.params.datasets:
            remedy = f"Use one of {', '.join(self.params.datasets)}"
            raise UserError("the project has no such dataset", remedy, field="dataset", value=dataset)
        return dataset


def gallery(features: Features, ids: Sequence[str] | None = None) -> Tensor:
    """Image features as they are compared: float32 (N, D), L2-normalised.

    Args:
        ids: of the wanted images, in the wanted order; None: all.

    Raises:
        UserError: there is no image of such an id.
    """
    if ids is None:
        return gallery_of(features.vectors)
    for image_id in ids:
        if image_id not in features.row_of:
            remedy = "`features.ids` lists all"
            raise UserError("the features have no such image", remedy, field="ids", value=image_id)
    return gallery_of(features.vectors[[features.row_of[image_id] for image_id in ids]])


def encode_queries(
    encoder: Encoder,
    references: Tensor,
    modifications: Sequence[str],
    interpretations: Sequence[str | None],
    pseudo_captions: Sequence[str | None],
) -> QueryFeatures:
    """Features of B queries, each (B, D), as `lempo evaluate` computes them.

    Args:
        references: (B, D), image features of the references, L2-normalised.
        modifications: what shall be different.
        interpretations: captions of the references; where one is None, an empty text takes its place.
        pseudo_captions: captions of the wanted images; where one is None, the modification takes its place.

    Raises:
        UserError: the lengths differ.
    """
    lengths = [len(references), len(modifications), len(interpretations), len(pseudo_captions)]
    if len(set(lengths)) > 1:
        reason = "the lengths differ of references, modifications, interpretations and pseudo captions"
        raise UserError(reason, "Give one of each for every query", value=lengths)
    texts = {
        "text": list(modifications),
        "graph": [text or "" for text in interpretations],
        "language": [language_text(*pair) for pair in zip(modifications, interpretations, strict=True)],
        "pseudo_caption": [own or text for own, text in zip(pseudo_captions, modifications, strict=True)],
    }
    distinct = list(dict.fromkeys(text for of in texts.values() for text in of))
    row_of = {text: row for row, text in enumerate(distinct)}
    encoded = encoder.texts(distinct)
    return QueryFeatures(
        references, **{name: encoded[[row_of[text] for text in of]] for name, of in texts.items()}
    )


def score(queries: QueryFeatures, gallery: Tensor, choice: Choice) -> Tensor:
    """The hybrid similarity (B, N) of B queries with N images; higher is better.

    Args:
        gallery: (N, D), L2-normalised.
        choice: weights and mixture, as `Encoder.choice`.
    """
    return similarity(choice.queries(queries), gallery)
