"""Gansaku: train a GAN on your pictures or voxels, know whether it works, and know which change made it better."""

__version__ = "0.1.0"
