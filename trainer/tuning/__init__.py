"""Vision-fixed tuning of the text tower.

In: frozen image features, tokens of the queries' texts. Out: an open_clip folder and the curve of the run.
"""
