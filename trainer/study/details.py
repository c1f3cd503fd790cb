"""What is measured of one tuned encoder beside its test metrics: its terms, other datasets, further views."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from pipeline.base.params import Params
from trainer.methods.terms import term_scores
from trainer.retrieval.fusion import choose_share
from trainer.retrieval.metrics import score_metrics
from trainer.retrieval.ranking import Scores, dot_scores
from trainer.retrieval.similarity import QueryFeatures
from trainer.retrieval.weights import Choice
from trainer.study.data import StudyData, set_text_state, text_tower_put_back
from trainer.study.few_queries import measure_choices
from trainer.study.jobs import choose, head_scores
from trainer.tuning.heads import HybridHead

ScoresOf = Callable[[str], Scores]  # split -> scores
GALLERY_TEXTS = "interpretations of the gallery's images as a second view"
MEAN_OF_CAPTIONS = "several pseudo captions, mean of their similarities"
MAX_OF_CAPTIONS = "several pseudo captions, best of their similarities"
_KEPT_BYTES = 4 * 2**30  # by a step that trains the image tower


def measure_details(
    dataset: str,
    datasets: Mapping[str, StudyData],
    state: dict[str, Tensor],
    chosen: dict[str, Any],
    params: Params,
) -> dict[str, Any]:
    """Metrics in percent of a tuned hybrid, on the test split unless the key says otherwise.

    Args:
        dataset: the one that it was tuned on.
        datasets: of every dataset, around one model.
        state: the tuned text tower.
        chosen: weights and mixture.

    Returns:
        `terms`: each similarity alone, `untuned` and `tuned`; `transfer`: dataset -> metrics; `views`: name
        -> `share` (chosen on validation), and validation and test metrics `with` and `without` the view;
        `few_queries`: choices on parts of validation, `untuned` and `tuned`, as of `measure_choices`.
    """
    data = datasets[dataset]
    model, head = data.vlm.model, HybridHead(params.method)
    terms = {"untuned": _terms(data, choose(head, data), params)}
    few = {"untuned": _choices(data, params)}
    with text_tower_put_back(model):
        set_text_state(model, state)
        terms["tuned"] = _terms(data, chosen, params)
        few["tuned"] = _choices(data, params)
        transfer = {
            name: _metrics(head_scores(head, other, chosen, "test"), other)
            for name, other in datasets.items()
        }
        hybrid = partial(head_scores, head, data, chosen)
        views = {name: _with_view(hybrid, view, data) for name, view in _views(data).items()}
    return {"terms": terms, "transfer": transfer, "views": views, "few_queries": few}


def _terms(data: StudyData, chosen: dict[str, Any], params: Params) -> dict[str, dict[str, float]]:
    splits = data.splits["val"], data.splits["test"]
    scored = term_scores(splits, _features(data), Choice.of(chosen), params.method.choose)
    return {name: _metrics(scores, data) for name, scores in scored.items()}


def _choices(data: StudyData, params: Params) -> dict[str, Any]:
    known, tested = _features(data)
    fixed = Choice.of(params.method.model_dump())
    return measure_choices(data.splits["val"], known, data.splits["test"], tested, fixed)


def _features(data: StudyData) -> list[QueryFeatures]:
    """Of the validation and the test queries, by the model as it is now."""
    return [data.splits[name].features(data.vlm.model, data.texts, data.batch) for name in ("val", "test")]


def _metrics(scores: Scores, data: StudyData) -> dict[str, float]:
    return score_metrics(scores, data.splits["test"].answers)


def _views(data: StudyData) -> dict[str, ScoresOf]:
    views: dict[str, ScoresOf] = {}
    if any(text for lists in data.gallery_texts.values() for text in lists):
        views[GALLERY_TEXTS] = partial(_gallery_text_scores, data)
    if any(texts for lists in data.alternatives.values() for texts in lists):
        views[MEAN_OF_CAPTIONS] = partial(_caption_scores, data, False)
        views[MAX_OF_CAPTIONS] = partial(_caption_scores, data, True)
    return views


def _with_view(hybrid_scores: ScoresOf, view_scores: ScoresOf, data: StudyData) -> dict[str, Any]:
    """(1 - share) hybrid + share view, the share chosen on validation; 0 leaves the hybrid as it is."""
    answers = data.splits["val"].answers
    hybrid = {split: hybrid_scores(split) for split in ("val", "test")}
    view = {split: view_scores(split) for split in hybrid}

    def mixed(split: str, share: float) -> Scores:
        a, b = hybrid[split], view[split]
        return lambda start, stop: (1 - share) * a(start, stop) + share * b(start, stop)

    def measured(share: float) -> dict[str, dict[str, float]]:
        validation, test = mixed("val", share), mixed("test", share)
        return {"validation": score_metrics(validation, answers), "test": _metrics(test, data)}

    share = choose_share(partial(mixed, "val"), answers)
    return {"share": share, "without": measured(0), "with": measured(share)}


def _encode(texts: list[str], data: StudyData) -> Tensor:
    return data.texts.features(data.vlm.model, data.texts.rows(texts), data.batch)


def _gallery_text_scores(data: StudyData, split: str) -> Scores:
    """Cosines of the pseudo caption with the gallery's interpretations; 0 where an image has none."""
    texts = data.gallery_texts[split]
    gallery = torch.zeros_like(data.splits[split].gallery)
    described = torch.tensor([bool(text) for text in texts], device=gallery.device)
    gallery[described] = _encode([text for text in texts if text], data)
    return dot_scores(_encode(data.splits[split].texts["pseudo_caption"], data), gallery)


def _caption_scores(data: StudyData, best: bool, split: str) -> Scores:
    """Mean or best of the similarities of all pseudo captions of a query."""
    first, gallery = data.splits[split].texts["pseudo_caption"], data.splits[split].gallery
    lists = [[text, *more] for text, more in zip(first, data.alternatives[split], strict=True)]
    counts = torch.tensor([[len(texts)] for texts in lists], device=gallery.device)  # (Q, 1)
    known = torch.arange(int(counts.max()), device=gallery.device) < counts  # (Q, S)
    captions = gallery.new_zeros(*known.shape, gallery.shape[1])  # (Q, S, D)
    captions[known] = _encode([text for texts in lists for text in texts], data)
    if not best:
        return dot_scores(captions.sum(1) / counts, gallery)

    def scores(start: int, stop: int) -> Tensor:
        every = torch.einsum("qsd,nd->qsn", captions[start:stop], gallery)
        return every.masked_fill(~known[start:stop, :, None], -torch.inf).amax(1)

    return scores


def kept_bytes(model: Any, pixels: Tensor) -> int:
    """What the image tower keeps of some pixels for its backward pass, beside its parameters."""
    parameters = {parameter.data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in parameters:
            kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        held.append(tensor)  # another tensor must not take its place in memory
        return tensor

    held: list[Tensor] = []
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.encode_image(pixels.requires_grad_())
    return sum(kept.values())


def vision_cost(data: StudyData, params: Params, steps: int = 3) -> dict[str, float]:
    """Median seconds of a training step with the vision tower fixed and with it trained too.

    The second one passes the references and targets of the batch through the image tower, forward and
    backward (random pixels: nothing is read or decoded), with the batch's targets as negatives. Both steps
    have fewer queries than the batch where what the image tower keeps for the backward pass would take more
    than `_KEPT_BYTES`.
    """
    model, split, head = data.vlm.model, data.splits["train"], HybridHead(params.method)
    size = model.visual.image_size
    height, width = size if isinstance(size, tuple) else (size, size)
    of_one = kept_bytes(model, torch.randn(1, 3, height, width, device=split.gallery.device))
    fit = max(1, int(_KEPT_BYTES / of_one) // 2)  # a query has two images
    gallery, count = split.gallery, min(params.tune.batch_size, len(split), fit)
    reference, target = split.reference[:count], split.answers.target[:count]
    images = torch.cat([reference, target]).unique()
    pixels = torch.randn(len(images), 3, height, width, device=gallery.device)
    rows = torch.stack([data.texts.rows(split.texts[name][:count]) for name in head.inputs])
    distinct, inverse = rows.unique(return_inverse=True)

    def now() -> float:
        if gallery.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter()

    def step(with_vision: bool) -> float:
        start = now()
        model.zero_grad(set_to_none=True)
        text = data.texts.encode(model, distinct)
        features = dict(zip(head.inputs, text[inverse.to(text.device)], strict=True))
        seen = gallery
        if with_vision:
            seen = gallery.index_copy(0, images, normalize(model.encode_image(pixels), dim=-1))
        scores = head(seen[reference], features) @ seen[target].T
        scores.logsumexp(1).mean().backward()
        return now() - start

    wanted = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    medians = {}
    for name, with_vision in (("fixed", False), ("trained", True)):
        for key, parameter in model.named_parameters():
            parameter.requires_grad_(with_vision or not key.startswith("visual."))
        step(with_vision)  # the first one takes longer
        medians[name] = median(step(with_vision) for _ in range(steps))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(wanted[name])
    model.zero_grad(set_to_none=True)
    return {**medians, "images": float(len(images)), "queries": float(count)}
