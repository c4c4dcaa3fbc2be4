"""Questions to a model over a split, and the log of its answers."""
