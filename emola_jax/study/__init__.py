"""Commands over several runs: ablation and cross-validation."""
