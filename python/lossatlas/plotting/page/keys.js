// The page of surfaces without a mouse; the page itself lists the keys.

import { DATA, clamp } from "./data.js";
import { byId } from "./elements.js";
import { savePicture } from "./picture.js";

export function listenToKeys(page) {
  for (const view of page.views) {
    view.stage.element.addEventListener("keydown", (event) => turnByKey(page, event));
    view.map.element.addEventListener("keydown", (event) => walkByKey(page, event, view));
    view.map.element.addEventListener("blur", () => page.probe(null, view));
  }
  document.addEventListener("keydown", (event) => anyKey(page, event));
}

function turnByKey(page, event) {
  const step = event.shiftKey ? 3 : 9, { camera } = page;
  const turns = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
  if (turns[event.key]) camera.turn(...turns[event.key]);
  else if (event.key === "+" || event.key === "=") camera.zoom(1.15);
  else if (event.key === "-") camera.zoom(1 / 1.15);
  else if (event.key === "0" || event.key === "Home") page.goHome();
  else return;
  event.preventDefault();
  page.wake();
}

function walkByKey(page, event, view) {
  const { surface } = view, { probe } = page.state;
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const { column, row } = surface.nearest(...(probe ?? [0, 0])), key = event.key.toLowerCase();
  if (steps[event.key]) {
    const [right, up] = probe ? steps[event.key].map((n) => n * (event.shiftKey ? 5 : 1)) : [0, 0];
    const at = [surface.x[clamp(column + right, 0, surface.nx - 1)], surface.y[clamp(row + up, 0, surface.ny - 1)]];
    page.probe(at, view);
    byId("said").textContent = page.views.map((each) =>
      (page.views.length > 1 ? `${each.name}: ` : "") + page.lines(each, page.state.probe).join(", ")).join("; ");
  } else if ((key === "a" || key === "b") && probe && !event.ctrlKey && !event.metaKey) {
    const { slice } = page, [from, to] = slice.ends ? [slice.ends.from, slice.ends.to] : slice.across(0);
    slice.set(key === "a" ? probe : from, key === "b" ? probe : to);
    byId("said").textContent = `Slice from ${byId("slice-ends").textContent}`;
  } else return;
  event.preventDefault();
}

function anyKey(page, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const act = {
    v: () => {
      const names = DATA.fields.map((field) => field.name);
      page.chooseField(names[(names.indexOf(page.state.field) + 1) % names.length]);
      byId("said").textContent = page.field.label;
    },
    l: () => page.field.log && page.field.linear && page.chooseField(page.state.field, !page.state.log),
    d: () => byId("theme").click(),
    p: () => page.runs.length && page.play(),
    r: () => page.spin(),
    s: () => savePicture(page),
  }[event.key.toLowerCase()];
  act?.();
}
