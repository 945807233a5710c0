// The 3D pane of one surface: what stands in the scene, the words around the box, and the pointer.

import { plus, projected, struck, towards } from "./camera.js";
import { colorRamp, roundTicks } from "./data.js";
import { Lines, alongLine, refined } from "./lines.js";
import { MOST_IN_SOFTWARE, MOST_VERTICES, TALL, meshOf } from "./mesh.js";
import { FONT, haloed, segment, shortForms, widestOf } from "./pen.js";
import { followPointer } from "./pointer.js";
import { FLOOR, Scene } from "./scene.js";
import { dashes, drawTangent } from "./tangent.js";

const LAMP = 62, LAMP_HEIGHT = 46; // degrees: over the reader's left shoulder

export class Stage {
  // `page` is told of what the reader does: camera, probe
  constructor(view, element, page) {
    this.view = view;
    this.page = page;
    this.element = element;
    [this.canvas, this.over] = element.querySelectorAll("canvas");
    this.grown = 0;
    this.mesh = null;
    try {
      this.scene = new Scene(this.canvas);
    } catch (reason) {
      element.classList.add("without");
      element.querySelector(".missing").hidden = false;
      return;
    }
    this.canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    this.canvas.addEventListener("webglcontextrestored", () => {
      this.scene.setUp();
      this.mesh = null;
      page.refresh();
    });
    followPointer(element, this);
  }

  // New values: the surface grows from the old ones to them.
  setValues(drawn) {
    if (!this.scene) return;
    this.drawn = drawn;
    const mesh = meshOf(drawn, this.scene.software ? MOST_IN_SOFTWARE : MOST_VERTICES), same = this.mesh && this.mesh.at.length === mesh.at.length;
    this.scene.setColors(colorRamp());
    this.scene.setLevels(drawn.scale.levels);
    this.scene.setMesh(mesh, same ? this.mesh : null);
    this.mesh = mesh;
    this.grown = same && !this.page.still ? 0 : 1;
  }

  // Height in the box of the surface at (x, y); NaN where there is none
  height(x, y) {
    return TALL * this.drawn.at(x, y);
  }

  resize() {
    const ratio = Math.min(window.devicePixelRatio || 1, 3) * (this.page.coarse ? 0.5 : 1);
    const { clientWidth, clientHeight } = this.element;
    for (const canvas of [this.canvas, this.over]) {
      const width = Math.round(clientWidth * ratio), height = Math.round(clientHeight * ratio);
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    }
    this.ratio = ratio;
    this.width = clientWidth;
    this.height_ = clientHeight;
  }

  // How far its box reaches, and how wide its value labels are in pixels
  needs() {
    if (!this.scene || !this.drawn) return { reach: 0, labels: 0 };
    const pen = this.over.getContext("2d");
    pen.font = `${this.textSize}px ${FONT}`;
    return { reach: Math.hypot(...this.drawn.surface.box) / 2, labels: 12 + widestOf(pen, this.drawn.scale.ticks) };
  }

  get small() {
    return this.element.clientWidth < 520;
  }

  get textSize() {
    return this.small ? 10.5 : 12;
  }

  // Whether the surface is still growing
  draw(milliseconds) {
    if (!this.scene || !this.element.clientWidth) return false;
    this.resize();
    this.grown = Math.min(1, this.grown + milliseconds / 350);
    const colors = this.page.colors, frame = this.frame = this.page.frame(this.width, this.height_);
    const azimuth = this.page.camera.now.azimuth;
    const lines = new Lines(this.ratio);
    this.walls(lines, frame);
    const behind = lines.count;
    this.marks(lines);
    this.scene.setLines(lines.numbers, behind);
    const ease = this.grown * this.grown * (3 - 2 * this.grown);
    this.scene.draw({
      view: frame.view, eye: frame.eye, share: ease, thickness: 1.15 * this.ratio,
      lamp: towards(azimuth - LAMP, LAMP_HEIGHT), fill: towards(azimuth + 100, 20),
      ground: colors.ground, bad: colors.nonfinite,
    });
    this.words(frame);
    if (this.page.printed) this.flatten();
    return this.grown < 1;
  }

  // For print, where the canvas of WebGL comes out black or blank: its picture goes below the words, on their canvas
  flatten() {
    const pen = this.over.getContext("2d");
    pen.save();
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.globalCompositeOperation = "destination-over";
    pen.drawImage(this.canvas, 0, 0);
    pen.restore();
  }

  // The sides of the box that lie away from the eye, with lines at the ticks
  walls(lines, frame) {
    const { box } = this.drawn.surface, half = box.map((side) => side / 2);
    const farX = frame.eye[0] > 0 ? -half[0] : half[0], farY = frame.eye[1] > 0 ? -half[1] : half[1];
    const { wall, edge } = this.page.colors;
    const { across, up } = this.ticks();
    const line = (from, to, color, width) => lines.add(from, to, color, width);
    for (const [u] of across) line([u, farY, FLOOR], [u, farY, TALL], wall, 1);
    for (const [v] of up) line([farX, v, FLOOR], [farX, v, TALL], wall, 1);
    for (const [t] of this.drawn.scale.ticks) {
      const z = t * TALL;
      line([-half[0], farY, z], [half[0], farY, z], wall, 1);
      line([farX, -half[1], z], [farX, half[1], z], wall, 1);
    }
    for (const z of [FLOOR, TALL]) {
      line([-half[0], farY, z], [half[0], farY, z], edge, 1);
      line([farX, -half[1], z], [farX, half[1], z], edge, 1);
    }
    line([-half[0], -farY, FLOOR], [half[0], -farY, FLOOR], edge, 1.2);
    line([-farX, -half[1], FLOOR], [-farX, half[1], FLOOR], edge, 1.2);
    for (const [x, y] of [[farX, farY], [-farX, farY], [farX, -farY]]) line([x, y, FLOOR], [x, y, TALL], edge, 1);
  }

  // Ticks along x and y: [place in the box, text]
  ticks() {
    const { surface } = this.drawn;
    const along = (points, place) => roundTicks(points[0], points.at(-1), 5).map(([value, text]) => [place(value), text]);
    return {
      across: along(surface.x, (value) => surface.toBox(value, surface.y[0])[0]),
      up: along(surface.y, (value) => surface.toBox(surface.x[0], value)[1]),
    };
  }

  // The slice, paths, named points and the probe
  marks(lines) {
    const { slice, probe } = this.page.state, { surface } = this.drawn, colors = this.page.colors;
    const draped = (points, color, width, rim, dash) => {
      const places = points.map(([x, y]) => [...surface.toBox(x, y), this.height(x, y) + 0.003]);
      const chain = (places, paint, wide) => {
        for (let i = 1; i < places.length; i++) {
          if (Number.isFinite(places[i - 1][2] + places[i][2])) lines.add(places[i - 1], places[i], paint, wide);
        }
      };
      if (rim) chain(places, rim, width + 2.4);
      for (const part of dash?.length ? dashes(places, dash) : [places]) chain(part, color, width);
    };
    if (slice) {
      const points = alongLine(slice, 160);
      draped(points, colors.rim, 2.4, colors.slice);
      const floor = [slice.from, slice.to].map(([x, y]) => [...surface.toBox(x, y), FLOOR + 0.003]);
      if ([slice.from, slice.to].every(([x, y]) => surface.contains(x, y))) lines.add(...floor, colors.slice, 1.6);
    }
    for (const curve of this.view.curves) draped(refined(curve.x, curve.y), colors.curve, 2.4, colors.rim);
    for (const run of this.page.runsOf(this.view)) {
      const path = refined(run.x, run.y), done = refined(run.x, run.y, run.step);
      draped(path, [...run.color.slice(0, 3), 0.55], 1.6, null);
      draped(done, run.color, 3, colors.rim, run.look?.dash);
      run.x.forEach((x, i) => {
        const [u, v] = surface.toBox(x, run.y[i]), z = this.height(x, run.y[i]);
        if (Number.isFinite(z)) lines.disc([u, v, z + 0.004], run.color, i <= run.step ? 6 : 4, colors.rim);
      });
      const [x, y] = run.at, z = this.height(x, y);
      if (Number.isFinite(z)) lines.disc([...surface.toBox(x, y), z + 0.006], run.color, 13, colors.rim);
    }
    for (const tangent of this.page.tangentsOf(this.view)) drawTangent(lines, this.drawn, tangent, colors.rim);
    if (this.view.points) {
      this.view.points.x.forEach((x, i) => {
        const z = this.height(x, this.view.points.y[i]);
        if (Number.isFinite(z)) lines.disc([...surface.toBox(x, this.view.points.y[i]), z + 0.005], ...this.page.pointLook(this.view.points, i, 9));
      });
    }
    if (probe && surface.contains(...probe)) {
      const [u, v] = surface.toBox(...probe), z = this.height(...probe);
      if (Number.isFinite(z)) {
        lines.add([u, v, FLOOR], [u, v, z], colors.edge, 1.2);
        lines.disc([u, v, z + 0.005], colors.probe, 8, colors.rim);
      }
    }
  }

  // Tick labels and titles of the axes, on the edges of the box that face the reader
  words(frame) {
    const pen = this.over.getContext("2d"), { colors, camera } = this.page;
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.clearRect(0, 0, this.width, this.height_);
    const { surface, scale } = this.drawn, half = surface.box.map((side) => side / 2);
    const nearX = frame.eye[0] > 0 ? half[0] : -half[0], nearY = frame.eye[1] > 0 ? half[1] : -half[1];
    const at = (place) => projected(frame, place, this.width, this.height_);
    const { small, textSize: size } = this;
    pen.font = `${size}px ${FONT}`;
    const { across, up } = this.ticks();
    const out = (side) => Math.sign(side) * 0.055;
    const axis = (ticks, place, outward, title) => {
      const placed = [];
      let widest = 0, last = null;
      for (const [t, text] of ticks) {
        const from = at(place(t)), to = at(plus(place(t), outward));
        const along = Math.hypot(to[0] - from[0], to[1] - from[1]) || 1;
        const unit = [(to[0] - from[0]) / along, (to[1] - from[1]) / along];
        pen.strokeStyle = colors.faint;
        segment(pen, from[0], from[1], from[0] + 5 * unit[0], from[1] + 5 * unit[1]);
        const x = from[0] + 9 * unit[0], y = from[1] + 9 * unit[1];
        pen.fillStyle = colors.text;
        pen.textAlign = unit[0] > 0.35 ? "left" : unit[0] < -0.35 ? "right" : "center";
        pen.textBaseline = unit[1] > 0.6 ? "top" : unit[1] < -0.6 ? "bottom" : "middle";
        const wide = pen.measureText(text).width;
        if (!last || Math.abs(x - last.x) > (wide + last.wide) / 2 + 2 || Math.abs(y - last.y) > size) {
          pen.fillText(text, x, y);
          last = { x, y, wide };
        }
        placed.push(unit);
        widest = Math.max(widest, wide);
      }
      this.axisTitle(pen, at(place(ticks.length ? null : 0)), placed[0], title, size, widest);
    };
    const shorter = (text) => shortForms(text)[small ? 1 : 0];
    const alongX = (u) => [u ?? 0, nearY, FLOOR], alongY = (v) => [nearX, v ?? 0, FLOOR];
    this.angle = this.edgeAngle(at([-half[0], nearY, FLOOR]), at([half[0], nearY, FLOOR]));
    axis(across, alongX, [0, out(nearY), 0], shorter(this.view.xlabel));
    this.angle = this.edgeAngle(at([nearX, -half[1], FLOOR]), at([nearX, half[1], FLOOR]));
    axis(up, alongY, [out(nearX), 0, 0], shorter(this.view.ylabel));
    if (camera.now.elevation < 72) {
      const corners = [[nearX, -nearY], [-nearX, nearY]];
      const [cx, cy] = corners.sort((a, b) => at([...a, 0])[0] - at([...b, 0])[0])[0];
      pen.textAlign = "right";
      pen.textBaseline = "middle";
      for (const [t, text] of scale.ticks) {
        const [x, y] = at([cx, cy, t * TALL]);
        pen.strokeStyle = colors.faint;
        segment(pen, x - 5, y, x, y);
        pen.fillStyle = colors.text;
        pen.fillText(text, x - 8, y);
      }
    }
    this.names(pen, at);
  }

  edgeAngle([x0, y0], [x1, y1]) {
    const angle = Math.atan2(y1 - y0, x1 - x0);
    return Math.abs(angle) > Math.PI / 2 ? angle - Math.sign(angle) * Math.PI : angle;
  }

  // Beyond the widest of the tick labels, by its size along `outward`
  axisTitle(pen, [x, y], outward, title, size, widest) {
    if (!outward) return;
    const out = 9 + widest * Math.abs(outward[0]) + size * Math.abs(outward[1]) + 0.95 * size;
    const right = Math.cos(this.angle), down = Math.sin(this.angle);
    pen.font = `${size}px ${FONT}`;
    // Its lower and its right end stay on the picture: it moves along the axis
    const low = y + out * outward[1] + 0.5 * (Math.abs(down) * pen.measureText(title).width + size) - this.height_;
    const wide = x + out * outward[0] + 0.5 * (right * pen.measureText(title).width + Math.abs(down) * size) - this.width;
    const back = low > 0 && Math.abs(down) > 0.1 ? low / down : wide > 0 && right > 0.1 ? wide / right : 0;
    pen.save();
    pen.translate(x + out * outward[0] - back * right, y + out * outward[1] - back * down);
    pen.rotate(this.angle);
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillStyle = this.page.colors.text;
    pen.fillText(title, 0, 0);
    pen.restore();
  }

  names(pen, at) {
    const { points } = this.view, { surface } = this.drawn;
    if (!points) return;
    pen.textAlign = "left";
    pen.textBaseline = "bottom";
    points.name.forEach((name, i) => {
      const z = this.height(points.x[i], points.y[i]);
      if (!Number.isFinite(z)) return;
      const [x, y] = at([...surface.toBox(points.x[i], points.y[i]), z]);
      haloed(pen, name, x + 8, y - 5, this.page.colors);
    });
  }

  // --- the pointer ----------------------------------------------------------------------------------

  dragged(dx, dy, moving) {
    const { camera } = this.page;
    if (moving) camera.move((-dx / this.height_) * 1.6 / camera.now.zoom, (dy / this.height_) * 1.6 / camera.now.zoom);
    else camera.turn(-dx * 0.45, dy * 0.35);
    this.page.wake();
  }

  // What is at the place (x, y) stays there
  pinched(factor, x = this.width / 2, y = this.height_ / 2) {
    const { camera } = this.page, before = camera.wanted.zoom;
    camera.zoom(factor);
    const gone = (1.6 / this.height_) * (1 / before - 1 / camera.wanted.zoom);
    camera.move((x - this.width / 2) * gone, (this.height_ / 2 - y) * gone);
    this.page.wake();
  }

  // Where the point of the surface at (x, y) is on the picture
  placeOn(x, y) {
    if (!this.frame) return [10, 10];
    const z = this.height(x, y);
    return projected(this.frame, [...this.drawn.surface.toBox(x, y), Number.isFinite(z) ? z : FLOOR], this.width, this.height_);
  }

  pointed(x, y) {
    if (!this.frame) return;
    const hit = struck(this.frame, this.drawn, x, y, this.width, this.height_);
    this.page.probe(hit && [hit[0], hit[1]], this.view);
  }

  left() {
    this.page.probe(null, this.view);
  }
}
