"""Each resize against the program that it is named for: Pillow, torch's own bilinear one, and TensorFlow 1's by its formula."""

import numpy as np
import pytest
import torch
from PIL import Image

from gansaku.extractors.resize import RESIZES, matrix, prepared, resized

SIZES = [((32, 32), (299, 299)), ((64, 48), (37, 53)), ((7, 200), (64, 64)), ((400, 400), (299, 299)), ((1, 1), (5, 5))]


def pictures(space, n=2, channels=3, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, channels, *space), dtype=torch.uint8, generator=draw)


def ids(case):
    return "->".join("x".join(map(str, size)) for size in case)


@pytest.mark.parametrize("case", SIZES, ids=ids)
def test_clean_is_pillows_bicubic_on_floats_clipped(case):
    there, wanted = case
    samples = pictures(there)
    made = resized(samples, wanted, "clean")
    for picture, ours in zip(samples, made, strict=True):
        for channel, our in zip(picture, ours, strict=True):
            image = Image.fromarray(channel.numpy().astype(np.float32), "F").resize(wanted[::-1], Image.Resampling.BICUBIC)
            assert np.abs(np.clip(np.asarray(image), 0, 255) - our.numpy()).max() <= 1e-3


@pytest.mark.parametrize("case", SIZES, ids=ids)
def test_pytorch_fid_is_bilinear_interpolation_on_floats(case):
    there, wanted = case
    samples = pictures(there)
    expected = torch.nn.functional.interpolate(samples.double(), wanted, mode="bilinear", align_corners=False)
    torch.testing.assert_close(resized(samples, wanted, "pytorch-fid").double(), expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("case", [((5, 7), (12, 9)), ((20, 9), (6, 6)), ((1, 1), (3, 3))], ids=ids)
def test_tf1_reads_at_i_times_in_over_out(case):
    there, wanted = case
    picture = pictures(there, n=1, channels=1)[0, 0].double()
    slow = torch.empty(wanted, dtype=torch.float64)
    for i in range(wanted[0]):
        for j in range(wanted[1]):
            y, x = i * there[0] / wanted[0], j * there[1] / wanted[1]
            a, b = int(y), int(x)
            c, d = min(a + 1, there[0] - 1), min(b + 1, there[1] - 1)
            top = picture[a, b] * (1 - (x - b)) + picture[a, d] * (x - b)
            bottom = picture[c, b] * (1 - (x - b)) + picture[c, d] * (x - b)
            slow[i, j] = top * (1 - (y - a)) + bottom * (y - a)
    made = resized(picture[None, None].to(torch.uint8), wanted, "tf1")[0, 0]
    torch.testing.assert_close(made.double(), slow, rtol=0, atol=1e-3)


@pytest.mark.parametrize("way", RESIZES)
def test_every_row_of_weights_sums_to_one_and_the_same_size_changes_nothing(way):
    for size, side in ((9, 23), (23, 9), (1, 4)):
        torch.testing.assert_close(matrix(size, side, way).sum(1), torch.ones(side), rtol=0, atol=1e-6)
    assert torch.equal(matrix(16, 16, way), torch.eye(16))


def test_the_range_is_that_of_the_named_program():
    ends = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)
    assert prepared(ends, 3, "pytorch-fid").flatten(1)[:, 0].tolist() == [-1, 1]
    for way in ("tf1", "clean"):
        assert prepared(ends, 3, way).flatten(1)[:, 0].tolist() == [-1, 127 / 128]


def test_an_unknown_way_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="no resize is called 'bilinear'"):
        matrix(3, 4, "bilinear")
