"""Write a trained captioner as a Hugging Face folder that transformers and vLLM load."""

import json
from pathlib import Path

from tokenizers import Tokenizer

from embedded.captioner.batches import TEMPLATE
from embedded.captioner.model import Captioner, Shape
from embedded.captioner.tokens import END, SPECIAL
from embedded.training import write_model


def export(model: Captioner, shape: Shape, tokenizer: Tokenizer, folder: Path) -> None:
    """Weights as float16 safetensors, tokenizer, chat template and configurations into `folder`."""
    end_id = tokenizer.get_vocab()[END]
    generation = {"do_sample": False, "eos_token_id": end_id, "pad_token_id": end_id, "max_new_tokens": 256}
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": shape.context,
        "eos_token": END,
        "pad_token": END,
        "bos_token": None,
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "additional_special_tokens": [token for token in SPECIAL if token != END],
        "model_input_names": ["input_ids", "attention_mask"],
    }
    texts = {
        "tokenizer.json": tokenizer.to_str(pretty=False),
        "chat_template.jinja": TEMPLATE.read_text(),
        "config.json": json.dumps(shape.to_config(end_id), indent=2) + "\n",
        "generation_config.json": json.dumps(generation, indent=2) + "\n",
        "tokenizer_config.json": json.dumps(tokenizer_config, indent=2) + "\n",
    }
    write_model(folder, texts, "model.safetensors", model.state_dict(), {"format": "pt"})
