"""Scores as arithmetic: features, logits or samples of two sides go in, numbers come out. One file here adds a metric."""
