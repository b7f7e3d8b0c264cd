"""One browser for all tests of pages, and what is not shipped."""

from pathlib import Path

import pytest
from browser import BROWSER, Browser

SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    if BROWSER is None:
        pytest.skip("there is no Chromium; Debian's package is called chromium")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def browser(chromium):
    """The tab, in which no page may fail or ask for anything but itself."""
    chromium.errors.clear()
    chromium.requested()
    yield chromium
    assert chromium.errors == []
    assert {address.split(":")[0] for address in chromium.requested()} <= {"file", "data", "blob"}


@pytest.fixture
def genuine():
    """The folder of `.binvox` files by various programs."""
    folder = SHARED / "binvox"
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing; it is not shipped")
    return folder
