// The page of a line, a curve or a history: charts over one coordinate.

import { Chart } from "./chart.js";
import { DATA, Scale, clamp, nearestIndex, numeral } from "./data.js";
import { byId, paragraphs } from "./elements.js";
import { savePicture } from "./picture.js";
import { themeColors, themeControl } from "./theme.js";

export class CurvesPage {
  constructor() {
    this.state = { log: false };
    this.colors = {};
    this.charts = DATA.panels.map((panel, number) => {
      for (const kind of ["linear", "log"]) panel[kind] = panel[kind] && new Scale(panel[kind]);
      const chart = new Chart(document.querySelectorAll(".chart")[number], this, () => this.content(panel));
      chart.panel = panel;
      chart.hover = (at) => this.hovered(at);
      return chart;
    });
    themeControl(this, () => this.wake());
    this.chooseScale(DATA.panels.some((panel) => panel.chosen));
    byId("linear").onclick = () => this.chooseScale(false);
    byId("log").onclick = () => this.chooseScale(true);
    byId("log").disabled = !DATA.panels.some((panel) => panel.log);
    byId("linear").disabled = !DATA.panels.every((panel) => panel.linear);
    byId("save").onclick = () => savePicture(this);
    for (const id of ["field-choice", "spin", "home"]) byId(id).hidden = true;
    document.addEventListener("keydown", (event) => this.key(event));
    DATA.panels.forEach((panel, number) => {
      document.querySelectorAll(".chart")[number].addEventListener("keydown", (event) => this.walk(event, this.charts[number]));
    });
    new ResizeObserver(() => this.wake()).observe(byId("main"));
  }

  chooseScale(log) {
    this.state.log = log;
    byId("log").setAttribute("aria-pressed", log);
    byId("linear").setAttribute("aria-pressed", !log);
    const notes = DATA.panels.flatMap((panel) => this.scaleOf(panel).notes.map((note) => `${panel.short}: ${note}`));
    byId("notes").replaceChildren(...paragraphs([...DATA.notes, ...notes]));
    this.wake();
  }

  // Percentages and values that are not all positive stay linear.
  scaleOf(panel) {
    return (this.state.log && panel.log) || panel.linear || panel.log;
  }

  content(panel) {
    const scale = this.scaleOf(panel), position = (v) => (v === null ? NaN : scale.position(v));
    const series = panel.series.map((each) => ({
      ...each, t: each.y.map(position), color: this.colors[each.color],
      band: each.band && { low: each.band[0].map(position), high: each.band[1].map(position) },
      dots: each.x.length <= 26 && !each.faint ? each.x.map((x, i) => [x, position(each.y[i]), 0, 0]).filter(([, t]) => Number.isFinite(t)) : [],
    }));
    const spots = panel.spots.flatMap(({ x, y, color }) =>
      x.map((at, i) => ({ x: at, t: position(y[i]), color: this.colors[color], hollow: true })).filter(({ t }) => Number.isFinite(t)));
    const marks = [...DATA.marks.map(({ x, text }) => ({ x, t: NaN, text })), ...spots];
    return { x: DATA.x, xlabel: DATA.xlabel, ylabel: scale.log ? panel.label.replace(/( \(|$)/, ", log scale$1") : panel.label,
      scale, series, marks, bad: panel.bad };
  }

  hovered(at) {
    for (const chart of this.charts) chart.cursor = at;
    const texts = at === null ? [] : DATA.panels.map((panel) => this.said(panel, at));
    document.querySelectorAll(".readout").forEach((line, number) => { line.textContent = texts[number] ?? ""; });
  }

  // The values at the point nearest to `at`
  said(panel, at) {
    const named = panel.series.filter((each) => each.label).map((each) => {
      const near = each.x.reduce((best, x, i) => (Math.abs(x - at) < Math.abs(each.x[best] - at) ? i : best), 0);
      const value = each.y[near], error = each.se?.[near];
      return `${each.label} ${value === null ? "no finite value" : numeral(value)}${panel.percent && value !== null ? " %" : ""}`
        + (error > 0 ? ` ± ${numeral(error, 2)}` : "");
    });
    const first = panel.series.find((each) => each.label), x = first.x;
    const near = x.reduce((best, value) => (Math.abs(value - at) < Math.abs(best - at) ? value : best), x[0]);
    return `at ${numeral(near)}: ${named.join(" · ")}`;
  }

  walk(event, chart) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const { x } = chart.panel.series[0], here = chart.cursor === null ? 0 : nearestIndex(x, chart.cursor) + step;
    this.hovered(x[clamp(here, 0, x.length - 1)]);
    byId("said").textContent = this.said(chart.panel, chart.cursor);
    event.preventDefault();
    this.wake();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT)$/.test(event.target.tagName)) return;
    const act = { l: () => !byId("log").disabled && this.chooseScale(!this.state.log), d: () => byId("theme").click(), s: () => savePicture(this) };
    act[event.key.toLowerCase()]?.();
  }

  wake() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.drawAll();
    });
  }

  drawAll() {
    this.colors = themeColors();
    for (const chart of this.charts) chart.draw();
  }
}
