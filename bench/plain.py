"""The baselines: the same networks, loss, update order and batch in eager fp32 PyTorch, written the usual way.

Usual means: contiguous memory, Adam as torch builds it when nothing is said, one backward per loss, weight gradients
for whatever the graph reaches, one `.item()` per logged number. Nothing is slowed down on purpose.

Sources, for the order of the statements: PyTorch's examples/dcgan/main.py; the WGAN-GP loop that repositories copy from
each other (eriklindernoren/PyTorch-GAN, with the fakes detached in D's step, which is faster than that file); the
3D-GAN loop of the PyTorch ports (D's loss is propagated back through G as well, since the fakes are not detached).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import relu, softplus
from torch.utils.data import DataLoader, Dataset

from gansaku.keys import key
from gansaku.recipe import Recipe

Noise = Callable[[], Tensor]
Step = Callable[[Tensor], dict[str, float]]
"""One discriminator update and one generator update on real (N, C, *S)."""


class Pair:
    """Generator, discriminator and their optimizers, of the recipe's networks and first weights."""

    def __init__(self, recipe: Recipe, noise: Noise | None = None):
        torch.manual_seed(key(recipe.seed, "weights", "generator"))
        self.generator: nn.Module = recipe.generator.network.build()
        torch.manual_seed(key(recipe.seed, "weights", "discriminator"))
        self.discriminator: nn.Module = recipe.discriminator.network.build()
        self.of_generator, self.of_discriminator = (
            torch.optim.Adam(net.parameters(), lr=player.lr, betas=player.optimizer.betas)  # type: ignore[attr-defined]
            for net, player in ((self.generator, recipe.generator), (self.discriminator, recipe.discriminator))
        )
        self.noise = noise or (lambda: torch.randn(recipe.batch, recipe.latent.size))

    def fake(self) -> Tensor:
        made: Tensor = self.generator(self.noise(), None, None)
        return made

    def judge(self, x: Tensor) -> Tensor:
        logits: Tensor = self.discriminator(x, None, None).logits
        return logits.view(-1)


def dcgan(pair: Pair) -> Step:
    """PyTorch's example, with the sigmoid inside the loss."""
    criterion = nn.BCEWithLogitsLoss()

    def step(real: Tensor) -> dict[str, float]:
        pair.discriminator.zero_grad()
        label = torch.full((len(real),), 1.0)
        output = pair.judge(real)
        loss_real = criterion(output, label)
        loss_real.backward()
        d_real = output.mean().item()

        fake = pair.fake()
        label.fill_(0.0)
        output = pair.judge(fake.detach())
        loss_fake = criterion(output, label)
        loss_fake.backward()
        d_fake = output.mean().item()
        pair.of_discriminator.step()

        pair.generator.zero_grad()
        label.fill_(1.0)
        output = pair.judge(fake)
        loss = criterion(output, label)
        loss.backward()
        pair.of_generator.step()
        return {"d": (loss_real + loss_fake).item(), "g": loss.item(), "d_real": d_real, "d_fake": d_fake}

    return step


def slope_penalty(pair: Pair, real: Tensor, fake: Tensor, mix: Noise | None = None) -> Tensor:
    """WGAN-GP's, by double backward."""
    alpha = (torch.rand(len(real)) if mix is None else mix()).view(-1, 1, 1, 1)
    between = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
    logits = pair.judge(between)
    gradient = torch.autograd.grad(
        outputs=logits,
        inputs=between,
        grad_outputs=torch.ones_like(logits),
        create_graph=True,
        retain_graph=True,
        only_inputs=True,
    )[0]
    return ((gradient.view(len(real), -1).norm(2, dim=1) - 1) ** 2).mean()


def wgan_gp(pair: Pair, weight: float = 10.0, mix: Noise | None = None) -> Step:
    """The usual WGAN-GP loop, one critic step to one of the generator."""

    def step(real: Tensor) -> dict[str, float]:
        pair.of_discriminator.zero_grad()
        fake = pair.fake().detach()
        loss_d = -pair.judge(real).mean() + pair.judge(fake).mean() + weight * slope_penalty(pair, real, fake, mix)
        loss_d.backward()
        pair.of_discriminator.step()

        pair.of_generator.zero_grad()
        loss_g = -pair.judge(pair.fake()).mean()
        loss_g.backward()
        pair.of_generator.step()
        return {"d": loss_d.item(), "g": loss_g.item()}

    return step


def progressive(pair: Pair, weight: float = 10.0, drift: float = 0.001, mix: Noise | None = None) -> Step:
    """The usual loop of a progressive GAN in a stable phase: WGAN-GP's, with the drift on real samples."""

    def step(real: Tensor) -> dict[str, float]:
        pair.of_discriminator.zero_grad()
        fake, of_real = pair.fake().detach(), pair.judge(real)
        loss_d = -of_real.mean() + pair.judge(fake).mean() + weight * slope_penalty(pair, real, fake, mix)
        loss_d = loss_d + drift * (of_real**2).mean()
        loss_d.backward()
        pair.of_discriminator.step()

        pair.of_generator.zero_grad()
        loss_g = -pair.judge(pair.fake()).mean()
        loss_g.backward()
        pair.of_generator.step()
        return {"d": loss_d.item(), "g": loss_g.item()}

    return step


def chainer_dcgan(pair: Pair) -> Step:
    """chainer-gan-lib's order: G first, then D on the same fakes, softplus losses."""

    def step(real: Tensor) -> dict[str, float]:
        fake = pair.fake()
        pair.of_generator.zero_grad()
        loss_g = softplus(-pair.judge(fake)).mean()
        loss_g.backward()
        pair.of_generator.step()

        pair.of_discriminator.zero_grad()
        loss_d = softplus(-pair.judge(real)).mean() + softplus(pair.judge(fake.detach())).mean()
        loss_d.backward()
        pair.of_discriminator.step()
        return {"d": loss_d.item(), "g": loss_g.item()}

    return step


def chainer_wgan_gp(pair: Pair, steps: int = 5, weight: float = 10.0, mix: Noise | None = None) -> Step:
    """chainer-gan-lib's order: five D steps, G on the first of them with the same fakes."""

    def step(real: Tensor) -> dict[str, float]:
        for i in range(steps):
            fake = pair.fake()
            if i == 0:
                pair.of_generator.zero_grad()
                loss_g = -pair.judge(fake).mean()
                loss_g.backward()
                pair.of_generator.step()
            fake = fake.detach()
            pair.of_discriminator.zero_grad()
            loss_d = pair.judge(fake).mean() - pair.judge(real).mean() + weight * slope_penalty(pair, real, fake, mix)
            loss_d.backward()
            pair.of_discriminator.step()
        return {"d": loss_d.item(), "g": loss_g.item()}

    return step


def sngan(pair: Pair, steps: int = 5) -> Step:
    """mimicry's order: D steps on new fakes with the hinge loss, then one of G.

    But fakes are judged before real samples: spectral norm's vectors turn at every pass, and ours passes in that order.
    """

    def step(real: Tensor) -> dict[str, float]:
        for _ in range(steps):
            fake = pair.fake().detach()
            pair.of_discriminator.zero_grad()
            loss_d = relu(1 + pair.judge(fake)).mean() + relu(1 - pair.judge(real)).mean()
            loss_d.backward()
            pair.of_discriminator.step()
        pair.of_generator.zero_grad()
        loss_g = -pair.judge(pair.fake()).mean()
        loss_g.backward()
        pair.of_generator.step()
        return {"d": loss_d.item(), "g": loss_g.item()}

    return step


def gan3d(pair: Pair) -> Step:
    """The usual 3D-GAN loop, without the accuracy gate, so that each step does the same work."""
    criterion = nn.BCEWithLogitsLoss()

    def step(real: Tensor) -> dict[str, float]:
        ones, zeros = torch.ones(len(real)), torch.zeros(len(real))
        fake = pair.fake()
        d_real, d_fake = pair.judge(real), pair.judge(fake)
        loss_d = criterion(d_real, ones) + criterion(d_fake, zeros)
        accuracy = torch.cat([(d_real >= 0).float(), (d_fake < 0).float()]).mean().item()
        pair.discriminator.zero_grad()
        loss_d.backward()
        pair.of_discriminator.step()

        loss_g = criterion(pair.judge(pair.fake()), ones)
        pair.discriminator.zero_grad()
        pair.generator.zero_grad()
        loss_g.backward()
        pair.of_generator.step()
        return {"d": loss_d.item(), "g": loss_g.item(), "accuracy": accuracy}

    return step


def article(pair: Pair) -> Step:
    """Article 0's order: G first, then D on the same fakes; a sigmoid inside, all 27 outputs summed, over the batch."""

    def step(real: Tensor) -> dict[str, float]:
        fake = pair.fake()
        pair.of_generator.zero_grad()
        loss_g = softplus(-pair.judge(fake).sigmoid()).sum() / len(real)
        loss_g.backward()
        pair.of_generator.step()

        pair.of_discriminator.zero_grad()
        loss_d = softplus(-pair.judge(real).sigmoid()).sum() + softplus(pair.judge(fake.detach()).sigmoid()).sum()
        loss_d = loss_d / len(real)
        loss_d.backward()
        pair.of_discriminator.step()
        return {"d": loss_d.item(), "g": loss_g.item()}

    return step


class PictureFiles(Dataset[Tensor]):
    """One file per sample: open, decode, ToTensor, Normalize(0.5, 0.5), as torchvision's ImageFolder does them."""

    def __init__(self, files: list[Path]):
        self.files = files
        self.mean = self.deviation = torch.full((3, 1, 1), 0.5)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> Tensor:
        with self.files[i].open("rb") as file:
            picture = Image.open(file).convert("RGB")
        tensor = torch.from_numpy(np.array(picture, np.uint8, copy=True)).permute(2, 0, 1).contiguous()
        return tensor.to(torch.float32).div(255).sub_(self.mean).div_(self.deviation)


class VoxelFile(Dataset[Tensor]):
    """One gzip-compressed HDF5 dataset of all voxels, read sample by sample."""

    def __init__(self, path: Path):
        self.voxels = h5py.File(path, "r")["data"]

    def __len__(self) -> int:
        return len(self.voxels)

    def __getitem__(self, i: int) -> Tensor:
        return torch.from_numpy(self.voxels[i].astype(np.float32))[None] * 2 - 1


def loader(dataset: Dataset[Tensor], batch: int) -> DataLoader[Tensor]:
    """In this process, in a new order in each pass. Worker processes were slower on two cores."""
    return DataLoader(dataset, batch_size=batch, shuffle=True, num_workers=0, drop_last=True)
