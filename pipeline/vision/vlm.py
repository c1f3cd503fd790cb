"""The vision language model: any CLIP-like model that open_clip loads, its identity, its text features."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pipeline.base.errors import UserError
from pipeline.base.files import sha256_file
from pipeline.base.params import VlmParams
from pipeline.vision import source as vlm_source
from pipeline.vision.architecture import architecture

if TYPE_CHECKING:
    import torch


class TextTokenizer:
    """The tokenizer of a VLM, usable without the model."""

    def __init__(self, tokenizer: Any, context_length: int) -> None:
        self._tokenizer = tokenizer
        self.context_length = context_length

    def __call__(self, texts: Sequence[str]) -> "torch.Tensor":
        """Tokens (N, context_length), padded, and cut at the end where a text is longer."""
        return self._tokenizer(list(texts), context_length=self.context_length)

    def save(self, folder: Path) -> None:
        """Write a tokenizer of transformers into a folder."""
        self._tokenizer.save_pretrained(folder)

    def count(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, uncut, start and end tokens included."""
        tokenizer = self._tokenizer
        if hasattr(tokenizer, "encode"):  # open_clip's own BPE: bare tokens
            return [len(tokenizer.encode(text)) + 2 for text in texts]
        if hasattr(tokenizer, "clean_fn"):
            cleaned = [tokenizer.clean_fn(text) for text in texts]
        else:
            from open_clip.tokenizer import basic_clean, canonicalize_text

            cleaned = [canonicalize_text(basic_clean(text)) for text in texts]
        if not cleaned:
            return []
        bare = getattr(tokenizer, "tokenizer_mode", "") == "clips"
        encoded = tokenizer.tokenizer(cleaned, add_special_tokens=not bare, truncation=False, verbose=False)
        return [len(ids) + (2 if bare else 0) for ids in encoded["input_ids"]]


@dataclass(frozen=True)
class Vlm:
    """A loaded model, in eval mode.

    `identity` says what its features depend on: the keys of `identity.py`.
    """

    model: Any
    preprocess: Any  # PIL image -> float tensor (3, H, W)
    tokenizer: TextTokenizer
    dimension: int
    device: str
    identity: dict[str, Any]

    @property
    def context_length(self) -> int:
        return self.tokenizer.context_length

    def encode_images(self, images: "torch.Tensor") -> "torch.Tensor":
        """L2-normalised features (n, D), float32, of preprocessed images (n, 3, H, W); no gradients.

        The precision `amp_bf16` computes products in bfloat16 and keeps the weights in float32.
        """
        import torch

        dtype = next(self.model.visual.parameters()).dtype
        images = images.to(self.device, dtype, non_blocking=True, memory_format=torch.channels_last)
        mixed = self.identity["precision"] == "amp_bf16"
        with torch.inference_mode(), torch.autocast(torch.device(self.device).type, torch.bfloat16, mixed):
            features = self.model.encode_image(images)
        return torch.nn.functional.normalize(features.float(), dim=-1)

    def tokenize(self, texts: Sequence[str]) -> "torch.Tensor":
        """Tokens (N, context_length), int64, on the CPU."""
        return self.tokenizer(texts)


def resolve_device(name: str) -> str:
    """`auto` becomes `cuda` where there is one, else `cpu`.

    Raises:
        UserError: `cuda` is requested, but there is no CUDA device.
    """
    import torch

    available = torch.cuda.is_available()
    if name == "auto":
        return "cuda" if available else "cpu"
    if name == "cuda" and not available:
        raise UserError(
            "no CUDA device is available", "Set it to auto or cpu", file="params.yaml", field="speed.device"
        )
    return name


def load_vlm(params: VlmParams, device: str = "auto", root: Path = Path(".")) -> Vlm:
    """Load a model through open_clip, in eval mode.

    Args:
        params: model and weights; relative paths are relative to `root`.
        device: auto, cpu or cuda.

    Raises:
        UserError: the model, its weights or the device is missing, or the weights do not fit the model.
    """
    source = vlm_source.locate(params, root)
    vlm_source.check_named(source, params)
    import open_clip
    import torch

    device = resolve_device(device)
    remedy = "Check the folder or name, and that the weights belong to this model"
    if source.name.startswith(vlm_source.HUB):
        name = source.name.removeprefix(vlm_source.HUB)
        remedy = f"Check the name, or fetch it where there is a network (`hf download {name}`)"
    with _loading(source, params, "model", remedy):
        model, _, preprocess = open_clip.create_model_and_transforms(
            source.name, pretrained=source.pretrained, precision=params.precision, device=device
        )
        built_as = architecture(model, source)
    model.eval()
    tokenizer = load_tokenizer(params, root)
    with torch.inference_mode():
        dimension = model.encode_text(tokenizer(["a"]).to(device)).shape[-1]
    return Vlm(
        model=model,
        preprocess=preprocess,
        tokenizer=tokenizer,
        dimension=dimension,
        device=device,
        identity={
            "model": params.model,
            "pretrained": params.pretrained,
            "precision": params.precision,
            "architecture": built_as,
            "weights_sha256": sha256_file(source.weights) if source.weights else _sha256_of_state(model),
            "preprocessing": " ".join(repr(model.visual.preprocess_cfg).split()),
            "open_clip": open_clip.__version__,
            **({"trust_remote_code": True} if params.trust_remote_code else {}),
        },
    )


def load_tokenizer(params: VlmParams, root: Path = Path(".")) -> TextTokenizer:
    """Load the tokenizer alone, without building the model.

    Raises:
        UserError: the model or its tokenizer is missing, or the tokenizer cannot make rows of one length.
    """
    source = vlm_source.locate(params, root)
    vlm_source.check_named(source, params)
    import open_clip

    remedy = "Check that the folder holds its tokenizer files, with a pad_token in tokenizer_config.json"
    with _loading(source, params, "model's tokenizer", remedy):
        text_config = (open_clip.get_model_config(source.name) or {}).get("text_cfg", {})
        trust = {"trust_remote_code": True} if params.trust_remote_code else {}
        tokenizer = open_clip.get_tokenizer(
            source.name, **(trust if text_config.get("hf_tokenizer_name") else {})
        )
        _give_pad_token(tokenizer, text_config)
        found = TextTokenizer(tokenizer, tokenizer.context_length)
        found(["a"])
    return found


def _give_pad_token(tokenizer: Any, text_config: dict[str, Any]) -> None:
    """A tokenizer without a pad token pads with the `pad_id` of the model's text tower, 0 by default.

    A tower of transformers has a pad token of its own, which is not known here: there it stays missing.
    """
    inner = getattr(tokenizer, "tokenizer", None)
    if inner is not None and inner.pad_token is None and not text_config.get("hf_model_name"):
        inner.pad_token = inner.convert_ids_to_tokens(text_config.get("pad_id", 0))


@contextmanager
def _loading(source: vlm_source.VlmSource, params: VlmParams, thing: str, remedy: str) -> Iterator[None]:
    """Keep a local model off the network, pickles unopened, and code of models out unless it is trusted.

    Every error of open_clip, transformers and safetensors becomes a `UserError`.
    """
    code = nullcontext() if params.trust_remote_code else no_remote_code()
    # of a hub model open_clip also takes a .bin file, and opens it anew without limits after some errors
    tensors_only = vlm_source.environment(TORCH_FORCE_WEIGHTS_ONLY_LOAD="1")
    try:
        with vlm_source.offline(source.is_local), tensors_only, code:
            yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"open_clip cannot load the {thing}",
            remedy,
            file="params.yaml",
            field="vlm.model",
            value=f"{params.model}: {' '.join(str(error).split())}",
        ) from None


@contextmanager
def no_remote_code() -> Iterator[None]:
    """Inside the block transformers runs no file of a model, whatever arguments open_clip passes on to it.

    transformers itself would ask on the terminal whether to run it.
    """
    from transformers import dynamic_module_utils as dynamic

    def refuse(name: str, *_: Any, **__: Any) -> NoReturn:
        raise UserError(
            "the model asks for code of its own to be run",
            f"Read that code, and set {vlm_source.TRUST}: true in params.yaml to trust it",
            file="params.yaml",
            field=vlm_source.TRUST,
            value=name,
        )

    before = dynamic.get_class_in_module, dynamic.TIME_OUT_REMOTE_CODE
    dynamic.get_class_in_module, dynamic.TIME_OUT_REMOTE_CODE = refuse, 0  # 0: it does not ask
    try:
        yield
    finally:
        dynamic.get_class_in_module, dynamic.TIME_OUT_REMOTE_CODE = before


def _sha256_of_state(model: Any) -> str:
    """Hash of the names and bytes of all tensors, sorted by name, for weights that are not one local file."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
