"""Write a trained captioner as a Hugging Face folder that transformers and vLLM load."""

import json
import os
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from embedded.captioner.model import Captioner, Shape
from embedded.captioner.tokens import END, SPECIAL

TEMPLATE = Path(__file__).parent / "chat_template.jinja"


def export(model: Captioner, shape: Shape, tokenizer: Tokenizer, folder: Path) -> None:
    """Weights as float16 safetensors, tokenizer, chat template and configurations into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    end_id = tokenizer.token_to_id(END)
    _write(folder / "tokenizer.json", tokenizer.to_str(pretty=False))
    _write(folder / "chat_template.jinja", TEMPLATE.read_text())
    _write_json(folder / "config.json", shape.to_config(end_id))
    _write_json(
        folder / "generation_config.json",
        {"do_sample": False, "eos_token_id": end_id, "pad_token_id": end_id, "max_new_tokens": 256},
    )
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": shape.context,
            "eos_token": END,
            "pad_token": END,
            "bos_token": None,
            "add_bos_token": False,
            "clean_up_tokenization_spaces": False,
            "additional_special_tokens": [token for token in SPECIAL if token != END],
            "model_input_names": ["input_ids", "attention_mask"],
        },
    )
    state = {
        name: tensor.detach().to(torch.float16).contiguous() for name, tensor in model.state_dict().items()
    }
    temporary = folder / ".model.safetensors.tmp"
    save_file(state, temporary, metadata={"format": "pt"})
    temporary.chmod(0o644)
    os.replace(temporary, folder / "model.safetensors")


def _write_json(path: Path, content: dict[str, object]) -> None:
    _write(path, json.dumps(content, indent=2) + "\n")


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
