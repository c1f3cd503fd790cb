"""What a prefix cache could share."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.llm.prefix import SharedPrefix

PROMPTS = st.lists(st.lists(st.integers(0, 1), max_size=12), min_size=1, max_size=6)


@given(PROMPTS, st.integers(1, 4))
def test_the_shared_head_is_what_all_prompts_begin_with_in_full_blocks(
    prompts: list[list[int]], block: int
) -> None:
    shared = SharedPrefix(block)
    for prompt in prompts:
        shared.add(prompt)
    longest = max(n for n in range(13) if all(len(p[:-1]) >= n and p[:n] == prompts[0][:n] for p in prompts))
    assert shared.tokens == longest // block * block
