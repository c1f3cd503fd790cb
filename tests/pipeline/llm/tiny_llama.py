"""A random Llama of a few kilobytes with a byte-level tokenizer and a chat template, to run vLLM on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

TEMPLATE = (
    "<bos>{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


def tiny_config(vocabulary: int, context: int) -> Any:
    """The shape of a language model that takes seconds to start."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=context,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        initializer_range=0.3,
    )


def make_tiny_llama(folder: Path, chat_template: str | None = TEMPLATE) -> Path:
    """Write the model's folder; the same bytes every time."""
    import torch
    from transformers import LlamaForCausalLM

    tokenizer = tiny_tokenizer(chat_template)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    LlamaForCausalLM(tiny_config(len(tokenizer), context=512)).save_pretrained(folder)
    return folder


def tiny_tokenizer(chat_template: str | None, further: Sequence[str] = ()) -> Any:
    """Bytes, a few merges, and special tokens: three and `further` ones."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    specials = ["<pad>", "<bos>", "<eos>", *further]
    raw.train_from_iterator(
        ["scene: airport objects: red car at the top left white hangar trees next to"],
        trainers.BpeTrainer(vocab_size=300, special_tokens=specials, initial_alphabet=alphabet),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>"
    )
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    return tokenizer
