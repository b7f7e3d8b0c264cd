"""The linear SVM is at its minimum, and features are taken where 3D-GAN's authors took them."""

import numpy as np
import pytest
import torch
from scipy import optimize
from torch import nn

from gansaku.data.bundled import chairs
from gansaku.errors import DataError, UsageError
from gansaku.metrics.probe import accuracy, best_c, fit, pooled, separator, strided
from gansaku.networks.dcgan import DCGANDiscriminator


def blobs(n=120, features=10, classes=3, apart=1.0, seed=0):
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % classes
    return torch.randn(n, features, generator=random) + apart * torch.randn(classes, features, generator=random)[labels], labels


def objective(w, x, y, c):
    """Its value and gradient, sample by sample."""
    value, slope = 0.5 * sum(v * v for v in w), np.array(w, dtype=float)
    for row, sign in zip(x, y, strict=True):
        short = max(0.0, 1 - sign * float(row @ w))
        value += c * short**2
        slope -= 2 * c * short * sign * row
    return value, slope


@pytest.mark.parametrize("c", [0.01, 1.0, 1e4])
def test_the_separator_is_where_the_gradient_of_the_objective_vanishes(c):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(60, 8)), np.where(random.random(60) < 0.4, 1.0, -1.0)
    w = separator(x, y, c)
    _, slope = objective(w, x, y, c)
    assert np.linalg.norm(slope) < 1e-7 * max(1, c)
    other = optimize.minimize(objective, np.zeros(8), (x, y, c), "L-BFGS-B", jac=True, options={"ftol": 1e-15, "gtol": 1e-9})
    np.testing.assert_allclose(w, other.x, atol=1e-4)
    assert objective(w, x, y, c)[0] <= other.fun * (1 + 1e-12)


@pytest.mark.parametrize("features", [4, 300], ids=["fewer features than samples", "more"])
def test_every_class_is_solved_on_the_scaled_features_with_a_bias(features):
    x, labels = blobs(90, features)
    labels = labels * 5 - 3
    found = fit(x * 7 + 100, labels, c=2.0)
    scaled = (x - x.mean(0)) / x.std(0, correction=0) / features**0.5
    padded = torch.cat([scaled, torch.ones(90, 1)], 1).double().numpy()
    assert found.labels.tolist() == [-3, 2, 7]
    for k, label in enumerate(found.labels):
        y = np.where(labels.numpy() == label, 1.0, -1.0)
        _, slope = objective(found.weights[k], padded, y, 2.0)
        assert np.linalg.norm(slope) < 1e-2  # the features were scaled in fp32 here
        np.testing.assert_allclose(found.decision(x * 7 + 100)[:, k], padded @ found.weights[k], atol=1e-3)


def test_it_is_liblinears():
    svm = pytest.importorskip("sklearn.svm")
    x, labels = blobs(150, 20, 4, apart=0.5)
    found = fit(x, labels, 10.0)
    scaled = (x.double().numpy() - found.mean) * found.scale
    other = svm.LinearSVC(C=10.0, dual=False, tol=1e-10, max_iter=100_000).fit(scaled, labels.numpy())
    np.testing.assert_allclose(found.weights, np.column_stack([other.coef_, other.intercept_]), atol=1e-5)


def test_what_can_be_separated_is_separated():
    x, labels = blobs(apart=20.0)
    assert accuracy(x[:60], labels[:60], x[60:], labels[60:]) == 1.0


def test_labels_that_mean_nothing_are_guessed():
    x, _ = blobs(600, classes=1)
    labels = torch.arange(600) % 3
    assert accuracy(x[:300], labels[:300], x[300:], labels[300:]) == pytest.approx(1 / 3, abs=0.1)


def test_a_constant_feature_and_another_unit_change_nothing():
    x, labels = blobs(apart=0.5)
    plain = fit(x, labels).decision(x)
    other = torch.cat([x * torch.logspace(-3, 3, 10), torch.full((len(x), 1), 7.0)], 1)
    assert fit(other, labels).scale[-1] == 0
    wider = fit(other, labels, c=11 / 10).decision(other)  # √F is part of the scale
    assert np.abs(plain - wider).max() < 0.1


def test_c_is_chosen_by_folds_of_the_training_set():
    x, labels = blobs(90, 60, apart=0.3)
    chosen = best_c(x, labels, (1e-6, 1.0))
    assert chosen == best_c(x, labels, (1.0, 1e-6))
    assert best_c(x, labels, (3.0,)) == 3.0
    assert best_c(*blobs(apart=20.0), (1.0, 100.0)) == 1.0  # equals: the smaller
    with pytest.raises(UsageError, match="folds"):
        best_c(x, labels, folds=1)


def test_the_papers_network_of_64_voxels_gives_7168_features():
    network = DCGANDiscriminator((1, 64, 64, 64), width=64).build()
    assert pooled(network, torch.randn(1, 1, 64, 64, 64)).shape == (1, 7168)


@pytest.mark.parametrize("norm", ["batch", "spectral", "none"])
def test_an_activation_is_found_after_each_strided_convolution(norm):
    network = DCGANDiscriminator((1, 64, 64), width=2, norm=norm).build()
    assert [type(layer) for layer in strided(network)] == [nn.LeakyReLU] * 4


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("shape", [(3, 64, 96), (1, 32, 48, 64)], ids=str)
def test_features_are_the_greatest_activations_in_each_half(shape, norm_first):
    torch.manual_seed(0)
    network = DCGANDiscriminator(shape, width=2, norm_first=norm_first).build()
    samples = torch.randn(5, *shape)
    found, expected, x = pooled(network, samples, block=2), [], samples
    network.eval()
    for block in network.layers:
        for layer in block:
            x = layer(x)
            if isinstance(layer, nn.LeakyReLU):
                halves = x
                for axis in range(2, x.ndim):
                    halves = halves.unflatten(axis, (2, -1)).amax(axis + 1)
                expected.append(halves.flatten(1))
    torch.testing.assert_close(found, torch.cat(expected[-3:], 1), rtol=1e-4, atol=1e-5)


def test_the_network_is_left_as_it_was():
    network = DCGANDiscriminator((1, 16, 16), width=2).build().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    pooled(network, torch.randn(4, 1, 16, 16))
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


def test_layers_may_be_named():
    network = DCGANDiscriminator((1, 16, 16), width=2).build()
    assert pooled(network, torch.randn(4, 1, 16, 16), [network.layers]).shape == (4, 4 * 4)


def test_an_untrained_discriminator_tells_wide_chairs_from_narrow_ones():
    """Random features are a floor that a trained discriminator has to beat; chance is one half."""
    torch.manual_seed(0)
    some = torch.from_numpy(chairs(240, 16)).float().unsqueeze(1) * 2 - 1
    widths = (some > 0).any(4).any(3).squeeze(1).sum(1)
    labels = (widths > widths.median()).long()
    features = pooled(DCGANDiscriminator((1, 16, 16, 16), width=8, norm="none").build(), some)
    share = max(labels[160:].double().mean(), 1 - labels[160:].double().mean())
    assert accuracy(features[:160], labels[:160], features[160:], labels[160:]) > share + 0.2


def test_bad_features_and_labels_are_refused_in_words():
    x, labels = blobs()
    broken = x.clone()
    broken[7, 2] = torch.nan
    with pytest.raises(DataError, match="1 of 120 samples have features that are not finite; the first is row 7"):
        fit(broken, labels)
    with pytest.raises(DataError, match=r"all \[1\]; it takes two classes"):
        fit(x, torch.ones_like(labels))
    with pytest.raises(UsageError, match="0 is not positive"):
        fit(x, labels, 0)
    with pytest.raises(UsageError, match="Linear has no strided convolution; name its layers"):
        pooled(nn.Linear(3, 1), torch.zeros(2, 3))
