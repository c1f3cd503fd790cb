"""Trials that attack the project: each promise of docs/reliability.md, tried many times.

Every module here with a `PROMISE` holds one kind of trial, as `trial.py` says; modules that begin with `_`
run them and write the page. The tests run a few trials of each; `make soak` runs many and writes what held
into docs/reliability.json and docs/reliability.md.
"""
