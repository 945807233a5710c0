// The plane seen from above: filled colours, contour lines, a colour bar, and what is marked on it.
// Dragging draws the slice.

import { NONFINITE, clamp, colorRamp, located, roundTicks } from "./data.js";
import { alongLine, refined } from "./lines.js";
import { contoursOf } from "./mesh.js";
import { FINGER, FONT, css, disc, fittedText, freshPen, haloed, placeOf, polyline, segment, upright, widestOf } from "./pen.js";
import { apart, drawArrows } from "./tangent.js";

const REACH = { mouse: 12, pen: 12, touch: 24 }; // pixels within which an end of the slice is taken hold of

export class PlaneMap {
  constructor(view, element, page) {
    Object.assign(this, { view, element, page });
    this.canvas = element.querySelector("canvas");
    this.picture = document.createElement("canvas");
    this.listen();
  }

  setValues(drawn) {
    this.drawn = drawn;
    this.contours = contoursOf(drawn, drawn.scale.levels);
    this.painted = "";
  }

  // The rectangle of the plane within `width` × `height`, room left for ticks and the colour bar
  layout(pen, width, height) {
    const { surface, scale } = this.drawn, { box } = surface;
    pen.font = `11px ${FONT}`;
    const numbers = widestOf(pen, roundTicks(surface.y[0], surface.y.at(-1)));
    const room = { left: Math.max(54, 34 + numbers), right: Math.max(74, 34 + widestOf(pen, scale.ticks)), top: 10, bottom: 44 };
    const across = width - room.left - room.right, up = height - room.top - room.bottom;
    const size = Math.max(20, Math.min(across / box[0], up / box[1]));
    const body = { width: size * box[0], height: size * box[1], numbers };
    body.left = room.left + (across - body.width) / 2;
    body.top = room.top + (up - body.height) / 2;
    return body;
  }

  toScreen(x, y) {
    const { surface } = this.drawn, { left, top, width, height } = this.body;
    const [u, v] = surface.toBox(x, y);
    return [left + (u / surface.box[0] + 0.5) * width, top + (0.5 - v / surface.box[1]) * height];
  }

  placeOn(x, y) {
    return this.toScreen(x, y);
  }

  fromScreen(px, py) {
    const { surface } = this.drawn, { left, top, width, height } = this.body;
    return surface.fromBox(((px - left) / width - 0.5) * surface.box[0], (0.5 - (py - top) / height) * surface.box[1]);
  }

  draw() {
    if (!this.canvas.clientWidth) return;
    const [pen, width, height] = freshPen(this.canvas);
    this.body = this.layout(pen, width, height);
    this.paint(pen.ratio);
    pen.drawImage(this.picture, this.body.left, this.body.top, this.body.width, this.body.height);
    this.lines(pen);
    this.frame(pen, height);
    this.bar(pen);
    this.marks(pen);
  }

  // Colours, pixel by pixel, on a canvas of its own; only where something changed
  paint(ratio) {
    const width = Math.round(this.body.width * ratio), height = Math.round(this.body.height * ratio);
    const { colors } = this.page, key = `${width} ${height} ${colors.name}`;
    if (key === this.painted) return;
    this.painted = key;
    Object.assign(this.picture, { width, height });
    const pen = this.picture.getContext("2d"), image = pen.createImageData(width, height);
    const ramp = colorRamp(), { surface, field } = this.drawn;
    const bad = colors.nonfinite.map((c) => 255 * c), ground = colors.ground.map((c) => 255 * c);
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        const [x, y] = surface.fromBox(((column + 0.5) / width - 0.5) * surface.box[0],
          (0.5 - (row + 0.5) / height) * surface.box[1]);
        const t = this.drawn.at(x, y), { column: i, row: j } = surface.nearest(x, y);
        const state = field.state[j * surface.nx + i], n = 4 * (row * width + column);
        if (Number.isNaN(t) && state !== NONFINITE && !this.besideBad(x, y)) continue;
        const hatched = (column + row) % Math.round(9 * ratio) < 2 * ratio;
        let color = Number.isNaN(t) ? (hatched ? ground : bad) : ramp.subarray(3 * Math.round(255 * t), 3 * Math.round(255 * t) + 3);
        const pale = Number.isNaN(t) ? 0 : 0.5 * this.drawn.guessed(x, y);
        for (let c = 0; c < 3; c++) image.data[n + c] = color[c] * (1 - pale) + ground[c] * pale;
        image.data[n + 3] = 255;
      }
    }
    pen.putImageData(image, 0, 0);
  }

  // Whether a corner of the cell around (x, y) is not finite: the gap up to its neighbours is coloured.
  besideBad(x, y) {
    const { surface, field } = this.drawn, [i] = located(surface.x, x), [j] = located(surface.y, y);
    return [0, 1, surface.nx, surface.nx + 1].some((step) => field.state[j * surface.nx + i + step] === NONFINITE);
  }

  lines(pen) {
    const ramp = colorRamp();
    pen.lineWidth = 0.8;
    for (const [level, points] of this.contours) {
      const [r, g, b] = ramp.subarray(3 * Math.round(255 * level), 3 * Math.round(255 * level) + 3);
      pen.strokeStyle = 0.3 * r + 0.6 * g + 0.1 * b > 110 ? "rgb(0 0 0 / 0.4)" : "rgb(255 255 255 / 0.45)";
      pen.beginPath();
      for (let n = 0; n < points.length; n += 4) {
        pen.moveTo(...this.toScreen(points[n], points[n + 1]));
        pen.lineTo(...this.toScreen(points[n + 2], points[n + 3]));
      }
      pen.stroke();
    }
  }

  frame(pen, height) {
    const { left, top, width, height: tall, numbers } = this.body, { colors } = this.page, { surface } = this.drawn;
    pen.strokeStyle = colors.faint;
    pen.fillStyle = colors.text;
    pen.lineWidth = 1;
    pen.strokeRect(left, top, width, tall);
    pen.font = `11px ${FONT}`;
    pen.textAlign = "center";
    pen.textBaseline = "top";
    const few = width < 180 ? 3 : 5;
    for (const [value, text] of roundTicks(surface.x[0], surface.x.at(-1), few)) {
      const [x] = this.toScreen(value, surface.y[0]);
      segment(pen, x, top + tall, x, top + tall + 4);
      pen.fillText(text, x, top + tall + 8);
    }
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const [value, text] of roundTicks(surface.y[0], surface.y.at(-1), few)) {
      const [, y] = this.toScreen(surface.x[0], value);
      segment(pen, left - 4, y, left, y);
      pen.fillText(text, left - 11, y);
    }
    pen.textAlign = "center";
    pen.textBaseline = "alphabetic";
    fittedText(pen, this.view.xlabel, left + width / 2, Math.min(height - 6, top + tall + 37), width + 90);
    pen.save();
    pen.translate(left - Math.max(numbers + 18, 36), top + tall / 2);
    pen.rotate(-Math.PI / 2);
    fittedText(pen, this.view.ylabel, 0, 0, tall + 2 * Math.min(top, height - top - tall) - 8);
    pen.restore();
  }

  bar(pen) {
    const { left, top, width, height } = this.body, { colors } = this.page, { scale } = this.drawn;
    const x = left + width + 12, ramp = colorRamp();
    const gradient = pen.createLinearGradient(0, top + height, 0, top);
    for (let n = 0; n <= 64; n++) {
      const k = 3 * Math.round((255 * n) / 64);
      gradient.addColorStop(n / 64, `rgb(${ramp[k]} ${ramp[k + 1]} ${ramp[k + 2]})`);
    }
    pen.fillStyle = gradient;
    pen.fillRect(x, top, 12, height);
    pen.strokeStyle = colors.faint;
    pen.strokeRect(x, top, 12, height);
    pen.fillStyle = colors.text;
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    for (const [t, text] of scale.ticks) {
      const y = top + (1 - t) * height;
      segment(pen, x + 12, y, x + 16, y);
      pen.fillText(text, x + 18, y);
    }
  }

  marks(pen) {
    const { slice, probe } = this.page.state, { colors } = this.page, { surface } = this.drawn;
    pen.save();
    pen.beginPath();
    pen.rect(this.body.left - 6, this.body.top - 6, this.body.width + 12, this.body.height + 12);
    pen.clip();
    pen.lineCap = pen.lineJoin = "round";
    if (this.view.centre !== false) this.cross(pen, 0, 0);
    const path = (points, color, width, dash = [], rim = colors.rim) => {
      const screen = points.map(([x, y]) => this.toScreen(x, y));
      pen.strokeStyle = css(rim);
      pen.lineWidth = width + 2;
      polyline(pen, screen);
      pen.strokeStyle = css(color);
      pen.lineWidth = width;
      pen.setLineDash(dash);
      polyline(pen, screen);
      pen.setLineDash([]);
    };
    for (const curve of this.view.curves) path(curve.x.map((x, i) => [x, curve.y[i]]), colors.curve, 2);
    for (const run of this.page.runsOf(this.view)) {
      pen.strokeStyle = css([...run.color.slice(0, 3), 0.6]);
      pen.lineWidth = 1.4;
      polyline(pen, run.x.map((x, i) => this.toScreen(x, run.y[i])));
      path(refined(run.x, run.y, run.step, 1), run.color, 2, run.look?.dash);
      run.x.forEach((x, i) => disc(pen, ...this.toScreen(x, run.y[i]), i <= run.step ? 2.8 : 2, css(run.color), css(colors.rim), 1));
      disc(pen, ...this.toScreen(...run.at), 6, css(run.color), css(colors.rim), 1.6);
    }
    for (const tangent of this.page.tangentsOf(this.view)) drawArrows(pen, this, tangent, colors.rim);
    if (slice) {
      path([slice.from, slice.to], colors.rim, 2, [], colors.slice); // unlike paths: light, with a dark edge
      pen.font = `600 11px ${FONT}`;
      [slice.from, slice.to].forEach((end, i) => {
        const [x, y] = this.toScreen(...end);
        disc(pen, x, y, 8, css(colors.slice), css(colors.rim), 1.6);
        pen.fillStyle = css(colors.rim);
        pen.textAlign = "center";
        pen.textBaseline = "middle";
        pen.fillText("ab"[i], x, y + 0.5);
      });
    }
    if (probe && surface.contains(...probe)) disc(pen, ...this.toScreen(...probe), 4.5, css(colors.probe), css(colors.rim), 1.6);
    pen.restore();
    this.names(pen);
  }

  // The parameters the plane was laid through
  cross(pen, x, y) {
    if (!this.drawn.surface.contains(x, y)) return;
    const [px, py] = this.toScreen(x, y);
    for (const [width, color] of [[3.4, "#ffffff"], [1.4, "#000000"]]) {
      pen.lineWidth = width;
      pen.strokeStyle = color;
      segment(pen, px - 5, py, px + 5, py);
      segment(pen, px, py - 5, px, py + 5);
    }
  }

  names(pen) {
    const { points } = this.view, { colors } = this.page;
    if (!points) return;
    pen.font = `12px ${FONT}`;
    const busy = this.busy(), look = points.x.map((_, i) => this.page.pointLook(points, i, 4.5));
    points.x.forEach((x, i) => disc(pen, ...this.toScreen(x, points.y[i]), look[i][1], css(look[i][0]), css(look[i][2]), 1.4));
    points.name.forEach((name, i) => {
      if (!name) return;
      const { x, y, box } = this.spotFor(pen.measureText(name).width, this.toScreen(points.x[i], points.y[i]), busy);
      pen.textAlign = "left";
      pen.textBaseline = "middle";
      haloed(pen, name, x, y, colors);
      for (let along = box[0]; along < box[2]; along++) busy.push([along, y]); // dense: no name over another
    });
  }

  // Places on the screen that no name should cover
  busy() {
    const { slice } = this.page.state, { points } = this.view;
    const paths = [...this.view.curves, ...this.view.runs, points].flatMap(({ x, y }) => {
      const step = Math.ceil(x.length / 60);
      return x.map((at, i) => [at, y[i]]).filter((_, i) => i % step === 0);
    });
    return [...paths, ...(slice ? alongLine(slice, 100) : [])].map((at) => this.toScreen(...at));
  }

  // Where a text of that width stands beside (x, y): where it covers least, and within the map
  spotFor(width, [x, y], busy) {
    const { left, top, width: wide, height } = this.body;
    const spots = [[9, 0], [-9 - width, 0], [6, -13], [6, 13], [-6 - width, -13], [-6 - width, 13], [-width / 2, -16], [-width / 2, 16],
      [6, -28], [-6 - width, -28], [6, 28], [-6 - width, 28]].map(([dx, dy]) => {
      const box = [x + dx - 2, y + dy - 8, x + dx + width + 2, y + dy + 8];
      const outside = box[0] < left || box[2] > left + wide || box[1] < top || box[3] > top + height;
      const covered = busy.filter(([bx, by]) => bx > box[0] && bx < box[2] && by > box[1] && by < box[3]).length;
      return { x: x + dx, y: y + dy, box, cost: covered + (outside ? 1000 : 0) };
    });
    return spots.reduce((best, spot) => (spot.cost < best.cost ? spot : best));
  }

  // --- the pointer ----------------------------------------------------------------------------------

  listen() {
    const { element } = this;
    let hold = null, start = null, grip = null, moved = false;
    element.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !event.isPrimary) return;
      element.setPointerCapture(event.pointerId);
      start = placeOf(event, element);
      hold = this.held(...start, REACH[event.pointerType]);
      const end = this.page.state.slice?.[hold];
      grip = end ? this.toScreen(...end).map((c, i) => c - start[i]) : [0, 0];
      moved = false;
    });
    element.addEventListener("pointermove", (event) => {
      const now = placeOf(event, element), byFinger = event.pointerType === "touch";
      if (!hold) {
        if (byFinger) return;
        this.pointed(now, false);
        element.style.cursor = ["grab", "crosshair"][Number(this.held(...now) === "new")];
        return;
      }
      if (!moved && apart(now, start) < FINGER) return;
      if (!moved && hold === "new" && byFinger && upright(start, now)) {
        hold = null;
        return;
      }
      moved = true;
      if (hold === "new" && byFinger) this.pointed(now, true);
      else this.pull(hold, start, now.map((c, i) => c + grip[i]));
      if (hold === "all") start = now;
    });
    element.addEventListener("pointerup", (event) => {
      if (event.pointerType === "touch" && hold && !moved) this.pointed(start, true);
      hold = null;
    });
    element.addEventListener("pointercancel", () => { hold = null; });
    element.addEventListener("pointerleave", (event) => {
      if (!hold && event.pointerType !== "touch") this.page.probe(null, this.view);
    });
    // What is taken hold of follows the finger in all directions: the page does not scroll meanwhile
    element.addEventListener("touchstart", (event) => {
      if (hold && hold !== "new" && event.cancelable) event.preventDefault();
    }, { passive: false });
  }

  // A finger hides what is above it: it has the value beside it, a mouse on the surface
  pointed(place, byFinger) {
    this.page.probe(this.inside(...place) ? this.fromScreen(...place) : null, this.view, byFinger);
  }

  inside(px, py) {
    const { left, top, width, height } = this.body;
    return px >= left && px <= left + width && py >= top && py <= top + height;
  }

  // What of the slice is under the pointer: "from", "to", "all" of it, or nothing: a "new" one
  held(px, py, reach = REACH.mouse) {
    const { slice } = this.page.state;
    if (!slice || !this.body) return "new";
    const a = this.toScreen(...slice.from), b = this.toScreen(...slice.to);
    const far = (p) => Math.hypot(px - p[0], py - p[1]);
    if (Math.min(far(a), far(b)) < reach) return far(a) < far(b) ? "from" : "to";
    const length = Math.hypot(b[0] - a[0], b[1] - a[1]);
    const along = ((px - a[0]) * (b[0] - a[0]) + (py - a[1]) * (b[1] - a[1])) / (length * length || 1);
    const beside = Math.abs((px - a[0]) * (b[1] - a[1]) - (py - a[1]) * (b[0] - a[0])) / (length || 1);
    return along > 0 && along < 1 && beside < reach / 2 ? "all" : "new";
  }

  pull(hold, start, now) {
    const { slice } = this.page.state, { surface } = this.drawn;
    const held = ([x, y]) => [clamp(x, surface.x[0], surface.x.at(-1)), clamp(y, surface.y[0], surface.y.at(-1))];
    const [x0, y0] = this.fromScreen(...start), [x1, y1] = this.fromScreen(...now), here = held([x1, y1]);
    if (hold === "new") this.page.slice.set(held([x0, y0]), here);
    else if (hold === "from") this.page.slice.set(here, slice.to);
    else if (hold === "to") this.page.slice.set(slice.from, here);
    else {
      const shift = ([x, y]) => [x + x1 - x0, y + y1 - y0];
      const from = shift(slice.from), to = shift(slice.to);
      if (surface.contains(...from) && surface.contains(...to)) this.page.slice.set(from, to);
    }
  }
}
