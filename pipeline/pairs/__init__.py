"""Queries from scene graphs: pairs of images a few facts apart, and the modification in words.

In: graphs of a dataset's images, with what they share. Out: queries with exact edits and all right answers.
"""
