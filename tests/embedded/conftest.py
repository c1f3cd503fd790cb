"""What every test of a training needs."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def usual_settings() -> Iterator[None]:
    """What a training sets for its process does not leak into other tests."""
    threads = torch.get_num_threads()
    yield
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]
    torch.set_num_threads(threads)
