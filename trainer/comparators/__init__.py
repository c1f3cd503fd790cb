"""What the method is compared with: each file one way to answer a query from cached frozen features."""
