"""Rendered faces with exact labels, from a CC0 rig."""
