"""Measure a model on tiles of photographs that it has never seen:

    python -m embedded.photographs.evaluate --model FOLDER --photographs FOLDER --places site3,site4

Texts are captions that state every fact of a tile's graph. Tiles are cut as the stage `corpus` does it.
"""

import argparse
import json
import logging
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from embedded.photographs.maps import pixel_batches
from embedded.photographs.photographs import read_photographs
from embedded.photographs.tiles import cut_views, with_graphs
from embedded.vlm.captions import describe
from embedded.vlm.evaluate import recall
from pipeline.base.errors import UserError
from pipeline.corpus.tiles import Cutting
from pipeline.graph.scene_graph import GroupGraph

_TEXTS = 64  # at a time


def measure(scores: torch.Tensor, graphs: list[GroupGraph], numbers: list[int]) -> dict[str, Any]:
    """Percent of texts whose own tile is found.

    Args:
        scores: (N, N) texts by tiles.
        numbers: for each tile that of its photograph.

    Returns:
        `all`: among all tiles; `alike`: the same, where a tile with an equal graph is right too;
        `one_photograph`: R@1 among the text's own tile and those of its photograph with other graphs.
    """
    _, same = np.unique([repr(graph) for graph in graphs], return_inverse=True)
    equal = torch.from_numpy(same[:, None] == same)
    place = torch.tensor(numbers)
    here = place[:, None] == place
    own = scores.diagonal().unsqueeze(1)
    best = scores.masked_fill(~equal, -torch.inf).amax(dim=1, keepdim=True)
    rank = ((scores > best) & ~equal).sum(dim=1)
    others = (here & ~equal).sum(dim=1)
    first = ~((scores > own) & here & ~equal).any(dim=1)
    return {
        "tiles": len(graphs),
        "all": recall(scores),
        "alike": {f"R@{k}": round(100 * (rank < k).float().mean().item(), 1) for k in (1, 10)},
        "one_photograph": {
            "R@1": round(100 * first[others > 0].float().mean().item(), 1),
            "chance": round(100 * (1 / (1 + others[others > 0].float())).mean().item(), 1),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--places", default="")
    parser.add_argument("--tile", type=int, default=180)
    parser.add_argument("--overlap", type=int, default=120)
    parser.add_argument("--keep", type=float, default=0.85)
    parser.add_argument("--objects", type=int, nargs=2, default=(1, 8))
    parser.add_argument("--most", type=int, default=395, help="tiles, drawn at random")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")  # how far the maps are
    torch.set_num_threads(options.threads)
    try:
        figures = evaluate(options)
    except UserError as error:
        raise SystemExit(str(error)) from None
    print(json.dumps(figures, indent=1))


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Cut the tiles, encode them and their captions, and measure.

    Raises:
        UserError: the photographs cannot be used, or no tile is left.
    """
    import open_clip

    photographs = read_photographs(options.photographs, [p for p in options.places.split(",") if p])
    cutting = Cutting(options.tile, options.overlap, options.keep, objects=tuple(options.objects))
    views, graphs = with_graphs(cut_views(photographs, cutting))
    if not views:
        remedy = "Give a smaller --tile, or other --objects"
        raise UserError("no tile of the photographs is left", remedy, file=options.photographs)
    chosen = sorted(random.Random(0).sample(range(len(views)), min(options.most, len(views))))
    views, graphs = [views[row] for row in chosen], [graphs[row] for row in chosen]
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{options.model}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{options.model}")
    model.eval()
    rng = random.Random(5)
    texts = [describe(graph, rng).text for graph in graphs]
    parts = [texts[start : start + _TEXTS] for start in range(0, len(texts), _TEXTS)]
    with torch.inference_mode():
        pixels = pixel_batches(photographs, views, preprocess)
        images = torch.cat([F.normalize(model.encode_image(batch), dim=-1) for batch in pixels])
        words = torch.cat([F.normalize(model.encode_text(tokenizer(part)), dim=-1) for part in parts])
    return measure(words @ images.T, graphs, [view.number for view in views])


if __name__ == "__main__":
    main()
