// The page of descents on a function of one variable: the curve, the steps so far, and the tangent where each stands.

import { Chart, interpolated } from "./chart.js";
import { DATA, Scale, clamp, numeral } from "./data.js";
import { byId, paragraphs } from "./elements.js";
import { savePicture } from "./picture.js";
import { themeColors, themeControl } from "./theme.js";

export class DescentPage {
  constructor() {
    this.state = { step: 0, playing: false };
    this.colors = themeColors();
    this.height = new Scale(DATA.height);
    this.place = new Scale(DATA.place);
    const [curve, steps] = document.querySelectorAll(".chart");
    this.charts = [new Chart(curve, this, () => this.curve())];
    if (steps) this.charts.push(new Chart(steps, this, () => this.overSteps()));
    this.charts[0].hover = (x) => this.hovered(x);
    this.last = Math.max(0, ...DATA.walks.map((walk) => walk.height.length - 1));
    for (const id of ["field-choice", "scale", "spin", "home"]) byId(id).hidden = true;
    document.querySelector(".panel-head").hidden = !this.last;
    byId("save").onclick = () => savePicture(this);
    byId("play").onclick = () => this.play();
    byId("step").max = this.last;
    byId("step").oninput = (event) => {
      this.play(false);
      this.goTo(Number(event.target.value));
    };
    byId("notes").replaceChildren(...paragraphs(DATA.notes));
    themeControl(this, () => this.wake());
    document.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.wake()).observe(byId("main"));
    this.hovered(null);
    this.goTo(0);
  }

  // --- what is shown --------------------------------------------------------------------------------

  // The step of a walk that is shown: its last where it is shorter
  at(walk) {
    return Math.min(Math.floor(this.state.step), walk.height.length - 1);
  }

  curve() {
    const position = (value) => (value === null ? NaN : this.height.position(value));
    const series = [{ x: DATA.x, t: DATA.value.map(position), color: this.colors.slice }], marks = [];
    const cursor = this.charts[0].cursor;
    if (cursor !== null) {
      const value = interpolated(DATA.x, DATA.value, cursor), slope = interpolated(DATA.x, DATA.slope, cursor);
      if (Number.isFinite(value + slope)) series.push(this.tangent(cursor, value, slope, this.colors.quiet));
    }
    for (const walk of DATA.walks) {
      const i = this.at(walk), color = this.colors[walk.look.color], { dash } = walk.look, x = walk.at[0];
      const t = walk.height.map(position);
      series.push({ x: x.slice(0, i + 1), t: t.slice(0, i + 1), color, dash, faint: true,
        dots: x.slice(0, i + 1).map((at, k) => [at, t[k], 0, 0]) });
      series.push(this.tangent(x[i], walk.height[i], walk.slopes[i][0], color));
      marks.push({ x: x[i], t: t[i], text: DATA.walks.length === 1 ? `step ${i}` : String(i), color });
    }
    for (const { at: [x], value, gradient: [slope] } of DATA.tangents) {
      series.push(this.tangent(x, value, slope, this.colors.warning));
      marks.push({ x, t: position(value), text: `slope ${numeral(slope)}`, color: this.colors.warning, before: slope > 0 });
    }
    return { x: [DATA.x[0], DATA.x.at(-1)], xlabel: "x", ylabel: "f(x)", scale: this.height, series, marks };
  }

  // A third of the picture wide, as a series of the chart
  tangent(x, value, slope, color) {
    const { width, height } = this.charts[0].body ?? { width: 3, height: 2 };
    const steep = (slope * (DATA.x.at(-1) - DATA.x[0]) / (this.height.high - this.height.low)) * (height / width);
    const reach = (0.16 * (DATA.x.at(-1) - DATA.x[0])) / Math.hypot(1, steep);
    const ends = [x - reach, x + reach];
    return { x: ends, t: ends.map((end) => this.height.position(value + slope * (end - x))), color, still: true };
  }

  overSteps() {
    const series = DATA.walks.map((walk) => ({
      x: walk.height.map((_, i) => i), t: walk.at[0].map((x) => this.place.position(x)), color: this.colors[walk.look.color], dash: walk.look.dash,
    }));
    const marks = DATA.walks.map((walk, n) => ({ x: this.at(walk), t: series[n].t[this.at(walk)], color: series[n].color }));
    return { x: [0, Math.max(1, this.last)], xlabel: "step", ylabel: "x", scale: this.place, series, marks };
  }

  hovered(x) {
    const value = x === null ? NaN : interpolated(DATA.x, DATA.value, x), slope = x === null ? NaN : interpolated(DATA.x, DATA.slope, x);
    byId("tangent").textContent = x === null ? DATA.tangents.map((each) => each.says).join(" · ") : !Number.isFinite(value) ? `at ${numeral(x)}: not defined`
      : `at ${numeral(x)}: f = ${numeral(value)}, derivative ${numeral(slope)}`;
  }

  // --- steps ----------------------------------------------------------------------------------------

  goTo(step) {
    this.state.step = clamp(step, 0, this.last);
    byId("step").value = Math.floor(this.state.step);
    const texts = DATA.walks.map((walk) => (DATA.walks.length > 1 ? `${walk.label}: ` : "") + walk.says[this.at(walk)]);
    byId("run-value").textContent = texts.join(" · ");
    byId("step").setAttribute("aria-valuetext", texts.join("; "));
    this.wake();
  }

  play(on = !this.state.playing) {
    this.state.playing = on && this.last > 0;
    if (on && this.state.step >= this.last) this.state.step = 0;
    byId("play").textContent = this.state.playing ? "Pause" : "Play";
    byId("play").setAttribute("aria-pressed", this.state.playing);
    this.before = null;
    this.wake();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT)$/.test(event.target.tagName)) return;
    const act = { p: () => this.play(), d: () => byId("theme").click(), s: () => savePicture(this) };
    act[event.key.toLowerCase()]?.();
  }

  wake() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame((now) => {
      this.waiting = false;
      if (this.state.playing) {
        const seconds = clamp(this.last / 4, 3, 14);
        this.goTo(this.state.step + (Math.min(now - (this.before ?? now), 100) / 1000) * (this.last / seconds));
        this.before = now;
        if (this.state.step >= this.last) this.play(false);
      }
      this.drawAll();
    });
  }

  drawAll() {
    this.colors = themeColors();
    for (const chart of this.charts) chart.draw();
  }
}
