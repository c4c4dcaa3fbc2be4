"""The commands: one file a verb, thin."""
