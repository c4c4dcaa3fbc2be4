"""A config as the objects of a run: data, base, model, state, checkpoints."""
