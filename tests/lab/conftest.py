"""A real browser, for the pages that the lab makes.

It needs playwright (pip install 'minivdit[browser]') and a Chromium, found by its usual names, by MINIVDIT_CHROMIUM, or
fetched with `playwright install chromium`; without them these tests skip.
"""

import os
import shutil
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")


@pytest.fixture(scope="module")
def browser():
    missing = "playwright is missing: pip install 'minivdit[browser]'"
    playwright = pytest.importorskip("playwright.sync_api", reason=missing)
    with playwright.sync_playwright() as driver:
        found = [os.environ.get("MINIVDIT_CHROMIUM"), *map(shutil.which, NAMES), driver.chromium.executable_path]
        program = next((path for path in found if path and Path(path).exists()), None)
        if program is None:
            pytest.skip("no Chromium was found: name one in MINIVDIT_CHROMIUM, or 'playwright install chromium'")
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()
