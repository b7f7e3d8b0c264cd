"""One thread each: the tests run side by side, and results must not depend on how many cores a machine has."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test touches the user's cache or leaves runs behind."""
    monkeypatch.setenv("GANSAKU_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
