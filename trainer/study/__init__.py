"""The evidence: many seeds, trials on validation, ablations, intervals and paired tests.

In: the tables and features of a `dvc repro`. Out: one long table of results, and pages made from it.
"""
