"""What `make bench` measures: a module for each measurement, which `registry.py` names.

A module has one function, `measure(run)`, which returns figures by name. `python -m speed` runs them, writes
`results.json`, and makes docs/performance.md of it.
"""
