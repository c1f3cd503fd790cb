"""The captioner as it is trained: a Llama whose parameters have the names of `LlamaForCausalLM`."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    """Sizes of the network; `head` is the width of one attention head."""

    vocabulary: int
    width: int = 192
    layers: int = 5
    head: int = 32
    hidden: int = 384
    context: int = 512
    rope_theta: float = 10_000.0

    def to_config(self, end_id: int) -> dict[str, object]:
        """The `config.json` that transformers and vLLM read."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.vocabulary,
            "hidden_size": self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.width // self.head,
            "num_key_value_heads": self.width // self.head,
            "head_dim": self.head,
            "intermediate_size": self.hidden,
            "max_position_embeddings": self.context,
            "rope_parameters": {"rope_type": "default", "rope_theta": self.rope_theta},
            "rms_norm_eps": 1e-5,
            "hidden_act": "silu",
            "attention_bias": False,
            "mlp_bias": False,
            "tie_word_embeddings": True,
            "bos_token_id": None,
            "eos_token_id": end_id,
            "pad_token_id": end_id,
            "dtype": "float16",
        }


class _Norm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, x.shape[-1:], self.weight.to(x.dtype), 1e-5)


class _Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.head = shape.head
        self.q_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.k_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.v_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.o_proj = nn.Linear(shape.width, shape.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, length, width = x.shape
        q, k, v = (
            proj(x).view(batch, length, -1, self.head).transpose(1, 2)  # (B, heads, T, head)
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        y = _attend(_turn(q, cos, sin), _turn(k, cos, sin), v)
        return self.o_proj(y.transpose(1, 2).reshape(batch, length, width))


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    if q.is_cuda:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    # written out: in bfloat16 on a CPU its backward is three times as fast as that of the fused kernel
    length = q.shape[2]
    future = torch.full((length, length), float("-inf"), dtype=q.dtype).triu(1)
    future = future.expand(q.shape[0] * q.shape[1], -1, -1)
    keys = k.flatten(0, 1).transpose(1, 2)
    scores = torch.baddbmm(future, q.flatten(0, 1), keys, alpha=q.shape[-1] ** -0.5)  # (B heads, T, T)
    return torch.bmm(scores.softmax(-1), v.flatten(0, 1)).view_as(q)


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


class _Feedforward(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down_proj = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class _Layer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = _Norm(shape.width)
        self.self_attn = _Attention(shape)
        self.post_attention_layernorm = _Norm(shape.width)
        self.mlp = _Feedforward(shape)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class _Body(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(_Layer(shape) for _ in range(shape.layers))
        self.norm = _Norm(shape.width)


class Captioner(nn.Module):
    """Next-token model; the output matrix is the embedding's."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.model = _Body(shape)
        frequency = shape.rope_theta ** (-torch.arange(0, shape.head, 2).float() / shape.head)
        angle = torch.outer(torch.arange(shape.context).float(), frequency).repeat(1, 2)  # (T, head)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                scale = 0.02 if "embed" in name else parameter.shape[1] ** -0.5
                small = (2 * shape.layers) ** -0.5 if "o_proj" in name or "down_proj" in name else 1.0
                nn.init.normal_(parameter, std=scale * small)

    def forward(self, ids: Tensor, learnt: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Logits at the tokens of `ids` (B, T) that `learnt` (B, T bool) marks: (marked, vocabulary)."""
        table = self.model.embed_tokens.weight
        x = F.embedding(ids, table).to(dtype)
        cos, sin = (t[: ids.shape[1]].to(dtype) for t in (self.cos, self.sin))  # (T, head)
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
            for layer in self.model.layers:
                x = layer(x, cos, sin)
            return F.linear(self.model.norm(x)[learnt], table)
