"""Draws aerial scenes with exact scene graphs, and queries between scenes one edit apart.

In: a `world.yaml`. Out: JPEG files, and rows of images, scene graphs and queries.
"""
