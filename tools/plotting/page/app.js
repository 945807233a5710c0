// The page of one or several surfaces: its state, and what the controls do.

const TITLE_ROOM = 26; // pixels, right of the box
const byId = (id) => document.getElementById(id);

class SurfacePage {
  constructor() {
    this.still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.camera = new Camera();
    this.camera.home(DATA.camera);
    Object.assign(this.camera.now, this.camera.wanted);
    this.fields = new Map(DATA.fields.map((field) => [field.name, field]));
    this.views = DATA.views.map((record, number) => this.makeView(record, number));
    this.runs = this.views.flatMap((view) => view.runs);
    this.state = { field: DATA.field, log: false, draw: DATA.draw, slice: null, probe: null, spin: false, step: 0, playing: false };
    this.firstStep();
    this.sliceChart = new Chart(byId("slice"), this, () => this.slice());
    this.sliceChart.hover = (share) => this.sliceHovered(share);
    this.runChart = this.runs.length ? new Chart(byId("run"), this, () => this.along()) : null;
    this.controls();
    this.chooseField(DATA.field);
    const { x, y } = this.views[0].surface, low = x[0], high = x.at(-1);
    const middle = y[0] <= 0 && y.at(-1) >= 0 ? 0 : (y[0] + y.at(-1)) / 2;
    this.setSlice([low, middle], [high, middle]);
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

  // The colour, size and rim of named points
  pointLook(size) {
    const { known, ink, curve, rim } = this.colors;
    return DATA.descents ? [known, size, ink] : [curve, size, rim];
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
    this.sliceChart.draw();
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
    else if (state === NONFINITE) lines.push(`${this.field.short}: ${numeral(view.values.values[k])}`, "evaluated, not finite");
    else {
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

  // --- the slice ------------------------------------------------------------------------------------

  setSlice(from, to) {
    const snapped = (end) => {
      if (!byId("snap").checked) return end;
      const { surface } = this.views[0], { column, row } = surface.nearest(...end);
      return [surface.x[column], surface.y[row]];
    };
    this.state.slice = { from: snapped(from), to: snapped(to) };
    const say = ([x, y]) => `(${numeral(x, 3)}, ${numeral(y, 3)})`;
    byId("slice-ends").textContent = `a ${say(this.state.slice.from)} to b ${say(this.state.slice.to)}`;
    this.wake();
  }

  slice() {
    const { slice } = this.state;
    const length = Math.hypot(slice.to[0] - slice.from[0], slice.to[1] - slice.from[1]);
    const points = alongLine(slice, 400), { label } = this.field;
    const { start, xlabel } = this.sliceAxis(slice);
    return {
      x: [start, start + (length || 1)], scale: this.scale, ylabel: this.state.log ? label.replace(/( \(|$)/, ", log scale$1") : label,
      xlabel,
      bad: [],
      series: this.views.map((view, number) => ({
        x: points.map((_, i) => start + (i / 400) * (length || 1)), t: points.map(([x, y]) => view.drawn.at(x, y)),
        color: this.views.length > 1 ? this.colors.series[number % 4] : this.colors.slice,
        dash: number % 2 === 1, dots: this.onGrid(view, slice, length).map(([at, ...rest]) => [start + at, ...rest]),
      })),
    };
  }

  // Along an axis its coordinate, else the distance from end a
  sliceAxis({ from, to }) {
    const [xlabel, ylabel] = ["xlabel", "ylabel"].map((axis) => commonLabel(this.views.map((view) => view[axis])));
    if (from[1] === to[1] && from[0] < to[0]) return { start: from[0], xlabel };
    if (from[0] === to[0] && from[1] < to[1]) return { start: from[1], xlabel: ylabel };
    return { start: 0, xlabel: "distance from a along the slice, in units of the axes" };
  }

  // The points of the grid that lie on the slice, with one standard error: [along, position, low, high]
  onGrid(view, { from, to }, length) {
    const { surface, values } = view, draw = view.sets.length > 1 ? this.state.draw : 0;
    const [dx, dy] = [to[0] - from[0], to[1] - from[1]], dots = [];
    if (!length) return dots;
    const errors = surface.has(draw, `${this.state.field}_se`) ? surface.field(draw, `${this.state.field}_se`).values : null;
    const near = 1e-6 * Math.hypot(surface.x.at(-1) - surface.x[0], surface.y.at(-1) - surface.y[0]);
    for (let row = 0; row < surface.ny; row++) {
      const py = surface.y[row] - from[1];
      for (let column = 0; column < surface.nx; column++) {
        const px = surface.x[column] - from[0], along = (px * dx + py * dy) / length;
        if (Math.abs(px * dy - py * dx) / length > near || along < -near || along > length + near) continue;
        const k = row * surface.nx + column, t = view.drawn.positions[k];
        if (Number.isNaN(t) || values.state[k] === GUESSED) continue;
        const error = errors ? errors[k] : 0, value = values.values[k];
        const [low, high] = [value - error, value + error].map((v) => clamp(this.scale.position(v), -0.02, 1.02));
        dots.push([along, t, error > 0 ? low : t, error > 0 ? high : t]);
      }
    }
    return dots;
  }

  sliceHovered(along) {
    const { slice } = this.state, length = Math.hypot(slice.to[0] - slice.from[0], slice.to[1] - slice.from[1]);
    if (along === null || !length) {
      byId("slice-value").textContent = "";
      this.state.probe = null;
      return;
    }
    const share = (along - this.sliceAxis(slice).start) / length;
    const place = [0, 1].map((c) => slice.from[c] + share * (slice.to[c] - slice.from[c]));
    const texts = this.views.map((view) => {
      const t = view.drawn.at(...place), value = Number.isNaN(t) ? "no value" : numeral(this.scale.value(t));
      return this.views.length > 1 ? `${view.name}: ${value}` : value;
    });
    byId("slice-value").textContent = `at (${place.map((c) => numeral(c, 3)).join(", ")}): ${texts.join(" · ")}`;
    this.probe(place, this.views[0]);
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
    themeControl(() => this.refresh());
    const { surface } = this.views[0];
    const middle = (points, at) => (at >= points[0] && at <= points.at(-1) ? at : (points[0] + points.at(-1)) / 2);
    byId("along-x").onclick = () => {
      const y = middle(surface.y, this.state.slice ? (this.state.slice.from[1] + this.state.slice.to[1]) / 2 : 0);
      this.setSlice([surface.x[0], y], [surface.x.at(-1), y]);
    };
    byId("along-y").onclick = () => {
      const x = middle(surface.x, this.state.slice ? (this.state.slice.from[0] + this.state.slice.to[0]) / 2 : 0);
      this.setSlice([x, surface.y[0]], [x, surface.y.at(-1)]);
    };
    byId("snap").onchange = () => this.setSlice(this.state.slice.from, this.state.slice.to);
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
    for (const view of this.views) {
      view.stage.element.addEventListener("keydown", (event) => this.turnByKey(event));
      view.map.element.addEventListener("keydown", (event) => this.walkByKey(event, view));
      view.map.element.addEventListener("blur", () => this.probe(null, view));
    }
    document.addEventListener("keydown", (event) => this.anyKey(event));
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

  turnByKey(event) {
    const step = event.shiftKey ? 3 : 9;
    const turns = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (turns[event.key]) this.camera.turn(...turns[event.key]);
    else if (event.key === "+" || event.key === "=") this.camera.zoom(1.15);
    else if (event.key === "-") this.camera.zoom(1 / 1.15);
    else if (event.key === "0" || event.key === "Home") this.goHome();
    else return;
    event.preventDefault();
    this.wake();
  }

  walkByKey(event, view) {
    const { surface } = view, steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const { column, row } = surface.nearest(...(this.state.probe ?? [0, 0]));
    const key = event.key.toLowerCase();
    if (steps[event.key]) {
      const [right, up] = this.state.probe ? steps[event.key].map((n) => n * (event.shiftKey ? 5 : 1)) : [0, 0];
      this.probe([surface.x[clamp(column + right, 0, surface.nx - 1)], surface.y[clamp(row + up, 0, surface.ny - 1)]], view);
      byId("said").textContent = this.views.map((each) =>
        (this.views.length > 1 ? `${each.name}: ` : "") + this.lines(each, this.state.probe).join(", ")).join("; ");
    } else if ((key === "a" || key === "b") && this.state.probe && !event.ctrlKey && !event.metaKey) {
      const { slice, probe } = this.state;
      this.setSlice(key === "a" ? probe : slice.from, key === "b" ? probe : slice.to);
      byId("said").textContent = `Slice from ${byId("slice-ends").textContent}`;
    } else return;
    event.preventDefault();
  }

  anyKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const act = {
      v: () => {
        const names = DATA.fields.map((field) => field.name);
        this.chooseField(names[(names.indexOf(this.state.field) + 1) % names.length]);
        byId("said").textContent = this.field.label;
      },
      l: () => this.field.log && this.field.linear && this.chooseField(this.state.field, !this.state.log),
      d: () => byId("theme").click(),
      p: () => this.runs.length && this.play(),
      r: () => this.spin(),
      s: () => savePicture(this),
    }[event.key.toLowerCase()];
    act?.();
  }
}

// A label for all files: without what stands in brackets where that differs
function commonLabel(labels) {
  const same = (texts) => texts.every((text) => text === texts[0]);
  const short = labels.map((label) => label.replace(/ \(.*/, ""));
  return same(labels) ? labels[0] : same(short) ? short[0] : "coordinate in the plane";
}

// A scale that reaches from `low` to `high`, positions of `scale`, as if these were 0 and 1
function stretchedScale(scale, low, high) {
  const of = (t) => (t - low) / (high - low);
  return { ticks: scale.ticks.map(([t, text]) => [of(t), text]), of };
}

const paragraphs = (texts) => texts.map((text) => Object.assign(document.createElement("p"), { textContent: text }));

function fillSelect(select, options) {
  select.replaceChildren(...options.map(([value, text]) => Object.assign(document.createElement("option"), { value, textContent: text })));
}
