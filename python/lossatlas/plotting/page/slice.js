// The slice: a line over the map, there once it is asked for, and a chart of its values.

import { Chart } from "./chart.js";
import { GUESSED, clamp, numeral } from "./data.js";
import { byId } from "./elements.js";
import { alongLine } from "./lines.js";

export class Slice {
  constructor(page) {
    this.page = page;
    this.chart = new Chart(byId("slice"), page, () => this.content());
    this.chart.hover = (along) => this.hovered(along);
    byId("along-x").onclick = () => this.set(...this.across(0));
    byId("along-y").onclick = () => this.set(...this.across(1));
    byId("no-slice").onclick = () => this.set();
    byId("snap").onchange = () => this.ends && this.set(this.ends.from, this.ends.to);
    this.set();
  }

  // {from, to}, or null where there is none; map and surface draw it
  get ends() {
    return this.page.state.slice;
  }

  // Without ends it goes
  set(from, to) {
    const { surface } = this.page.views[0];
    const snapped = (end) => {
      if (!byId("snap").checked) return end;
      const { column, row } = surface.nearest(...end);
      return [surface.x[column], surface.y[row]];
    };
    this.page.state.slice = from ? { from: snapped(from), to: snapped(to) } : null;
    document.querySelector(".slice").classList.toggle("off", !from);
    const say = ([x, y]) => `(${numeral(x, 3)}, ${numeral(y, 3)})`;
    byId("slice-ends").textContent = from ? `a ${say(this.ends.from)} to b ${say(this.ends.to)}` : "";
    this.page.wake();
  }

  // Both ends of a line from edge to edge along x (axis 0) or y, through the middle of the slice or the origin
  across(axis) {
    const { x, y } = this.page.views[0].surface, [along, other] = axis ? [y, x] : [x, y], { ends } = this;
    const middle = ends ? (ends.from[1 - axis] + ends.to[1 - axis]) / 2 : 0;
    const at = middle >= other[0] && middle <= other.at(-1) ? middle : (other[0] + other.at(-1)) / 2;
    return [along[0], along.at(-1)].map((end) => (axis ? [at, end] : [end, at]));
  }

  content() {
    const { page, ends } = this, { views, field, scale, colors } = page;
    if (!ends) return null;
    const points = alongLine(ends, 400), { start, xlabel } = this.axis(), { length } = this;
    return {
      x: [start, start + (length || 1)], xlabel, scale, bad: [],
      ylabel: page.state.log ? field.label.replace(/( \(|$)/, ", log scale$1") : field.label,
      series: views.map((view, number) => ({
        x: points.map((_, i) => start + (i / 400) * (length || 1)), t: points.map(([x, y]) => view.drawn.at(x, y)),
        color: views.length > 1 ? colors.series[number % colors.series.length] : colors.slice,
        dash: number % 2 === 1, dots: this.onGrid(view).map(([at, ...rest]) => [start + at, ...rest]),
      })),
    };
  }

  get length() {
    const { from, to } = this.ends;
    return Math.hypot(to[0] - from[0], to[1] - from[1]);
  }

  // Along an axis its coordinate, else the distance from end a
  axis() {
    const { from, to } = this.ends;
    const [xlabel, ylabel] = ["xlabel", "ylabel"].map((axis) => commonLabel(this.page.views.map((view) => view[axis])));
    if (from[1] === to[1] && from[0] < to[0]) return { start: from[0], xlabel };
    if (from[0] === to[0] && from[1] < to[1]) return { start: from[1], xlabel: ylabel };
    return { start: 0, xlabel: "distance from a along the slice, in units of the axes" };
  }

  // The points of the grid that lie on the slice, with one standard error: [along, position, low, high]
  onGrid(view) {
    const { surface, values } = view, { from, to } = this.ends, { length } = this, { scale } = this.page;
    const [dx, dy] = [to[0] - from[0], to[1] - from[1]], dots = [];
    if (!length) return dots;
    const draw = view.sets.length > 1 ? this.page.state.draw : 0, name = `${this.page.state.field}_se`;
    const errors = surface.has(draw, name) ? surface.field(draw, name).values : null;
    const near = 1e-6 * Math.hypot(surface.x.at(-1) - surface.x[0], surface.y.at(-1) - surface.y[0]);
    for (let row = 0; row < surface.ny; row++) {
      const py = surface.y[row] - from[1];
      for (let column = 0; column < surface.nx; column++) {
        const px = surface.x[column] - from[0], along = (px * dx + py * dy) / length;
        if (Math.abs(px * dy - py * dx) / length > near || along < -near || along > length + near) continue;
        const k = row * surface.nx + column, t = view.drawn.positions[k];
        if (Number.isNaN(t) || values.state[k] === GUESSED) continue;
        const error = errors ? errors[k] : 0, value = values.values[k];
        const [low, high] = [value - error, value + error].map((v) => clamp(scale.position(v), -0.02, 1.02));
        dots.push([along, t, error > 0 ? low : t, error > 0 ? high : t]);
      }
    }
    return dots;
  }

  hovered(along) {
    const { page, ends } = this;
    if (along === null || !ends || !this.length) {
      byId("slice-value").textContent = "";
      page.state.probe = null;
      return;
    }
    const share = (along - this.axis().start) / this.length;
    const place = [0, 1].map((c) => ends.from[c] + share * (ends.to[c] - ends.from[c]));
    const texts = page.views.map((view) => {
      const t = view.drawn.at(...place), value = Number.isNaN(t) ? "no value" : numeral(page.scale.value(t));
      return page.views.length > 1 ? `${view.name}: ${value}` : value;
    });
    byId("slice-value").textContent = `at (${place.map((c) => numeral(c, 3)).join(", ")}): ${texts.join(" · ")}`;
    page.probe(place, page.views[0]);
  }
}

// A label for all files: without what stands in brackets where that differs
function commonLabel(labels) {
  const same = (texts) => texts.every((text) => text === texts[0]);
  const short = labels.map((label) => label.replace(/ \(.*/, ""));
  return same(labels) ? labels[0] : same(short) ? short[0] : "coordinate in the plane";
}
