"""Files of a dataset to checked tables.

In: a folder with scene graphs, queries and images. Out: rows of three tables, and a reject for every row
left out.
"""
