"""Trains the embedded vision language model, a small CLIP.

In: drawn scenes with their graphs, and captions written from them. Out: a folder that open_clip loads.
"""
