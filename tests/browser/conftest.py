"""Debian's Chromium, driven by playwright; screenshots go to a folder that is not kept in the repository."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from browsing import ARTEFACTS, FLAGS, Window
from playwright.async_api import Browser, async_playwright

from streams.web.assets import vendor_missing


def missing() -> str:
    """Say what the browser's tests need and isn't here."""
    if shutil.which("chromium") is None:
        return "Debian's chromium isn't installed"
    return "the page's assets aren't installed: make setup, with npm" if vendor_missing() else ""


@pytest.fixture(scope="session")
def chromium() -> str:
    if reason := missing():
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return str(shutil.which("chromium"))


@pytest.fixture(scope="session", autouse=True)
def _artefacts() -> Iterator[None]:
    ARTEFACTS.mkdir(exist_ok=True)
    yield


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """One for all tests, as its start takes longer than most of them; each opens a profile of its own."""
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def window(browser: Browser) -> AsyncIterator[Window]:
    made = Window(browser)
    yield made
    assert made.complaints == [], "the console is silent: no error, and nothing that the policy refused"
