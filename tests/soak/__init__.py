"""Trials that attack the project: each promise of docs/reliability.md, tried many times.

Every module here but `trial` holds one kind of trial. The tests run a few trials of each; `make soak` runs
many and writes what held into docs/reliability.md.
"""
