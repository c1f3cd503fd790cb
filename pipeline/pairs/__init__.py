"""Queries from scene graphs: images whose graphs differ by a few facts, and the modification in words."""
