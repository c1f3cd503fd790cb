"""The distinct texts of some queries, tokenised once, and their features."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipeline.base.progress import Progress
from pipeline.vision.vlm import Vlm

_LENGTH_STEP = 16  # tokens; texts whose lengths fall into the same step are encoded together


@dataclass(frozen=True)
class Texts:
    """M distinct texts as tokens.

    Attributes:
        tokens: int32 (M, L), padded.
        lengths: int64 (M,), how many leading tokens the features can depend on.
        row_of: text -> row.
    """

    tokens: Tensor
    lengths: Tensor
    row_of: dict[str, int]

    @classmethod
    def of(cls, vlm: Vlm, texts: Sequence[str]) -> "Texts":
        """Tokenise each distinct text once."""
        distinct = list(dict.fromkeys(texts))
        tokens = vlm.tokenize(distinct)
        lengths = token_lengths(vlm.model, tokens)
        return cls(tokens.to(torch.int32), lengths, {text: row for row, text in enumerate(distinct)})

    def rows(self, texts: Sequence[str]) -> Tensor:
        """Rows, int64 (len(texts),), of texts that are among the distinct ones."""
        return torch.tensor([self.row_of[text] for text in texts], dtype=torch.int64)

    def encode(
        self,
        model: Any,
        rows: Tensor,
        batch: int | None = None,
        encoded: Callable[[int], object] = lambda count: None,
    ) -> Tensor:
        """L2-normalised float32 features (len(rows), D) on the model's device; gradients flow.

        Texts of similar length are encoded together and cut to the longest of them.

        Args:
            rows: int64, each row once.
            batch: texts at a time; None: all texts of similar length.
            encoded: is told after each batch how many texts it had.
        """
        device = next(model.parameters()).device
        order = torch.argsort(self.lengths[rows], stable=True)
        ordered = rows[order]
        steps = (self.lengths[ordered] - 1) // _LENGTH_STEP
        features = []
        for group in ordered.split(steps.unique_consecutive(return_counts=True)[1].tolist()):
            for chunk in group.split(batch or len(group)):
                cut = self.tokens[chunk, : int(self.lengths[chunk].max())]
                features.append(text_features(model, cut.to(device, torch.int64)).float())
                encoded(len(chunk))
        return torch.cat(features)[torch.argsort(order).to(device)]

    @torch.no_grad()
    def features(self, model: Any, rows: Tensor, batch: int) -> Tensor:
        """As `encode`, without gradients; `rows` may hold a text more than once, and it is encoded once."""
        distinct, inverse = rows.unique(return_inverse=True)
        with Progress(total=len(distinct), title="encode texts", unit="text", leave=False) as bar:
            features = self.encode(model, distinct, batch, bar.update)
        return features[inverse.to(features.device)]


def token_lengths(model: Any, tokens: Tensor) -> Tensor:
    """How many leading tokens of each row the text features can depend on.

    In a causal text tower the tokens after the pooled one (the end token) have no influence. Other towers
    read the whole row, padding included.

    Args:
        tokens: (N, L).

    Returns:
        int64 (N,), between 1 and L.
    """
    pool = _causal_pool(model)
    if pool is None:
        return torch.full((len(tokens),), tokens.shape[1], dtype=torch.int64)
    kind, end_id = pool
    pooled = tokens.argmax(-1) if kind == "argmax" else torch.eq(tokens, end_id).int().argmax(-1)
    return pooled.cpu() + 1


def text_features(model: Any, tokens: Tensor) -> Tensor:
    """L2-normalised text features (N, D) of tokens (N, L), L up to the context; gradients flow.

    open_clip's own towers take only rows of the full context; here positions and mask are cut to L, which
    gives the same features as long as L covers `token_lengths` of every row.
    """
    from torch.func import functional_call

    length = tokens.shape[1]
    if length == model.context_length or _causal_pool(model) is None:
        return model.encode_text(tokens, normalize=True)
    # CLIP holds its text tower's tensors; CustomTextCLIP has them in `.text`, which cuts its positions itself
    prefix = "text." if hasattr(model, "text") else ""
    tower = model.text if prefix else model
    cut = {prefix + "attn_mask": tower.attn_mask[:length, :length]}
    if not prefix:
        cut["positional_embedding"] = model.positional_embedding[:length]
    output = functional_call(model, cut, (), {"image": None, "text": tokens})
    return output["text_features"] if isinstance(output, dict) else output[1]


def encode_texts(vlm: Vlm, texts: Sequence[str], batch: int) -> Tensor:
    """L2-normalised features (N, D), float32, on the CPU, in the order of `texts`; no gradients."""
    if not texts:
        return torch.empty(0, vlm.dimension)
    known = Texts.of(vlm, texts)
    return known.features(vlm.model, known.rows(texts), batch).cpu()


def _causal_pool(model: Any) -> tuple[str, int] | None:
    """How a causal open_clip text tower pools, or None where rows must not be cut."""
    from open_clip.model import CLIP
    from open_clip.transformer import TextTransformer

    if type(model) is CLIP:
        kind, end_id, mask = model.text_pool_type, model.text_eos_id, model.attn_mask
    elif isinstance(getattr(model, "text", None), TextTransformer):
        tower = model.text
        kind, end_id = tower.pool_type, tower.eos_id
        mask = None if tower.use_pad_mask or tower.cls_emb is not None else tower.attn_mask
    else:
        return None
    return (kind, end_id) if mask is not None and kind in ("argmax", "eos") else None
