"""What is measured of one tuned encoder beside its test metrics: its terms, other datasets, further views."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from pipeline.base.params import Params
from trainer.methods.terms import term_scores, triplet_alone
from trainer.retrieval.fusion import choose_share
from trainer.retrieval.metrics import score_metrics
from trainer.retrieval.ranking import Scores, dot_scores
from trainer.retrieval.weights import Choice
from trainer.study.data import StudyData, copy_text_state, put_back
from trainer.study.jobs import choose, head_scores
from trainer.tuning.heads import HybridHead

ScoresOf = Callable[[str], Scores]  # split -> scores
GALLERY_TEXTS = "interpretations of the gallery's images as a second view"
MEAN_OF_CAPTIONS = "several pseudo captions, mean of their similarities"
MAX_OF_CAPTIONS = "several pseudo captions, best of their similarities"


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
        -> share (chosen on validation), validation and test metrics, with and without the view.
    """
    data = datasets[dataset]
    model = data.vlm.model
    before = copy_text_state(model)
    head = HybridHead(params.method)
    untuned = choose(head, data, params)
    details: dict[str, Any] = {"terms": {"untuned": _terms(data, untuned, params)}}
    try:
        put_back(model, state)
        details["terms"]["tuned"] = _terms(data, chosen, params)
        details["transfer"] = {
            name: _metrics(head_scores(head, other, params)("test", chosen), other)
            for name, other in datasets.items()
        }
        scores = head_scores(head, data, params)
        details["views"] = {
            name: _with_view(lambda split: scores(split, chosen), view, data)
            for name, view in _views(data, params).items()
        }
    finally:
        put_back(model, before)
    return details


def _terms(data: StudyData, chosen: dict[str, Any], params: Params) -> dict[str, dict[str, float]]:
    validation, test = data.splits["val"], data.splits["test"]
    known, features = (
        split.features(data.vlm.model, data.texts, params.speed.encode_batch) for split in (validation, test)
    )
    choice = Choice.of(chosen)
    alone = triplet_alone(known, validation, choice, params.method.choose)
    scored = term_scores(features, test.gallery, choice, alone)
    return {name: _metrics(scores, data) for name, scores in scored.items()}


def _metrics(scores: Scores, data: StudyData) -> dict[str, float]:
    return score_metrics(scores, data.splits["test"].answers)


def _views(data: StudyData, params: Params) -> dict[str, ScoresOf]:
    views: dict[str, ScoresOf] = {}
    if any(text for lists in data.gallery_texts.values() for text in lists):
        views[GALLERY_TEXTS] = partial(_gallery_text_scores, data, params)
    if any(texts for lists in data.alternatives.values() for texts in lists):
        views[MEAN_OF_CAPTIONS] = partial(_caption_scores, data, params, False)
        views[MAX_OF_CAPTIONS] = partial(_caption_scores, data, params, True)
    return views


def _with_view(hybrid_scores: ScoresOf, view_scores: ScoresOf, data: StudyData) -> dict[str, Any]:
    """(1 - share) hybrid + share view, the share chosen on validation; 0 leaves the hybrid as it is."""
    answers = data.splits["val"].answers
    hybrid = {split: hybrid_scores(split) for split in ("val", "test")}
    view = {split: view_scores(split) for split in hybrid}

    def mixed(split: str, share: float) -> Scores:
        a, b = hybrid[split], view[split]
        return lambda start, stop: (1 - share) * a(start, stop) + share * b(start, stop)

    share = choose_share(partial(mixed, "val"), answers)
    return {
        "share": share,
        "validation": score_metrics(mixed("val", share), answers),
        "validation_without": score_metrics(hybrid["val"], answers),
        "test": _metrics(mixed("test", share), data),
        "test_without": _metrics(hybrid["test"], data),
    }


@torch.no_grad()
def _encode(texts: list[str], data: StudyData, params: Params) -> Tensor:
    rows = data.texts.rows(texts)
    return data.texts.features(data.vlm.model, rows, params.speed.encode_batch)


def _gallery_text_scores(data: StudyData, params: Params, name: str) -> Scores:
    """Cosines of the pseudo caption with the gallery's interpretations; 0 where an image has none."""
    split, texts = data.splits[name], data.gallery_texts[name]
    described = [index for index, text in enumerate(texts) if text]
    gallery = split.gallery.new_zeros(split.gallery.shape)
    gallery[torch.tensor(described, device=gallery.device)] = _encode(
        [text for text in texts if text], data, params
    )
    return dot_scores(_encode(split.texts["pseudo_caption"], data, params), gallery)


def _caption_scores(data: StudyData, params: Params, best: bool, name: str) -> Scores:
    """Mean or best of the similarities of all pseudo captions of a query."""
    split = data.splits[name]
    lists = [
        [first, *more]
        for first, more in zip(split.texts["pseudo_caption"], data.alternatives[name], strict=True)
    ]
    longest = max(len(texts) for texts in lists)
    flat = [text for texts in lists for text in texts]
    encoded = iter(_encode(flat, data, params))
    captions = split.gallery.new_zeros(len(lists), longest, split.gallery.shape[1])  # (Q, S, D)
    counts = torch.tensor([len(texts) for texts in lists], device=captions.device)
    for query, texts in enumerate(lists):
        for sample in range(len(texts)):
            captions[query, sample] = next(encoded)
    if not best:
        return dot_scores(captions.sum(1) / counts[:, None], split.gallery)
    missing = torch.arange(longest, device=captions.device) >= counts[:, None]  # (Q, S)

    def scores(start: int, stop: int) -> Tensor:
        every = torch.einsum("qsd,nd->qsn", captions[start:stop], split.gallery)
        return every.masked_fill(missing[start:stop, :, None], -torch.inf).amax(1)

    return scores


def vision_cost(data: StudyData, params: Params, steps: int = 3) -> dict[str, float]:
    """Median seconds of a training step with the vision tower fixed and with it trained too.

    The second one passes the references and targets of the batch through the image tower, forward and
    backward (random pixels: nothing is read or decoded), with the batch's targets as negatives.
    """
    model, split = data.vlm.model, data.splits["train"]
    rows = torch.arange(min(params.tune.batch_size, len(split)), device=split.gallery.device)
    head = HybridHead(params.method)
    images = torch.cat([split.reference[rows], split.answers.target[rows]]).unique()
    size = model.visual.image_size
    height, width = size if isinstance(size, tuple) else (size, size)
    pixels = torch.randn(len(images), 3, height, width, device=split.gallery.device)
    token_rows = {
        name: data.texts.rows([split.texts[name][row] for row in rows.tolist()]) for name in head.inputs
    }
    distinct, inverse = torch.stack(list(token_rows.values())).unique(return_inverse=True)

    def step(with_vision: bool) -> float:
        start = time.perf_counter()
        model.zero_grad(set_to_none=True)
        text = data.texts.encode(model, distinct)
        features = dict(zip(head.inputs, text[inverse.to(text.device)], strict=True))
        gallery = split.gallery
        if with_vision:
            seen = normalize(model.encode_image(pixels), dim=-1)
            gallery = gallery.index_copy(0, images, seen)
        query = head(gallery[split.reference[rows]], features)
        scores = query @ gallery[split.answers.target[rows]].T
        scores.logsumexp(1).mean().backward()
        return time.perf_counter() - start

    wanted = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    medians = {}
    for name, with_vision in (("fixed", False), ("trained", True)):
        for key, parameter in model.named_parameters():
            parameter.requires_grad_(with_vision or not key.startswith("visual."))
        seconds = sorted(step(with_vision) for _ in range(steps))
        medians[name] = seconds[len(seconds) // 2]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(wanted[name])
    model.zero_grad(set_to_none=True)
    return {**medians, "images": float(len(images)), "queries": float(len(rows))}
