"""The term that keeps what a place looks like, beside the terms of `embedded/vlm/losses.py`."""

import torch


def place_loss(image: torch.Tensor, places: torch.Tensor, temperature: float = 0.1) -> torch.Tensor:
    """Supervised contrastive loss (Khosla et al., 2020): tiles of one photograph among all others.

    Captions say nothing of the ground between objects. An image feature that is learnt from captions alone
    forgets it, and a reference image then no longer leads to its place.

    Args:
        image: (B, D) normalised image features.
        places: (B,) the photograph of each; every one stands at least twice.
        temperature: of the softmax over the other images.
    """
    own = torch.eye(len(image), dtype=torch.bool, device=image.device)
    logits = (image @ image.T / temperature).masked_fill(own, float("-inf"))
    same = (places[:, None] == places) & ~own
    likelihood = (logits - logits.logsumexp(dim=1, keepdim=True)).masked_fill(~same, 0.0)
    return -(likelihood.sum(dim=1) / same.sum(dim=1)).mean()
