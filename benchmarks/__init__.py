"""One script a claim: each prints its figures and writes them under benchmarks/results/.

python -m benchmarks.train_step --preset=small
"""
