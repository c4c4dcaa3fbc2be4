"""FABA-Bench metrics: pure functions of text and labels."""
