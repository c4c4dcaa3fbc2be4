"""Tensors in files: read piece by piece, named, reshaped. Knows no model."""
