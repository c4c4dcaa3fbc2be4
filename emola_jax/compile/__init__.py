"""Compiles a run's programs for TPUs that are not at hand, and says what they would need."""
