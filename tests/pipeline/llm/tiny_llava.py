"""A random LLaVA of a few kilobytes with a byte-level tokenizer and a processor of images, to run vLLM on."""

from pathlib import Path

from tests.pipeline.llm.tiny_llama import tiny_config, tiny_tokenizer

IMAGE_SIDE, PATCH = 32, 8  # pixels; so an image is 16 tokens
TEMPLATE = (
    "<bos>{% for m in messages %}{{ m['role'] }}: "
    "{% for part in m['content'] | selectattr('type', 'equalto', 'image') %}<image>\n{% endfor %}"
    "{% for part in m['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] }}\n{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)


def make_tiny_llava(folder: Path, chat_template: str | None = TEMPLATE) -> Path:
    """Write the model's folder; the same bytes every time."""
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    tokenizer = tiny_tokenizer(chat_template, ["<image>"])
    side = {"height": IMAGE_SIDE, "width": IMAGE_SIDE}
    images = CLIPImageProcessor(size={"shortest_edge": IMAGE_SIDE}, crop_size=side)
    LlavaProcessor(
        images,
        tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=chat_template,
    ).save_pretrained(folder)
    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=IMAGE_SIDE,
        patch_size=PATCH,
        projection_dim=32,
    )
    text = tiny_config(len(tokenizer), context=2048)
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
        image_seq_length=(IMAGE_SIDE // PATCH) ** 2,
    )
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    published = {_published(name): weight for name, weight in weights.items()}
    save_file(published, folder / "model.safetensors", {"format": "pt"})
    return folder


def _published(name: str) -> str:
    """The name of a weight in published checkpoints, which vLLM reads; transformers has another one."""
    prefix = "vision_tower."
    return f"{prefix}vision_model.{name.removeprefix(prefix)}" if name.startswith(prefix) else name
