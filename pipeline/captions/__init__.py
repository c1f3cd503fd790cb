"""Rows to texts, for both language stages.

In: rows with a prompt and the graph that their text must state. Out: one row of a caption table for each.
"""
