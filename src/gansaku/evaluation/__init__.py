"""Scores of samples against data: from where the samples come to the number with its passport."""
