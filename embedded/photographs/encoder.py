"""The model: a folder's convolutional trunk, its text tower, and attention pooling in place of an average.

An average keeps no place and hardly a number. open_clip's own `abs_attn` pool does: each of its heads looks
at a part of the map. All but the last block of the trunk stays as it was: its maps are computed once.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from pipeline.base.errors import UserError

WEIGHTS, CONFIG = "open_clip_model.safetensors", "open_clip_config.json"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
_TRUNK = ("conv_stem", "bn1", "blocks", "conv_head", "bn2")
_AIM = 4.0  # what a head's own part of the map gets more than the others, before the softmax
_PARTS = 3  # a side of the grid of parts


def config_of(folder: Path, image_size: int) -> dict[str, Any]:
    """`open_clip_config.json` of the model that starts from a folder.

    Raises:
        UserError: the folder lacks a file, or its towers are of another kind.
    """
    for name in (CONFIG, WEIGHTS, *TOKENIZER):
        if not (folder / name).is_file():
            raise UserError(
                "the file is missing", "Name an open_clip folder with --start", file=folder / name
            )
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    values = config["model_cfg"]
    if "timm_model_name" not in values["vision_cfg"]:
        remedy = "Start from a folder with one"
        raise UserError("the image tower is no timm network", remedy, file=folder / CONFIG)
    if values.get("custom_text") or values["text_cfg"].get("pool_type", "argmax") != "argmax":
        remedy = "Start from a folder with one that reads its feature at the end of the text"
        raise UserError("the text tower is not open_clip's usual one", remedy, file=folder / CONFIG)
    values["vision_cfg"] |= {"timm_pool": "abs_attn", "timm_proj": "", "image_size": image_size}
    return config


def build_model(folder: Path, config: dict[str, Any], seed: int) -> Any:
    """The model at the start of its training, with the weights of the folder where both have them.

    Raises:
        UserError: the trunk has other parts than those of timm's EfficientNet and MobileNetV2, or no weights.
    """
    from open_clip import CLIP

    torch.manual_seed(seed)
    model = CLIP(**config["model_cfg"])
    if not all(hasattr(model.visual.trunk, part) for part in _TRUNK):
        reason, remedy = "the trunk is built otherwise than EfficientNet", "Start from such a network"
        raise UserError(reason, remedy, file=folder / CONFIG, field="timm_model_name")
    weights = load_file(folder / WEIGHTS)
    missing, _ = model.load_state_dict({name: w.float() for name, w in weights.items()}, strict=False)
    if lacking := [name for name in missing if not name.startswith("visual.head.")]:
        raise UserError(f"the weights lack {lacking[0]}", "Complete the folder", file=folder / WEIGHTS)
    if missing:  # else the folder has such a pool already
        with torch.no_grad():
            _aim_heads(model.visual.head.pool)
    model.visual.trunk.requires_grad_(False)
    for part in last_parts(model):
        part.requires_grad_(True)
    return model.to(memory_format=torch.channels_last)


def last_parts(model: Any) -> list[torch.nn.Module]:
    """The trained parts of the trunk."""
    trunk = model.visual.trunk
    return [trunk.blocks[-1], trunk.conv_head, trunk.bn2]


def first_maps(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) before the trained parts, of normalised pixels."""
    trunk = model.visual.trunk
    return trunk.blocks[:-1](trunk.bn1(trunk.conv_stem(pixels)))


def encode_maps(model: Any, maps: torch.Tensor) -> torch.Tensor:
    """Image features (B, D) of what `first_maps` gives."""
    last, head, norm = last_parts(model)
    return pool_cells(model.visual.head.pool, norm(head(last(maps))))


def pool_cells(pool: Any, maps: torch.Tensor) -> torch.Tensor:
    """What timm's AttentionPool2d gives, for its one query alone, without keys and values of every cell.

    A head's score of a cell is q . (K x) = (K^T q) . x, and its sum of values is V of its sum of x.
    """
    from timm.layers import resample_abs_pos_embed

    heads, width = pool.num_heads, pool.head_dim
    x = maps.flatten(2).transpose(1, 2)  # (B, cells, C)
    x = torch.cat([x.mean(dim=1, keepdim=True), x], dim=1)
    x = x + resample_abs_pos_embed(
        pool.pos_embed.unsqueeze(0), maps.shape[-2:], old_size=pool.feat_size, num_prefix_tokens=1
    )
    wq, wk, wv = pool.qkv.weight.chunk(3)
    bq, _, bv = pool.qkv.bias.chunk(3)  # a key's bias changes nothing
    query = torch.nn.functional.linear(x[:, 0], wq, bq).unflatten(1, (heads, width))
    asked = torch.einsum("bhd,hdc->bhc", query, wk.unflatten(0, (heads, width)))
    attention = (asked @ x.transpose(1, 2) * pool.scale).softmax(dim=-1)  # (B, heads, cells)
    summed = attention @ x  # (B, heads, C)
    values = torch.einsum("bhc,hdc->bhd", summed, wv.unflatten(0, (heads, width))).flatten(1) + bv
    return pool.proj(values)


def _aim_heads(pool: Any) -> None:
    """Start with as many heads looking at each part of a 3 x 3 grid of the map, the rest anywhere."""
    rows, columns = pool.feat_size
    torch.nn.init.normal_(pool.pos_embed, std=0.3)
    place = pool.pos_embed[1:]  # (cells, C)
    part = (torch.arange(rows) * _PARTS // rows)[:, None] * _PARTS + torch.arange(columns) * _PARTS // columns
    wanted = torch.nn.functional.one_hot(part.flatten(), _PARTS**2).float() * _AIM  # (cells, parts)
    directions = torch.linalg.pinv(place) @ wanted  # (C, parts): place @ directions = wanted
    query, key, _ = pool.qkv.weight.chunk(3)
    strength = pool.head_dim**0.25
    for head in range(pool.num_heads // _PARTS**2 * _PARTS**2):
        own = slice(head * pool.head_dim, (head + 1) * pool.head_dim)
        direction = torch.nn.functional.normalize(torch.randn(pool.head_dim), dim=0)
        key[own] += strength * torch.outer(direction, directions[:, head % _PARTS**2])
        pool.qkv.bias[: len(query)][own] += strength * direction
