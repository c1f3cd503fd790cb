"""Trains the embedded captioner, a small Llama that puts scene graphs and edits of them into words.

In: word lists, phrasings and scenes of the world. Out: a folder that transformers and vLLM load.
"""
