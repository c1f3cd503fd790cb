"""The keys of `Vlm.identity`, as manifests hold them."""

import pyarrow as pa

from pipeline.base.described import part

_TEXT = pa.string()
IDENTITY = (
    part("model", _TEXT, "the vision language model, as `vlm.model` names it", "local-dir:models/vlm"),
    part(
        "pretrained",
        _TEXT,
        "its weights, as `vlm.pretrained` names them",
        "laion2b_s34b_b79k",
        null="none are named",
    ),
    part("precision", _TEXT, "the numbers that it computes with, as `vlm.precision`", "fp32"),
    part(
        "architecture",
        _TEXT,
        "hash of how it is built: `model_cfg` of its config, with open_clip's defaults",
        "aca3033f...",
    ),
    part("weights_sha256", _TEXT, "sha256 of its weights, in hex", "a0b58dba..."),
    part(
        "preprocessing",
        _TEXT,
        "how the model resizes and normalises a picture",
        "{'size': 96, 'mode': 'RGB', 'mean': [0.5, 0.5, 0.5], 'std': [0.5, 0.5, 0.5], 'interpolation': "
        "'bilinear', 'resize_mode': 'squash', 'fill_color': 0}",
    ),
    part("open_clip", _TEXT, "version of open_clip", "3.3.0"),
    part(
        "trust_remote_code",
        pa.bool_(),
        "whether the model's own code ran",
        True,
        null="it did not: the key is not there",
    ),
)
