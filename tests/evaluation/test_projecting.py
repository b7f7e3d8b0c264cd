"""Projection: known answers, what it leaves as it is, and latents that stay where the prior has them."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from gansaku.contract import Phase
from gansaku.draws import Draw, Rows
from gansaku.errors import UsageError
from gansaku.evaluation.projecting import Aim, Lengths, Projector, apart, beginnings, kept, rate
from gansaku.evaluation.resemblance import Resemblance
from gansaku.extractors.random_convolution import GRID, Random2d, Random3d
from gansaku.latents import Gaussian, Sphere, Uniform
from gansaku.networks.blocks import BatchNorm
from gansaku.networks.dcgan import DCGANGenerator
from gansaku.sampling import quantized

F64 = torch.float64
PICTURE, VOXELS = (3, 8, 12), (1, 8, 8, 12)


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


class Affine(nn.Module):
    """z (N, Z) -> (N, *shape), A z + b, and b of the class where there are several."""

    def __init__(self, shape, size=4, classes=1, scale=0.2):
        super().__init__()
        values = torch.Size(shape).numel()
        self.shape, self.weight = shape, nn.Parameter(scale * random(values, size))
        self.bias = nn.Parameter(scale * random(classes, values, seed=1))

    def forward(self, z, labels, phase):
        return (z @ self.weight.T + self.bias[labels]).view(-1, *self.shape)


def projector(shape=PICTURE, generator=None, prior=None, **how):
    recipe = SimpleNamespace(latent=prior or Gaussian(4), shape=shape)
    generator = generator or Affine(shape, recipe.latent.size)
    return Projector(generator, recipe, Phase(shape[1:]), **{"many": 64, **how}), generator


# What is alike


@pytest.mark.parametrize(
    ("kind", "shape"),
    [(Random2d, (3, 16, 20)), (Random2d, (1, 16, 20)), (Random2d, (3, 80, 40)), (Random3d, (1, 8, 16, 12))],
    ids=str,
)
def test_the_stages_are_those_of_the_extractor(kind, shape):
    """Whose features are the means of the samples over a grid, then each stage's means and deviations."""
    x = quantized(random(2, *shape).float().clamp(-1, 1))
    x = x.gt(127).byte() if len(shape) == 4 else x
    features = kind("none", "fp32", torch.device("cpu"))(x).features
    samples = x.float().mul(2).sub(1) if len(shape) == 4 else x.float().div(127.5).sub(1)
    stages = Resemblance(shape, samples).stages(samples)
    found = [part for stage in stages for part in (stage.flatten(2).mean(2), stage.flatten(2).std(2, correction=0))]
    start = kind.channels * GRID ** (len(shape) - 1)
    torch.testing.assert_close(torch.cat(found, 1), features[:, start:], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("shape", [PICTURE, VOXELS], ids=str)
def test_gradients_pass_through_values_and_maps(shape):
    look, x, way = Resemblance(shape, random(1)), random(2, *shape).requires_grad_(), random(2, *shape, seed=1)

    def seen(x):
        return look.values(x).square().sum() + look.maps(x).square().sum()

    (gradient,) = torch.autograd.grad(seen(x), x)
    step = 1e-6
    slope = (seen(x + step * way) - seen(x - step * way)) / (2 * step)
    assert (gradient * way).sum().item() == pytest.approx(slope.item(), rel=1e-5)


def test_a_squared_distance_of_values_is_their_mean_square_error():
    a, b = random(2, 1, *PICTURE)
    look = Resemblance(PICTURE, a)
    found = (look.values(a) - look.values(b)).square().sum()
    assert found.item() == pytest.approx((a - b).square().mean().item())


@pytest.mark.parametrize("shape", [PICTURE, (1, 8, 12, 8), (3, 64, 40)], ids=str)
def test_maps_are_the_stages_in_means_over_a_grid_where_they_are_finer(shape):
    x = random(2, *shape)
    look = Resemblance(shape, x)
    parts, most = [], {3: 16, 4: 8}[len(shape)]
    for stage in look.stages(x):
        for axis in range(2, stage.ndim):
            whole = stage.shape[axis]
            if whole > most:  # each mean is of the values that its part of the side touches
                edges = [(i * whole // most, -(-(i + 1) * whole // most)) for i in range(most)]
                stage = torch.stack([stage.narrow(axis, a, b - a).mean(axis) for a, b in edges], axis)
        parts.append(stage.flatten(1) / (3 * stage[0].numel()) ** 0.5)
    torch.testing.assert_close(look.maps(x), torch.cat(parts, 1))


def test_maps_see_that_something_lies_elsewhere_and_the_extractor_sees_it_less():
    x = torch.full((2, *PICTURE), -1.0, dtype=F64)
    x[0, :, 2:5, 2:5], x[1, :, 2:5, 7:10] = 1, 1
    maps = Resemblance(PICTURE, x).maps(x)
    assert (maps[0] - maps[1]).norm() > 0.5 * maps[0].norm()


# Known answers


@pytest.mark.parametrize("shape", [PICTURE, VOXELS], ids=str)
def test_a_linear_generator_is_solved_to_the_answer_of_least_squares(shape):
    project, generator = projector(shape, aim=Aim(1, 0, 0))
    targets = 0.3 * random(3, *shape, seed=2)
    found = project(targets, steps=300)
    wanted = torch.linalg.lstsq(generator.weight.detach(), (targets.flatten(1) - generator.bias).T.detach()).solution.T
    torch.testing.assert_close(found.latents, wanted, atol=1e-6, rtol=0)
    error = (generator(wanted, torch.zeros(3, dtype=torch.long), None) - targets).flatten(1).square().mean(1).sqrt()
    torch.testing.assert_close(found.errors, error.detach(), atol=1e-6, rtol=0)


def test_a_distance_of_1_is_that_of_two_random_samples_in_the_mean_square():
    aim = Aim(1, 0, 0)
    project, generator = projector(aim=aim, many=4096)
    pairs = generator(project.z, project.labels, None).detach().flatten(1)
    unit = (pairs - pairs.roll(1, 0)).square().mean()
    found = project(0.3 * random(2, *PICTURE, seed=2), steps=5)
    torch.testing.assert_close(found.distances, found.errors / unit.sqrt(), atol=0, rtol=1e-5)
    exact = 2 * generator.weight.detach().square().sum() / len(generator.weight)  # E|A(z - z')|² / values = 2 |A|² / values
    assert unit.item() == pytest.approx(exact.item(), rel=0.05)


@pytest.mark.parametrize("shape", [(3, 8, 16), (1, 8, 8, 16)], ids=str)
def test_a_sample_of_the_generator_is_found_again(shape):
    torch.manual_seed(0)
    generator = DCGANGenerator(shape, 8, width=8, norm="none", init="he").build()
    project, _ = projector(shape, generator, Gaussian(8))
    z = Gaussian(8).sample(Draw(9, 0, Rows(0, 3, 3), torch.empty(0)), "other")
    found = project(generator(z, None, None).detach(), steps=80)
    assert (found.distances < 0.2 * found.nearest).all()
    assert (found.distances < 0.1).all()


@pytest.mark.parametrize("rate", [0.2, 50.0])
def test_no_way_ends_further_off_than_it_began(rate, monkeypatch):
    """However far a step goes beyond the aim."""
    monkeypatch.setattr("gansaku.evaluation.projecting.RATE", rate)
    project, _ = projector(aim=Aim(1, 1, 0))
    found = project(random(4, *PICTURE, seed=3), steps=2, starts=1)
    assert (found.distances <= found.nearest + 1e-9).all()


# The same and not the same


def test_the_same_seed_finds_the_same_and_another_seed_begins_elsewhere():
    targets = 0.3 * random(2, *PICTURE, seed=2)
    a, b, c = (projector(seed=seed)[0](targets, steps=5) for seed in (1, 1, 2))
    assert all(torch.equal(one, other) for one, other in zip(a, b, strict=True))
    assert not torch.equal(a.nearest, c.nearest)


def test_what_is_found_does_not_depend_on_what_else_is_looked_for(monkeypatch):
    targets = 0.3 * random(5, *PICTURE, seed=2)
    project, _ = projector()
    whole = project(targets, steps=8)
    monkeypatch.setattr("gansaku.evaluation.projecting.MOST_ROWS", 8)  # two at a time
    for found in (project(targets, steps=8), project(targets[:1], steps=8)):
        for one, other in zip(found, whole, strict=True):
            torch.testing.assert_close(one, other[: len(one)], atol=1e-6, rtol=0)


def test_the_rate_falls_to_nothing_and_steps_are_as_large(monkeypatch):
    assert [rate(step, 4) for step in (0, 2, 4)] == pytest.approx([0.2, 0.1, 0.0])
    monkeypatch.setattr("gansaku.evaluation.projecting.rate", lambda step, steps: 0.01 * (step < 1))
    project, _ = projector(aim=Aim(1, 0, 0))
    found = project(0.3 * random(1, *PICTURE, seed=2), steps=3, starts=1)
    moved = (found.latents - project.z).abs().amax(1).min()  # from the candidate; Adam's first step is the rate itself
    assert moved.item() == pytest.approx(0.01 * project.z.std().item(), rel=1e-3)


def test_progress_is_told_to_its_end():
    told = []
    project, _ = projector()
    project(0.3 * random(2, *PICTURE), steps=8, progress=lambda done, total: told.append((done, total)))
    assert told == [(i, 10) for i in range(1, 11)]  # two with several starts, eight with the best


class Normed(nn.Module):
    """With batch normalization and spectral normalization, both of which move when they are trained."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(spectral_norm(nn.Linear(4, 3 * 8 * 12)), nn.Unflatten(1, PICTURE), BatchNorm(3))

    def forward(self, z, labels, phase):
        return self.layers(z)


def test_the_generator_is_left_as_it_was():
    torch.manual_seed(0)
    generator = Normed().train()
    generator.layers[2].eval()
    next(generator.parameters()).requires_grad_(False)
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    asked = [p.requires_grad for p in generator.parameters()]
    project, _ = projector(generator=generator)
    project(random(2, *PICTURE), steps=4)
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
    assert [p.requires_grad for p in generator.parameters()] == asked
    assert (generator.training, generator.layers[0].training, generator.layers[2].training) == (True, True, False)
    assert all(p.grad is None for p in generator.parameters())


# Latents that the prior can give


def far(prior, likely):
    """A target that a linear generator makes only of latents twice as long as any."""
    project, generator = projector(generator=Affine(PICTURE, 16), prior=prior, aim=Aim(1, 0, likely))
    return project(2.5 * generator(random(2, 16, seed=5), torch.zeros(2, dtype=torch.long), None).detach(), steps=60)


def test_latents_of_a_uniform_prior_stay_in_its_cube():
    assert far(Uniform(16, 0.5), 0).latents.abs().max() <= 0.5


def test_latents_of_a_sphere_stay_on_it():
    length = far(Sphere(16), 0).latents.norm(dim=1)
    torch.testing.assert_close(length, torch.full_like(length, 4))


def test_gaussian_latents_are_kept_about_as_long_as_they_are_likely_to_be():
    assert (far(Gaussian(16), 0).lengths > 5).all()
    assert (far(Gaussian(16), 1.0).lengths.abs() < 1.5).all()


def test_what_the_prior_can_give_is_kept_and_all_else_comes_to_the_nearest():
    z = torch.tensor([[0.3, -2.0]])
    torch.testing.assert_close(kept(Uniform(2), z), torch.tensor([[0.3, -1.0]]))
    torch.testing.assert_close(kept(Sphere(2), 3 * z), z / z.norm() * 2**0.5)
    assert kept(Gaussian(2), z) is z


def test_a_length_is_told_in_standard_deviations():
    lengths = Lengths(torch.tensor(4.0), torch.tensor(0.5))
    assert lengths.away(torch.tensor([[3.0, 4.0], [0.0, 4.0]])).tolist() == [2.0, 0.0]


# Classes and beginnings


def test_of_several_classes_the_nearest_is_found_and_a_named_one_is_kept():
    generator = Affine(PICTURE, 4, classes=3, scale=0.05)
    with torch.no_grad():
        generator.bias[:] = torch.tensor([-0.8, 0.0, 0.8], dtype=F64)[:, None]
    targets = torch.stack([torch.full(PICTURE, value, dtype=F64) for value in (0.7, -0.9, 0.1)])
    free, _ = projector(generator=generator, labels=(0, 1, 2))
    assert free(targets, steps=20).labels.tolist() == [2, 0, 1]
    bound, _ = projector(generator=generator, labels=(1,))
    assert bound(targets, steps=20).labels.tolist() == [1, 1, 1]


def test_ways_begin_at_the_nearest_of_each_class_and_then_at_the_nearest_others():
    distances = torch.tensor([[5.0, 1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0, 5.0]])
    labels = torch.tensor([0, 1, 1, 1, 0])
    assert beginnings(distances, labels, 3).tolist() == [[1, 4, 2], [0, 1, 2]]
    assert beginnings(distances, torch.zeros(5), 2).tolist() == [[1, 2], [0, 1]]


def test_squared_distances_between_all():
    a, b = random(3, 5), random(4, 5, seed=1)
    torch.testing.assert_close(apart(a, b), torch.cdist(a, b).square())


def test_a_generator_whose_samples_are_all_the_same_is_refused():
    generator = Affine(PICTURE)
    with torch.no_grad():
        generator.weight.zero_()
    with pytest.raises(UsageError, match="are the same, so no latent is nearer than another"):
        projector(generator=generator)
