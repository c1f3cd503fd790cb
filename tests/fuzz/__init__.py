"""Readers that are given damaged and odd bytes: by the tests, by `make soak`, and by `make fuzz`.

`targets.py` lists the readers. Each either reads bytes right, or refuses them as a user's mistake with file
and remedy. `mutate.py` makes odd bytes of sound ones; `python -m tests.fuzz` searches for new ones by
coverage. What a search found lies in `found/<target>/` and is tried by every run of the tests.
"""
