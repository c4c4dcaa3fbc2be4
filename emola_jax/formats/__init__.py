"""Checkpoints and weights of other formats, to and from."""
