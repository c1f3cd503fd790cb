"""The procedural world: aerial scenes with exact scene graphs, their edits, and pictures of them."""
