"""Scene graphs: their groups, edits, notation in a prompt, sentences by rule, and summaries.

In: rows of the table of scene graphs. Out: graphs of groups, and texts.
"""
