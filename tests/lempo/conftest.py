from tests.stages.conftest import toy, word_tokenizer

__all__ = ["toy", "word_tokenizer"]
