// The page of one or several surfaces: its state, and what the controls do.

import { Camera } from "./camera.js";
import { Chart, interpolated } from "./chart.js";
import { BLANK, DATA, Drawn, GUESSED, NONFINITE, RECONSTRUCTED, Surface, clamp, colorRamp, numeral } from "./data.js";
import { byId, fillSelect, paragraphs } from "./elements.js";
import { listenToKeys } from "./keys.js";
import { PlaneMap } from "./map.js";
import { savePicture } from "./picture.js";
import { Slice } from "./slice.js";
import { Stage } from "./stage.js";
import { themeColors, themeControl } from "./theme.js";

const TITLE_ROOM = 26; // pixels, right of the box

export class SurfacePage {
  constructor() {
    this.still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.camera = new Camera();
    this.camera.home(DATA.camera);
    Object.assign(this.camera.now, this.camera.wanted);
    this.fields = new Map(DATA.fields.map((field) => [field.name, field]));
    this.views = DATA.views.map((record, number) => this.makeView(record, number));
    this.runs = this.views.flatMap((view) => view.runs);
    this.state = { field: DATA.field, log: false, wantsLog: DATA.log ?? undefined, draw: DATA.draw, slice: null, probe: null,
      spin: false, step: 0, playing: false };
    this.firstStep();
    this.slice = new Slice(this);
    this.runChart = this.runs.length ? new Chart(byId("run"), this, () => this.along()) : null;
    this.controls();
    this.chooseField(DATA.field);
    new ResizeObserver(() => this.wake()).observe(byId("main"));
  }

  makeView(record, number) {
    const element = document.querySelectorAll(".view")[number];
    const view = { ...record, number, element, surface: new Surface(record) };
    view.runs = record.runs.map((run) => ({ ...run, view }));
    view.stage = new Stage(view, element.querySelector(".stage"), this);
    view.map = new PlaneMap(view, element.querySelector(".map"), this);
    view.tip = element.querySelector(".tip");
    this.readColors();
    return view;
  }

  // --- what is shown --------------------------------------------------------------------------------

  get field() {
    return this.fields.get(this.state.field);
  }

  get scale() {
    return this.field[this.state.log ? "log" : "linear"];
  }

  // `log`: what the reader wants from now on, of all values that have it
  chooseField(name, log = this.state.wantsLog) {
    this.state.field = name;
    this.state.wantsLog = log;
    const { field } = this;
    this.state.log = Boolean((log ?? field.chosen) && field.log) || !field.linear;
    byId("field").value = name;
    byId("log").disabled = !field.log;
    byId("linear").disabled = !field.linear;
    byId("log").setAttribute("aria-pressed", this.state.log);
    byId("linear").setAttribute("aria-pressed", !this.state.log);
    this.refresh();
  }

  refresh() {
    this.readColors();
    this.views.forEach((view, number) => {
      const draw = view.sets.length > 1 ? this.state.draw : 0;
      if (view.sets[draw].shown) { // of a slice its caption, notes and points
        Object.assign(view, view.sets[draw].shown);
        byId("captions").querySelector(".caption").textContent = view.caption;
      }
      view.values = view.surface.field(draw, this.state.field);
      view.drawn = new Drawn(view.surface, view.values, this.scale);
      view.stage.setValues(view.drawn);
      view.map.setValues(view.drawn);
      const title = view.titles[this.state.field];
      if (this.views.length === 1) byId("title").textContent = title;
      view.element.querySelector(".stage").setAttribute("aria-label",
        `${title}: surface in three dimensions, arrow keys turn it`);
      view.element.querySelector(".map").setAttribute("aria-label", `${title}: map, arrow keys go from point to point`);
      if (this.views.length > 1) document.querySelectorAll(".view h2")[number].textContent = view.name;
      byId(`words-${number}`).replaceChildren(...paragraphs(view.words[this.state.field]));
    });
    if (this.runs.length) this.sayRun();
    this.writeNotes();
    this.wake();
  }

  writeNotes() {
    const draw = (view) => (view.sets.length > 1 ? this.state.draw : 0);
    const texts = [`Height and colour: ${this.field.label}, ${this.state.log ? "logarithmic" : "linear"} scale`,
      ...this.scale.notes];
    for (const view of this.views) {
      const own = [...view.values.notes, ...view.notes];
      texts.push(...own.map((text) => (this.views.length > 1 ? `${view.name}: ${text}` : text)));
      const partial = document.querySelectorAll(".partial")[view.number];
      partial.textContent = view.sets[draw(view)].partial ?? "";
      partial.hidden = !partial.textContent;
    }
    byId("notes").replaceChildren(...texts.map((text) => {
      const line = document.createElement("p");
      if (text.includes("(pink")) line.append(document.createElement("i"));
      line.append(text);
      return line;
    }));
  }

  readColors() {
    this.colors = themeColors();
    for (const view of this.views ?? []) {
      for (const run of view.runs) run.color = this.colors[run.look?.color ?? run.hue];
    }
  }

  runsOf(view) {
    return view.runs.map((run) => {
      const step = Math.min(this.state.step, run.x.length - 1), i = Math.floor(step), f = step - i;
      const mix = (values) => (f ? values[i] + f * (values[i + 1] - values[i]) : values[i]);
      return Object.assign(run, { step, at: [mix(run.x), mix(run.y)] });
    });
  }

  // The colour, size and rim of a named point: a checkpoint has the colour of its own value, where that is known
  pointLook(points, n, size) {
    const { known, ink, curve, rim } = this.colors, own = points.values?.[this.state.field]?.[n] ?? null;
    if (DATA.descents || own === null) return DATA.descents ? [known, size, ink] : [curve, size, rim];
    const at = 3 * Math.round(255 * clamp(this.scale.position(own), 0, 1)), ramp = colorRamp();
    return [[...ramp.subarray(at, at + 3)].map((part) => part / 255), size, ink];
  }

  // The tangent planes of a function that are shown: at the points asked for, and where the chosen runs stand
  tangentsOf(view) {
    const chosen = byId("tangent-of")?.value, name = this.state.field;
    const shown = this.runsOf(view).filter((run, n) => run.slopes && (chosen === "all" || chosen === String(n)));
    return [...(view.tangents ?? []).map((each) => ({ ...each, color: this.colors.warning })), ...shown.map((run) => {
      const i = Math.round(run.step);
      return { at: [run.x[i], run.y[i]], value: run.values[name][i], gradient: run.slopes[i], direction: null, color: run.color };
    })];
  }

  // --- drawing --------------------------------------------------------------------------------------

  wake() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame((now) => {
      this.waiting = false;
      this.tick(now);
    });
  }

  tick(now) {
    const passed = this.last ? Math.min(now - this.last, 100) : 16;
    // Where frames come slowly (no graphics processor), fewer pixels are drawn while things move.
    this.pace = this.last ? 0.7 * (this.pace ?? 16) + 0.3 * (now - this.last) : this.pace;
    this.last = now;
    if (this.state.spin) this.camera.wanted.azimuth += passed * 0.018;
    let more = this.camera.follow(passed, this.still && !this.state.spin) || this.state.spin;
    if (this.state.playing) more = this.playOn(passed) || more;
    this.coarse = more && this.pace > 60;
    this.drawAll(passed).forEach((growing) => { more ||= growing; });
    if (more || this.coarse) this.wake();
    else this.last = null;
  }

  // Of all surfaces the same: they turn together, with room for the widest value labels
  frame(width, height) {
    const needs = this.views.map((view) => view.stage.needs());
    const [labels, reach] = ["labels", "reach"].map((name) => Math.max(...needs.map((each) => each[name])));
    return this.camera.frame(width / height, Math.min(labels / width, 0.4), TITLE_ROOM / width, reach);
  }

  drawAll(passed) {
    const growing = this.views.map((view) => view.stage.draw(passed));
    for (const view of this.views) view.map.draw();
    this.slice.chart.draw();
    this.runChart?.draw();
    this.placeTips();
    return growing;
  }

  // --- the probe: one point of the grid, in all views -----------------------------------------------

  // `onMap`: its values stand on the map and not on the surface
  probe(place, view, onMap = false) {
    const { surface } = view;
    this.state.onMap = onMap;
    if (place && surface.contains(...place)) {
      const { column, row } = surface.nearest(...place);
      this.state.probe = [surface.x[column], surface.y[row]];
    } else {
      this.state.probe = null;
    }
    this.wake();
  }

  // What a view says of the point at (x, y): lines of text, the first being the value
  lines(view, [x, y]) {
    const { surface } = view, { column, row } = surface.nearest(x, y), k = row * surface.nx + column;
    const draw = view.sets.length > 1 ? this.state.draw : 0, name = this.state.field;
    const state = view.values.state[k], percent = this.field.percent ? " %" : "";
    const number = (other) => (surface.has(draw, other) ? surface.field(draw, other).values[k] : NaN);
    const lines = [];
    if (state === BLANK) lines.push("not evaluated");
    else if (state === NONFINITE) {
      const value = this.field.percent ? "none" : numeral(view.values.values[k]); // no accuracy where the loss is not finite
      lines.push(`${this.field.short}: ${value}`, "evaluated, not finite");
    } else {
      const error = number(`${name}_se`);
      lines.push(`${this.field.short}: ${numeral(view.values.values[k])}${percent}`
        + (error > 0 ? ` ± ${numeral(error, 2)} (standard error)` : ""));
      if (state === RECONSTRUCTED) {
        const stated = number(`${name}_error`);
        lines.push(`reconstructed${stated > 0 ? `, ± ${numeral(stated, 2)} at 95 %` : ""}`);
      }
      if (state === GUESSED) lines.push("not evaluated: interpolated");
      const spread = number(`${name}_spread`);
      if (spread >= 0 && this.state.draw === 0) lines.push(`spread over draws: ${numeral(spread, 2)}`);
      const images = number(`${name.split("_")[0]}_images`);
      if (images > 0 && !name.endsWith("_images")) lines.push(`${numeral(images, 9)} images`);
    }
    lines.push(`(${numeral(surface.x[column])}, ${numeral(surface.y[row])})`);
    return lines;
  }

  placeTips() {
    const { probe } = this.state;
    for (const view of this.views) {
      const { tip, surface } = view, pane = this.state.onMap ? view.map : view.stage;
      tip.hidden = !probe || !surface.contains(...probe);
      if (tip.hidden) continue;
      const lines = this.lines(view, probe), first = document.createElement("b");
      first.textContent = lines[0];
      tip.replaceChildren(first, ...lines.slice(1).flatMap((text) => [document.createElement("br"), text]));
      if (tip.parentNode !== pane.element) pane.element.append(tip);
      const { clientWidth: width, clientHeight: height } = pane.element, [x, y] = pane.placeOn(...probe);
      tip.style.left = `${clamp(x + 16, 4, Math.max(4, width - tip.offsetWidth - 4))}px`;
      const above = y - tip.offsetHeight - 14;
      tip.style.top = `${above >= 4 ? above : Math.min(y + 18, Math.max(4, height - tip.offsetHeight - 4))}px`;
    }
  }

  // --- trajectories ---------------------------------------------------------------------------------

  firstStep() {
    this.lastStep = Math.max(0, ...this.runs.map((run) => run.x.length - 1));
    this.state.step = this.lastStep;
  }

  play(on = !this.state.playing) {
    this.state.playing = on && this.lastStep > 0;
    if (on && this.state.step >= this.lastStep) this.state.step = 0;
    byId("play").textContent = this.state.playing ? "Pause" : "Play";
    byId("play").setAttribute("aria-pressed", this.state.playing);
    this.wake();
  }

  playOn(passed) {
    const seconds = clamp(this.lastStep / 6, 3, 14);
    this.goTo(this.state.step + (passed / 1000) * (this.lastStep / seconds));
    if (this.state.step >= this.lastStep) this.play(false);
    return this.state.playing;
  }

  goTo(step) {
    this.state.step = clamp(step, 0, this.lastStep);
    byId("step").value = this.state.step;
    this.sayRun();
    this.wake();
  }

  sayRun() {
    const { short, percent } = this.field, say = (value) => numeral(value) + (percent ? " %" : "");
    const texts = this.runs.map((run) => {
      const i = Math.round(Math.min(this.state.step, run.x.length - 1));
      if (run.says) return `${run.label}: ${run.says[i]}`;
      const own = run.values[this.state.field]?.[i], plane = run.plane[this.state.field]?.[i];
      const called = this.views.length > 1 ? `${run.view.name}, ${run.label}` : run.label;
      return [`${called}: ${run.steps} ${run.epoch[i]}`,
        own != null && `own ${short} ${say(own)}`,
        plane != null && `in the plane ${say(plane)}`,
        run.distance?.[i] != null && `${numeral(run.distance[i], 3)} out of the plane`].filter(Boolean).join(", ");
    });
    byId("run-value").textContent = texts.join(" · ");
    byId("step").setAttribute("aria-valuetext", texts.join("; "));
  }

  // Descents have one of their own: they may go lower than the grid
  alongScale() {
    return (DATA.own && (DATA.own[this.state.log ? "log" : "linear"] ?? DATA.own.linear)) ?? this.scale;
  }

  // The checkpoints' own values, and dashed the plane's at their projections
  along() {
    const name = this.state.field, series = [], scale = this.alongScale();
    let low = Infinity, high = -Infinity;
    for (const run of this.runs) {
      low = Math.min(low, run.epoch[0]);
      high = Math.max(high, run.epoch.at(-1));
      for (const [values, dash] of [[run.values[name], false], [run.plane[name], true]]) {
        if (!values) continue;
        series.push({ x: run.epoch, t: values.map((v) => (v === null ? NaN : scale.position(v))), color: run.color,
          dash: run.look?.dash ?? dash, run });
      }
    }
    if (!series.length) {
      for (const run of this.runs) {
        series.push({ x: run.epoch, t: run.x.map((x, i) => run.view.drawn.at(x, run.y[i])), color: run.color, dash: true, run });
      }
    }
    const marks = this.runs.map((run) => {
      const step = Math.min(this.state.step, run.x.length - 1), i = Math.floor(step), f = step - i;
      const at = f ? run.epoch[i] + f * (run.epoch[i + 1] - run.epoch[i]) : run.epoch[i];
      const shown = series.find((each) => each.run === run);
      return { x: at, t: interpolated(shown.x, shown.t, at), color: run.color };
    });
    const reach = series.flatMap((each) => each.t).filter(Number.isFinite);
    const stretched = stretchedScale(scale, Math.min(0, ...reach), Math.max(1, ...reach));
    const moved = (t) => stretched.of(t);
    for (const each of series) each.t = each.t.map(moved);
    for (const mark of marks) mark.t = moved(mark.t);
    return { x: [low, high > low ? high : low + 1], xlabel: this.runs[0].steps,
      ylabel: DATA.own && scale.log ? `${this.field.label}, log scale` : this.field.label, scale: stretched, series, marks };
  }

  // --- the controls ---------------------------------------------------------------------------------

  controls() {
    fillSelect(byId("field"), DATA.fields.map((field) => [field.name, field.short]));
    byId("field").onchange = (event) => this.chooseField(event.target.value);
    byId("linear").onclick = () => this.chooseField(this.state.field, false);
    byId("log").onclick = () => this.chooseField(this.state.field, true);
    const draws = this.views.find((view) => view.sets.length > 1);
    if (draws) {
      byId("draw-choice").hidden = false;
      byId("draw-choice").firstChild.textContent = `${DATA.sets} `;
      fillSelect(byId("draw"), draws.sets.map((set, number) => [number, set.name]));
      byId("draw").value = this.state.draw;
      byId("draw").onchange = (event) => {
        this.state.draw = Number(event.target.value);
        this.refresh();
      };
    }
    byId("spin").onclick = () => this.spin();
    byId("home").onclick = () => this.goHome();
    byId("save").onclick = () => savePicture(this);
    themeControl(this, () => this.refresh());
    if (this.runs.length) {
      byId("play").onclick = () => this.play();
      byId("step").max = this.lastStep;
      byId("step").value = this.state.step;
      byId("step").oninput = (event) => {
        this.play(false);
        this.goTo(Number(event.target.value));
      };
      this.goTo(this.lastStep);
    }
    if (byId("tangent-of")) byId("tangent-of").onchange = () => this.wake();
    listenToKeys(this);
  }

  spin() {
    this.state.spin = !this.state.spin;
    byId("spin").setAttribute("aria-pressed", this.state.spin);
    this.wake();
  }

  goHome() {
    if (this.state.spin) this.spin();
    this.camera.home(DATA.camera);
    this.wake();
  }
}

// A scale that reaches from `low` to `high`, positions of `scale`, as if these were 0 and 1
function stretchedScale(scale, low, high) {
  const of = (t) => (t - low) / (high - low);
  return { ticks: scale.ticks.map(([t, text]) => [of(t), text]), of };
}
