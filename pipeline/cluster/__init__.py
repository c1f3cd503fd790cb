"""A Ray cluster: started here or joined, watched while it works, and left.

In: the cluster's address, and Ray datasets. Out: their blocks, until they end or the cluster is lost.
"""
