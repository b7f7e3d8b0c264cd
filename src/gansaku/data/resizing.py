"""One resize for every picture: to a size by cropping, fitting, padding or stretching, with an antialiasing filter.

The filters are Pillow's: made smaller, a pixel is the weighted mean of all that it covers (but for `nearest`). They work on
the stored sRGB values and not on linear light, although light adds up linearly: FID's own resize, Pillow's and that of the
published datasets do so too, and scores are comparable only between sets that were made small in the same way.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from gansaku.data.cuts import Picture
from gansaku.data.policy import Policy

Part = tuple[float, float, float, float]  # left, top, right, bottom
Space = tuple[int, int]  # height, width

FILTERS = {
    "lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "box": Image.Resampling.BOX,
    "nearest": Image.Resampling.NEAREST,
}


def resized(picture: Picture, space: Space, policy: Policy, part: Part | None = None) -> Picture:
    """(H, W, C) -> (*space, C) by the policy's `fit` and `filter`; of `part` alone, which lies inside, where it is given.

    `crop` keeps the middle, `stretch` all of it, `pad` sets all of it on the background; of `fit` a side may be smaller.
    Scaling and cutting are one step: the pixels at the cut are filtered as inside the whole picture.
    """
    left, top, right, bottom = part or (0, 0, picture.shape[1], picture.shape[0])
    if policy.fit == "crop":
        left, top, right, bottom = middle((left, top, right, bottom), space)
    whole = policy.fit in ("fit", "pad")
    inner = inside(bottom - top, right - left, space) if whole else space
    scaled = scaled_part(picture, inner, policy.filter, (left, top, right, bottom))
    return on_background(scaled, space, policy.background) if policy.fit == "pad" else scaled


def fitted_space(height: int, width: int, policy: Policy) -> Space:
    """The (height, width) that a picture comes to: the policy's, but for `fit`; its own where none is asked for."""
    if policy.space is None:
        return height, width
    return inside(height, width, policy.space) if policy.fit == "fit" else policy.space


def decode_least(height: int, width: int, policy: Policy) -> Space | None:
    """What a scaled decode of a picture must not fall below: twice the size that all of it would be scaled to.

    None: to be decoded at full size. `nearest` asks for pixels of the file itself, not for means of them.
    """
    if policy.space is None or policy.full_decode or policy.filter == "nearest":
        return None
    scales = policy.space[0] / height, policy.space[1] / width
    if policy.fit != "stretch":
        scales = ((max if policy.fit == "crop" else min)(scales),) * 2
    return math.ceil(2 * height * scales[0]), math.ceil(2 * width * scales[1])


def inside(height: float, width: float, space: Space) -> Space:
    """The largest (height, width) of this shape in `space`, to the nearest pixel, at least 1; of a space so found, itself."""
    by_width = round(height * space[1] / width), space[1]
    by_height = space[0], round(width * space[0] / height)
    best = max((found for found in (by_width, by_height) if found[0] <= space[0] and found[1] <= space[1]), key=math.prod)
    return max(1, best[0]), max(1, best[1])


def middle(box: Part, space: Space) -> Part:
    """The largest part of the shape of `space` in the middle of a box; at whole pixels where nothing need be scaled."""
    left, top, right, bottom = box
    scale = max(space[0] / (bottom - top), space[1] / (right - left))
    height, width = min(bottom - top, space[0] / scale), min(right - left, space[1] / scale)
    left, top = left + (right - left - width) / 2, top + (bottom - top - height) / 2
    if scale == 1:
        left, top = math.floor(left), math.floor(top)
    return left, top, left + width, top + height


def scaled_part(picture: Picture, space: Space, how: str, box: Part) -> Picture:
    """The box of a picture, (H, W, C) -> (*space, C); the picture itself where that is all of it in its own size."""
    height, width, channels = picture.shape
    all_of_it: Part = (0.0, 0.0, float(width), float(height))
    if space == (height, width) and box == all_of_it:
        return picture
    image = Image.fromarray(picture[..., 0] if channels == 1 else picture)
    scaled = image.resize((space[1], space[0]), FILTERS[how], box=box)
    return np.asarray(scaled).reshape(*space, channels)


def on_background(picture: Picture, space: Space, background: tuple[int, int, int]) -> Picture:
    """A picture in the middle of a larger one, which has the background's colour, or its grey."""
    height, width, channels = picture.shape
    if (height, width) == space:
        return picture
    padded = np.empty((*space, channels), np.uint8)
    padded[:] = grey_of(background) if channels == 1 else background
    top, left = (space[0] - height) // 2, (space[1] - width) // 2
    padded[top : top + height, left : left + width] = picture
    return padded


def grey_of(colour: tuple[int, int, int]) -> int:
    """The grey of a colour by ITU-R 601, as Pillow rounds it."""
    return (19595 * colour[0] + 38470 * colour[1] + 7471 * colour[2] + 0x8000) >> 16
