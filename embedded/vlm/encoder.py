"""The encoder's shape, its tokenizer, and its forward pass, as open_clip's but faster."""

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch.nn.attention import SDPBackend, sdpa_kernel

from embedded.world.vocabulary import COLOURS, OBJECTS, PREDICATES, SIZES

IMAGE_SIZE = 96
CONTEXT_LENGTH = 96
VOCABULARY = 1024
MEAN = STD = (0.5, 0.5, 0.5)
PAD, START, END = "<pad>", "<s>", "</s>"
PAD_ID, START_ID, END_ID = 0, 1, VOCABULARY - 1

# Plain words that captions seldom or never hold, so that other people's texts are few tokens as well.
OTHER_WORDS = """
add remove delete put place make turn change become keep same swap replace move shift drop take away bring
give get want need let show find look like with without but only just now then before after more fewer less
another other extra new old instead rather than not no any all every each both none this that these those it
its them they their here one bigger smaller larger should would could must can will be been being is are was
were has have had do does did to from into onto out up down over under off near by between across around
along where which what who when how if so also too very please image picture scene photo view colour color
size number count position increase decrease reduce enlarge shrink paint recolour repaint relocate grow
water river lake sea beach street road building house field forest farm bridge harbor ship boat truck bus
train tree grass sand stone bare land dense sparse residential industrial commercial dark light bright long
short wide narrow round square straight curved wooden metal concrete green grey gray black brown pink purple
orange
"""


def model_config() -> dict[str, Any]:
    """`model_cfg` of open_clip: a ModifiedResNet with attention pooling, a small causal text transformer."""
    return {
        "embed_dim": 256,
        "vision_cfg": {
            "image_size": IMAGE_SIZE,
            "layers": [1, 2, 2, 1],
            "width": 32,
            "head_width": 32,
            "patch_size": None,
        },
        "text_cfg": {
            "context_length": CONTEXT_LENGTH,
            "vocab_size": VOCABULARY,
            "hf_tokenizer_name": "tokenizer",
            "width": 192,
            "heads": 3,
            "layers": 3,
        },
    }


def build_model(seed: int) -> Any:
    """The untrained encoder.

    Words' embeddings start ten times larger than open_clip's and those of start and end at nothing: the
    feature is read at the end token, and captions of other words would begin nearly parallel.
    """
    from open_clip import CLIP

    torch.manual_seed(seed)
    config = model_config()
    model = CLIP(config["embed_dim"], config["vision_cfg"], config["text_cfg"])
    torch.nn.init.normal_(model.token_embedding.weight, std=0.2)
    with torch.no_grad():
        model.token_embedding.weight[[START_ID, END_ID]] = 0
        _aim_heads_at_cells(model.visual.attnpool)
    return model


def _aim_heads_at_cells(pool: Any) -> None:
    """Start the pooling with three heads looking at each cell of the feature map, and the rest anywhere.

    From open_clip's start, where all heads take the mean and position embeddings are small beside the
    features, the encoder learns soon what things are, and long after still not where.
    """
    heads, cells = pool.num_heads, len(pool.positional_embedding) - 1
    width = pool.k_proj.out_features // heads
    torch.nn.init.normal_(pool.positional_embedding, std=0.7)
    strength = (4 * width**0.5) ** 0.5  # a head's own cell gets 4 more than the others before the softmax
    for head in range(heads // cells * cells):
        rows = slice(head * width, (head + 1) * width)
        where = pool.positional_embedding[1 + head % cells]
        direction = torch.nn.functional.normalize(torch.randn(width), dim=0)
        pool.k_proj.weight[rows] += strength * torch.outer(direction, where / where.square().sum())
        pool.q_proj.bias[rows] += strength * direction


def train_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Byte-level BPE; the end of text is the highest id, where open_clip's argmax pooling looks for it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    # of the datasets' words, some have no part in the training: a tokenizer knows more words than its model
    names = (word for entry in OBJECTS.values() for word in (entry.name, entry.plural))
    words = " ".join((OTHER_WORDS, *names, *COLOURS, *SIZES, *PREDICATES))
    tokenizer.train_from_iterator(
        [*texts, *(words for _ in range(20))],
        trainers.BpeTrainer(
            vocab_size=VOCABULARY - 1,
            special_tokens=[PAD, START],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    fillers = VOCABULARY - 1 - tokenizer.get_vocab_size()
    tokenizer.add_special_tokens([f"<unused{number}>" for number in range(fillers)])
    tokenizer.add_special_tokens([END])
    ends = [(START, START_ID), (END, END_ID)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{START} $A {END}", special_tokens=ends)
    return tokenizer


class Texts(NamedTuple):
    """Tokens of the shorter and the longer half of a batch, apart to save padding; `order` puts them back."""

    short: torch.Tensor
    long: torch.Tensor
    order: torch.Tensor


def tokenise_halves(tokenizer: Tokenizer, texts: list[str]) -> Texts:
    """The texts' tokens, in two halves by length; at least two texts."""
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    ordered, half = [texts[row] for row in order], len(texts) // 2
    short, long = tokenise(tokenizer, ordered[:half]), tokenise(tokenizer, ordered[half:])
    return Texts(short, long, torch.tensor(order).argsort())


def tokenise(tokenizer: Tokenizer, texts: list[str]) -> torch.Tensor:
    """Token ids (texts, longest text rounded up to 16), padded; a text that is cut keeps its end token."""
    rows = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    rows = [row if len(row) <= CONTEXT_LENGTH else [*row[: CONTEXT_LENGTH - 1], END_ID] for row in rows]
    longest = -(-max(map(len, rows)) // 16) * 16  # few different shapes: each costs kernels of its own
    tokens = torch.full((len(rows), longest), PAD_ID)
    for number, row in enumerate(rows):
        tokens[number, : len(row)] = torch.tensor(row)
    return tokens


def encode_text(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """open_clip's `encode_text` without the columns that hold padding alone: the same features, faster.

    Causal attention never looks at what follows the end token, so that the padding can go.
    """
    length = tokens.shape[1]
    x = model.token_embedding(tokens) + model.positional_embedding[:length]  # (B, L, width)
    x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
    x = x[torch.arange(len(tokens), device=tokens.device), tokens.argmax(dim=-1)]
    return model.ln_final(x) @ model.text_projection  # (B, D)


def encode_halves(model: Any, texts: Texts) -> torch.Tensor:
    """(B, D) of a batch whose shorter and longer texts are apart, for training."""
    # on CPU the backward pass of plain products takes less than that of the fused attention
    on_cpu = texts.short.device.type == "cpu"
    with sdpa_kernel(SDPBackend.MATH) if on_cpu else nullcontext():
        halves = [encode_text(model, tokens) for tokens in (texts.short, texts.long)]
    return torch.cat(halves)[texts.order]


def encode_image(model: Any, x: torch.Tensor) -> torch.Tensor:
    """open_clip's `encode_image`, pooled for one query alone: the same features, faster."""
    return pool_cells(model, cell_features(model, x))


def cell_features(model: Any, x: torch.Tensor) -> torch.Tensor:
    """What the image tower pools: (B, cells, channels), the cells of a 3 x 3 grid row by row."""
    tower = model.visual
    x = tower.layer4(tower.layer3(tower.layer2(tower.layer1(tower.stem(x)))))
    return x.flatten(2).transpose(1, 2)


def pool_cells(model: Any, x: torch.Tensor) -> torch.Tensor:
    """Image features (B, D) of cell features."""
    pool = model.visual.attnpool
    x = torch.cat([x.mean(dim=1, keepdim=True), x], dim=1) + pool.positional_embedding

    def heads(y: torch.Tensor) -> torch.Tensor:
        return y.unflatten(2, (pool.num_heads, -1)).transpose(1, 2)  # (B, heads, cells, D / heads)

    query, key, value = heads(pool.q_proj(x[:, :1])), heads(pool.k_proj(x)), heads(pool.v_proj(x))
    pooled = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    return pool.c_proj(pooled.transpose(1, 2).flatten(1))  # (B, D)
