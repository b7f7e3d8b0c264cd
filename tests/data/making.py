"""What the tests of sources are made from: pictures, folders and zips of them, and what to ask of the result."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SHARED = Path(__file__).parents[3] / "shared" / "data"
RED, BLUE = (255, 0, 0), (0, 0, 255)


def picture(value, height=4, width=6, form="PNG"):
    """The bytes of a file, one flat colour; grey for a number."""
    shape = (height, width) if np.isscalar(value) else (height, width, 3)
    stream = io.BytesIO()
    Image.fromarray(np.broadcast_to(np.array(value, np.uint8), shape).copy()).save(stream, form)
    return stream.getvalue()


def folder_of(root, content):
    for name, data in content.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def zip_of(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def everything(dataset):
    return dataset.rows(np.arange(sum(dataset.counts.values())))


def error_of(kind, call, *args, **options):
    with pytest.raises(kind) as caught:
        call(*args, **options)
    return caught.value


def shared(name):
    if not (SHARED / name).is_file():
        pytest.skip(f"{SHARED / name} is missing; it is not shipped")
    return str(SHARED / name)
