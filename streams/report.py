"""The report of a backtest: one page of HTML with a chart for each kill, to be looked at before arming."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from time import gmtime, strftime

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt

from alerts.decision import Decision
from streams.backtest import Outcome

CHARTS_MAX = 50
BEFORE_S, AFTER_S = 6 * 3600.0, 2 * 3600.0
SAVED_S = 3600.0

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Brakeline backtest</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ text-align: left; padding: .3rem .6rem; vertical-align: top }}
tr {{ border-bottom: 1px solid #8884 }} img {{ max-width: 100% }} .n {{ text-align: right }}
</style>
<h1>What would have been killed</h1>
<p>{summary}</p>
{against}
<table>
<tr><th>when (UTC)</th><th>scope</th><th>detector</th><th>score</th><th>why</th><th class="n">saved in an hour</th></tr>
{rows}
</table>
{charts}
</html>
"""


def write_report(folder: Path, outcome: Outcome, other: Outcome | None, other_name: str = "") -> Path:
    """Write index.html and its charts into `folder`; return the page's path. Saved dollars are those of one hour."""
    folder.mkdir(parents=True, exist_ok=True)
    kills = outcome.kills
    saved = {kill.incident_id: outcome.history.after(kill.evidence.agent, kill.at_s, SAVED_S) for kill in kills}
    rows = "\n".join(_row(kill, saved[kill.incident_id]) for kill in kills)
    charts = "\n".join(_chart(folder, outcome, kill) for kill in kills[:CHARTS_MAX])
    if len(kills) > CHARTS_MAX:
        charts += f"<p>{len(kills) - CHARTS_MAX} more kills have no chart.</p>"
    alerts = len(outcome.decisions) - len(kills)
    summary = (
        f"{outcome.events:,} events of ${outcome.history.total_usd():,.2f}: {len(kills)} kills, {alerts} milder "
        f"decisions; the kills would have saved ${sum(saved.values()):,.2f} within their first hour."
    )
    page = folder / "index.html"
    page.write_text(
        _PAGE.format(summary=summary, rows=rows, charts=charts, against=_against(outcome, other, other_name)),
        encoding="utf-8",
    )
    return page


def _row(kill: Decision, saved_usd: float) -> str:
    says = ", ".join(f"{name} {value:.2f}" for name, value in kill.evidence.says.items())
    cells = (_clock(kill.at_s), kill.scope, f"{kill.detector} ({says})" if says else kill.detector, f"{kill.score:.2f}")
    text = "".join(f"<td>{escape(cell)}</td>" for cell in (*cells, kill.reason))
    return f'<tr>{text}<td class="n">${saved_usd:,.2f}</td></tr>'


def _chart(folder: Path, outcome: Outcome, kill: Decision) -> str:
    agent = kill.evidence.agent
    times, usd = outcome.history.around(agent, kill.at_s, BEFORE_S, AFTER_S)
    if not times:
        return ""
    hours = [(t - kill.at_s) / 3600 for t in times]
    figure, axes = plt.subplots(figsize=(9, 2.4), layout="constrained")
    axes.bar(hours, usd, width=1 / 60, color="#3b7dd8")
    axes.axvline(0.0, color="#c62828", linewidth=1.5)
    axes.set(xlabel="hours from the kill", ylabel="$ a minute", title=f"{kill.scope}: {kill.detector}")
    name = f"{kill.incident_id}.png"
    figure.savefig(folder / name, dpi=110)
    plt.close(figure)
    return f'<p><img src="{name}" alt="spend of {escape(agent)} around its kill"></p>'


def _against(outcome: Outcome, other: Outcome | None, name: str) -> str:
    if other is None:
        return ""
    ours, theirs = _by_scope(outcome.kills), _by_scope(other.kills)
    added = "".join(f"<li>{escape(_line(k))}</li>" for scope, k in ours.items() if scope not in theirs)
    removed = "".join(f"<li>{escape(_line(k))}</li>" for scope, k in theirs.items() if scope not in ours)
    return (
        f"<h2>Against {escape(name)}</h2>"
        f"<p>Kills that only this configuration has:</p><ul>{added or '<li>none</li>'}</ul>"
        f"<p>Kills that only {escape(name)} has:</p><ul>{removed or '<li>none</li>'}</ul>"
    )


def _by_scope(kills: Sequence[Decision]) -> dict[str, Decision]:
    found: dict[str, Decision] = {}
    for kill in kills:
        found.setdefault(kill.scope, kill)
    return found


def _line(kill: Decision) -> str:
    return f"{_clock(kill.at_s)} {kill.scope}: {kill.reason}"


def _clock(at_s: float) -> str:
    return strftime("%Y-%m-%d %H:%M:%S", gmtime(at_s))
