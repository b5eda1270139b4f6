"""The page with nothing but a keyboard, under its own policy, and without anything jumping about."""

import pytest
from browsing import NARROW, WIDE, Window
from pages import Filled, agent, fleet, gateways, runaway, serving, spending
from playwright.async_api import Page, expect

from alerts.decision import Action
from streams.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="session")

ARMED = Settings.model_validate({"mode": "armed"})
GOOD_CLS = 0.1
"""What web.dev calls a good cumulative layout shift; ours must be far below."""


@pytest.fixture
def filled() -> Filled:
    made = Filled()
    made.pulse(fleet(300, made.now_s))
    incident = runaway(made)
    gateways(made)
    made.cover(incident, "obeyed by 3 of 4 in 180 ms; gw-d stale since 11:12 UTC")
    spending(made)
    return made


async def focused(tab: Page) -> str:
    """Return what has the focus, by its words; it must be seen to have it."""
    return str(await tab.evaluate(FOCUSED))


FOCUSED = """() => { const it = document.activeElement, style = getComputedStyle(it);
  const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  const shown = ring || style.boxShadow !== "none" || it === document.body || it.id === "live";
  return (it.name === "verb" || it.tagName === "A" ? it.textContent.trim() : it.id || it.name || it.tagName)
    + (shown ? "" : " (without a sign of focus)"); }"""


async def tab_to(tab: Page, what: str, most: int = 60) -> list[str]:
    """Press Tab until `what` has the focus; return what had it on the way."""
    way: list[str] = []
    for _ in range(most):
        await tab.keyboard.press("Tab")
        way.append(await focused(tab))
        if way[-1] == what:
            return way
    raise AssertionError(f"{what} is not to be reached by Tab: {way}")


async def test_an_agent_is_found_and_released_with_the_keyboard_alone(filled: Filled, window: Window) -> None:
    async with serving(filled.app(ARMED)) as url, window.open() as tab:
        await tab.goto(url)
        await tab.locator("#link[data-state=live]").wait_for()
        assert (await tab_to(tab, "Skip to the content"))[0] == "Skip to the content"
        await tab.keyboard.press("Enter")
        way = await tab_to(tab, "coder-7")
        await tab.keyboard.press("Enter")
        await tab.wait_for_url("**/incidents/incident-coder-7")
        await tab.locator("#link[data-state=live]").wait_for()
        way += await tab_to(tab, "reason")
        await tab.keyboard.type("the loop is mended")
        way += await tab_to(tab, "Release")
        await tab.keyboard.press("Enter")
        await tab.wait_for_url("**?done=release")
        await expect(tab.get_by_text("Release: asked for")).to_be_visible()

    assert [stop for stop in way if "without a sign" in stop] == []
    assert [(made.action, made.reason) for made in filled.decisions] == [(Action.RELEASE, "the loop is mended")]


async def test_enter_in_the_reason_does_what_the_first_button_says(filled: Filled, window: Window) -> None:
    async with serving(filled.app(ARMED)) as url, window.open() as tab:
        await tab.goto(f"{url}/incidents/incident-coder-7")
        await tab.keyboard.press("r")
        await tab.keyboard.type("the loop is mended")
        await tab.keyboard.press("Enter")
        await tab.wait_for_url("**?done=release")
    assert [made.action for made in filled.decisions] == [Action.RELEASE]


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("path", ["/", "/incidents", "/incidents/incident-coder-7", "/spend", "/gateways"])
async def test_nothing_shifts_while_it_loads_and_while_it_updates(
    filled: Filled, window: Window, path: str, size: tuple[int, int]
) -> None:
    async with serving(filled.app(ARMED)) as url, window.open("dark", size) as tab:
        await tab.add_init_script(SHIFTS)
        await tab.goto(url + path)
        await tab.locator("#link[data-state=live]").wait_for()
        before = await tab.evaluate("window.updates")
        for turn in range(2):
            filled.now_s += 2.0
            filled.pulse([agent(f"new-{turn}", filled.now_s, [2.0 + turn] * 2, team="research", model="o3")])
            gateways(filled)
            await tab.wait_for_function("seen => window.updates > seen", arg=before + turn)
        # The observer reports with the next frames.
        await tab.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        shift, rows, nodes = await tab.evaluate("[window.shift, window.rows, window.nodes]")
    print(f"\nCLS of {path} at {size[0]} px: {shift:.4f}, and {rows:.4f} by rows that change places")
    assert shift < GOOD_CLS / 10, nodes
    assert shift + rows < GOOD_CLS


SHIFTS = """window.shift = 0; window.rows = 0; window.nodes = []; window.updates = 0;
const element = node => node?.nodeType === 1 ? node : node?.parentElement;
new PerformanceObserver(list => { for (const entry of list.getEntries()) {
  const moved = entry.sources.map(source => element(source.node)).filter(node => node);
  const others = moved.filter(node => !node.closest("#agents tbody"));
  if (moved.length && !others.length) window.rows += entry.value; else window.shift += entry.value;
  window.nodes.push(...others.map(node => node.outerHTML.slice(0, 120)));
} }).observe({type: "layout-shift", buffered: true});
addEventListener("DOMContentLoaded", () =>
  new MutationObserver(() => window.updates++).observe(document.getElementById("live"),
    {childList: true, subtree: true, characterData: true, attributes: true}));"""


async def test_the_policy_is_in_force_and_the_page_breaks_it_nowhere(filled: Filled, window: Window) -> None:
    async with serving(filled.app(ARMED)) as url, window.open() as tab:
        await tab.add_init_script(VIOLATIONS)
        for path in ("/", "/incidents", "/incidents/incident-coder-7", "/commands", "/gateways", "/spend", "/settings"):
            await tab.goto(url + path)
            await tab.locator("#link[data-state=live]").wait_for()
            assert await tab.evaluate("window.violated") == [], path
        # What an injected name could try is refused: the silence above isn't for want of a policy.
        await tab.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=window.broken=1>')")
        script = "Object.assign(document.createElement('script'), {text: 'broken = 2'})"
        await tab.evaluate(f"document.body.append({script})")
        await tab.wait_for_function("window.violated.length >= 2")
        assert await tab.evaluate("window.broken") is None
        window.complaints.clear()  # The browser says what it refused.


VIOLATIONS = """window.violated = [];
document.addEventListener("securitypolicyviolation", event => window.violated.push(event.violatedDirective));"""
