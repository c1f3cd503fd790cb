"""Every method of the evaluation: the registry, and one file for each comparator.

In: features of queries and gallery. Out: a score for every query and image.
"""
