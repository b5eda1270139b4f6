"""Debian's Chromium for tests: how it is started, a window of it, and where its pictures go."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, BrowserContext, Page

ARTEFACTS = Path(__file__).parent / "browser" / "artefacts"
WIDE, NARROW = (1440, 900), (390, 844)
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


class Window:
    """A browser; `open` gives a tab whose console and errors are kept."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.complaints: list[str] = []

    @asynccontextmanager
    async def open(self, scheme: str = "dark", size: tuple[int, int] = WIDE) -> AsyncIterator[Page]:
        width, height = size
        context: BrowserContext = await self._browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,  # type: ignore[arg-type]
        )
        tab = await context.new_page()
        tab.on("console", lambda said: self.complaints.append(said.text) if said.type in {"error", "warning"} else None)
        tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        try:
            yield tab
        finally:
            await context.close()

    async def picture(self, tab: Page, name: str, *, whole: bool = False) -> Path:
        """Keep a screenshot to be looked at."""
        path = ARTEFACTS / f"{name}.png"
        await tab.screenshot(path=path, full_page=whole)
        return path
