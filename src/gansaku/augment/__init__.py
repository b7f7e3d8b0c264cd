"""Augmentations of what the discriminator sees. Real and generated samples and penalty points pass alike."""

from __future__ import annotations

from gansaku.augment.adaptive import Adaptive, Scheduled
from gansaku.augment.diffaugment import DiffAugment
from gansaku.augment.plain import Mirror, Noise
from gansaku.augment.transforms import Transforms

__all__ = ["Adaptive", "DiffAugment", "Mirror", "Noise", "Scheduled", "Transforms"]
