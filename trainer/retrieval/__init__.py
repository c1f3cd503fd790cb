"""Queries, their right answers, similarities, rankings and metrics.

In: tables and features of a dataset. Out: ranks, average precision, recall.
"""
