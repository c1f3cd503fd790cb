"""The two terms of the training loss, both made of image-caption pairs alone."""

import torch
import torch.nn.functional as F


def contrastive_loss(
    image: torch.Tensor, text: torch.Tensor, scale: torch.Tensor, holds: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Symmetric InfoNCE over a batch of pairs (Radford et al., 2021), other right answers taken out.

    Args:
        image: (B, D) normalised image features.
        text: (B, D) normalised text features; row i belongs to image i.
        scale: inverse temperature.
        holds: (B, B) bool, `holds[i, j]`: text i states nothing that image j lacks. A caption of few facts
            holds for several images, and those are no negatives.

    Returns:
        The loss and the fraction of texts whose own image comes first.
    """
    logits = scale * text @ image.T  # (B, B), texts by images
    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    logits = logits.masked_fill(holds & ~own, float("-inf"))
    labels = torch.arange(len(logits), device=logits.device)
    loss = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
    return loss, (logits.argmax(dim=1) == labels).float().mean()


def bag_loss(
    feature: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    bag: torch.Tensor,
    importance: torch.Tensor | None = None,
) -> torch.Tensor:
    """Which facts of the caption does a linear head read from a feature: binary cross-entropy.

    The feature is standardised over the batch first, so that what all of a batch share weighs nothing and the
    gradient of what tells them apart stays large while features are still nearly parallel.

    Args:
        feature: (B, D) of an image or of a text. The head is the same for both, which draws the two towers
            into one space.
        weight: (F, D) one direction a fact.
        bias: (F,)
        bag: (B, F) 1 where the caption states the fact, else 0.
        importance: (F,) factor of each fact's term, 1 if not given.

    Returns:
        Nats per stated fact.
    """
    feature = F.batch_norm(feature, None, None, training=True)
    logits = feature @ weight.T + bias
    total = F.binary_cross_entropy_with_logits(logits, bag, importance, reduction="sum")
    return total / bag.sum().clamp(min=1)
