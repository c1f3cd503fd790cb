"""The model card of a tuned folder: what it is, from what, how it was tuned, what it reached."""

from typing import Any

from trainer.similarity import SHARES, TERMS

_MEASURES = ("R@1", "R@5", "R@10", "R@50", "mAP", "mean_recall")


def model_card(record: dict[str, Any], test: dict[str, dict[str, float]] | None = None) -> str:
    """Markdown with the front matter that model hubs read.

    Args:
        record: of `lempo.json`.
        test: metrics on the test split in percent, by method, where they are known.
    """
    weights, mixture = record["weights"], record["mixture"]
    measured = {f"validation, {name}": metrics for name, metrics in record["validation"].items()}
    measured |= {f"test, `{name}`": metrics for name, metrics in (test or {}).items()}
    lines = [
        "---",
        "library_name: open_clip",
        "pipeline_tag: zero-shot-image-classification",
        "tags: [composed-image-retrieval, remote-sensing, lempo]",
        "---",
        f"# Text encoder tuned for composed retrieval on `{record['dataset']}`",
        "",
        f"The text encoder of `{record['source']['model']}`, tuned by LEmpo with the vision side fixed: the",
        "vision weights are those of the source, so its image embeddings stay valid. The same as JSON:",
        "`lempo.json`.",
        "",
        "```python",
        "import open_clip",
        'model, preprocess = open_clip.create_model_from_pretrained("local-dir:<this folder>")',
        'tokenizer = open_clip.get_tokenizer("local-dir:<this folder>")',
        "```",
        "",
        "## Similarity",
        "",
        "| term | weight | | part of the triplet query | share |",
        "|---|---|---|---|---|",
        *(
            f"| {term} | {weights[term]:.2f} | | {share} | {mixture[share]:.2f} |"
            for term, share in zip(TERMS, SHARES, strict=True)
        ),
        "",
        f"Chosen on the validation split. Temperature {record['temperature']:.4f}.",
        "",
        "## Measured, percent",
        "",
        "| | " + " | ".join(_MEASURES) + " |",
        "|---" * (1 + len(_MEASURES)) + "|",
        *(
            f"| {name} | " + " | ".join(f"{metrics[measure]:.1f}" for measure in _MEASURES) + " |"
            for name, metrics in measured.items()
        ),
        "",
        "## How",
        "",
        f"- seed {record['seed']}, best epoch {record['best_epoch']}",
        *(f"- {name}: {value}" for name, value in record["tune"].items()),
        f"- source weights, sha256: `{record['source']['weights_sha256']}`",
        *(f"- {name} {version}" for name, version in record["versions"].items()),
    ]
    return "\n".join(lines) + "\n"
