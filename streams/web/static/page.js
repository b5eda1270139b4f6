// Keys, the state of the connection, filters that apply when they change, and the chart of an incident.
"use strict";

const AGAIN_MS = 15000;

const link = document.getElementById("link");

function say(state, words) {
  if (link.dataset.state === state) return;
  link.dataset.state = state;
  link.textContent = words;
}

document.addEventListener("htmx:sse:after:connection", () => say("live", "live"));
document.addEventListener("htmx:sse:after:message", () => {
  say("live", "live");
  draw();
});
for (const lost of ["htmx:sse:error", "htmx:error", "htmx:response:error"]) {
  document.addEventListener(lost, () => say("lost", "not live"));
}
// htmx takes a stream up again that has begun, and not one that was refused.
document.addEventListener("htmx:response:error", () => setTimeout(() => typing() || location.reload(), AGAIN_MS));
document.addEventListener("htmx:sse:before:connection", (event) => {
  if (event.detail.connection.attempt > 0) say("lost", "not live");
});

// Rows wait while somebody points at them, so that a click hits what it was meant for.

const REST_MS = 1500;
const PATIENCE_MS = 8000;
let pointed = -Infinity;

document.addEventListener("pointermove", (event) => {
  if (event.target.closest?.("tbody")) pointed = performance.now();
});

async function rested() {
  const until = performance.now() + PATIENCE_MS;
  while (performance.now() < Math.min(pointed + REST_MS, until)) {
    await new Promise((then) => setTimeout(then, 100));
  }
}

document.addEventListener("htmx:sse:before:message", (event) => event.detail.waitUntil(rested()));

// Keys

function typing() {
  return /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName ?? "");
}

function move(step) {
  const links = [...document.querySelectorAll("tbody th a, tbody th span[tabindex], .incidents a")];
  const at = links.indexOf(document.activeElement);
  links[Math.max(0, Math.min(links.length - 1, at + step))]?.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") document.activeElement?.blur();
  if (typing()) return;
  if (event.key === "j") return move(1);
  if (event.key === "k") return move(-1);
  const target = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!target) return;
  event.preventDefault();
  if (target.tagName === "A") target.click();
  else target.focus();
});

document.addEventListener("change", (event) => {
  if (event.target.matches(".filters select")) event.target.form.requestSubmit();
});

document.addEventListener("submit", (event) => {
  // An address without what wasn't asked for can be passed on.
  if (event.target.method !== "get") return;
  for (const field of event.target.elements) field.disabled ||= field.name !== "" && field.value === "";
});

// The chart

let chart = null;
let drawn = "";

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function faded(hex, share) {
  return hex + Math.round(255 * share).toString(16).padStart(2, "0");
}

function money(value) {
  if (value === 0) return "$0";
  return value >= 0.1 ? "$" + value.toFixed(2) : "$" + value.toPrecision(2);
}

function when(at, data) {
  const [day, time] = new Date(at * 1000).toISOString().slice(0, 16).split("T");
  return data.at_s.at(-1) - data.at_s[0] > 100_000 ? `${day.slice(8)}. ${time}` : time;
}

function marks(list) {
  return (plot) => {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.font = `600 ${11 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.fillStyle = ctx.strokeStyle = colour("--text");
    ctx.lineWidth = 1.5 * devicePixelRatio;
    const scale = devicePixelRatio;
    const groups = [];
    for (const mark of list) {
      const x = plot.valToPos(mark.at_s, "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.setLineDash([4 * scale, 3 * scale]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      const group = groups.at(-1);
      if (group && x - group.x < 60 * scale) group.labels.push(mark.label);
      else groups.push({ x, labels: [mark.label] });
    }
    for (const { x, labels } of groups) {
      const text = labels.slice(-3).join(", ");
      const width = ctx.measureText(text).width;
      const fits = x + width + 8 * scale < bbox.left + bbox.width;
      ctx.fillText(text, fits ? x + 5 * scale : x - width - 5 * scale, bbox.top + 11 * scale);
    }
    ctx.restore();
  };
}

function options(place, data) {
  const axis = { stroke: colour("--faint"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  return {
    width: place.clientWidth,
    height: place.clientHeight,
    tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
    legend: { show: false },
    cursor: { y: false, points: { size: 6 } },
    scales: { y: { range: (_plot, _low, high) => [0, Math.max(high, data.peak, 1e-6) * 1.12] } },
    axes: [
      { ...axis, size: 26, values: (_plot, ticks) => ticks.map((at) => when(at, data)) },
      { ...axis, size: 62, values: (_plot, ticks) => ticks.map(money) },
    ],
    series: [
      {},
      { stroke: "transparent", points: { show: false } },
      { stroke: "transparent", points: { show: false } },
      { stroke: faded(colour("--band"), 0.9), width: 1, dash: [3, 4], points: { show: false } },
      { stroke: colour("--seen"), width: 2, points: { show: false }, fill: faded(colour("--seen"), 0.08) },
    ],
    bands: [{ series: [2, 1], fill: faded(colour("--band"), 0.22) }],
    hooks: { draw: [marks(data.marks)] },
  };
}

async function draw(anew = false) {
  const place = document.getElementById("chart");
  if (!place || !place.dataset.chart || typeof uPlot === "undefined") return;
  let text;
  try {
    const answer = await fetch(place.dataset.chart);
    if (!answer.ok) return;
    text = await answer.text();
  } catch {
    return;
  }
  if (text === drawn && !anew) return;
  drawn = text;
  const data = JSON.parse(text);
  const all = (value) => data.at_s.map(() => value);
  const columns = [data.at_s, all(0), all(data.peak), all(data.usual), data.seen];
  chart?.destroy();
  chart = new uPlot(options(place, data), columns, place);
}

addEventListener("resize", () => chart?.setSize({ width: chart.root.parentNode.clientWidth, height: 240 }));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(true));
draw();
