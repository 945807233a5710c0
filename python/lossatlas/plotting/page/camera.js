// The eye that turns around the box: angles in degrees, zoom 1 shows the whole box.

import { clamp } from "./data.js";
import { TALL } from "./mesh.js";
import { FLOOR } from "./scene.js";

const FIELD_OF_VIEW = 26; // degrees
const HOME = { azimuth: -57, elevation: 30, zoom: 1, across: 0, up: 0 };

export const towards = (azimuth, elevation) => {
  const a = (azimuth * Math.PI) / 180, e = (elevation * Math.PI) / 180;
  return [Math.cos(e) * Math.cos(a), Math.cos(e) * Math.sin(a), Math.sin(e)];
};
export const plus = (a, b, scale = 1) => a.map((value, i) => value + scale * b[i]);
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];

export class Camera {
  constructor() {
    this.wanted = { ...HOME };
    this.now = { ...HOME };
  }

  turn(azimuth, elevation) {
    this.wanted.azimuth += azimuth;
    this.wanted.elevation = clamp(this.wanted.elevation + elevation, 0, 90);
  }

  zoom(factor) {
    this.wanted.zoom = clamp(this.wanted.zoom * factor, 0.5, 8);
  }

  move(across, up) {
    this.wanted.across = clamp(this.wanted.across + across, -1, 1);
    this.wanted.up = clamp(this.wanted.up + up, -1, 1);
  }

  home(initial = HOME) {
    this.wanted = { ...HOME, ...initial };
    // The short way round
    this.now.azimuth = this.wanted.azimuth + (((this.now.azimuth - this.wanted.azimuth + 540) % 360 + 360) % 360) - 180;
  }

  // One step of `milliseconds` towards what is wanted; whether there is more to go.
  follow(milliseconds, still) {
    const share = still ? 1 : 1 - Math.exp(-milliseconds / 70);
    let far = 0;
    for (const name of Object.keys(this.wanted)) {
      const gap = this.wanted[name] - this.now[name];
      this.now[name] += gap * share;
      far = Math.max(far, Math.abs(gap) / (name === "azimuth" || name === "elevation" ? 40 : 1));
    }
    if (far < 1e-3) Object.assign(this.now, this.wanted);
    return far >= 1e-3;
  }

  // What the projection needs for a picture of width / height `aspect`. The shares `leftRoom` and `rightRoom` of its width
  // stay free for texts while the whole box, which reaches `reach` from its middle, turns around.
  frame(aspect, leftRoom = 0, rightRoom = 0, reach = 0) {
    const { azimuth, elevation, zoom, across, up } = this.now;
    const backward = towards(azimuth, Math.min(elevation, 89.99));
    const right = towards(azimuth + 90, 0), above = cross(backward, right);
    const half = Math.tan((FIELD_OF_VIEW * Math.PI) / 360);
    const whole = 0.81 / half / Math.min(1, aspect * 0.95);
    const share = reach / (Math.sqrt((whole - TALL / 3) ** 2 - reach ** 2) * half * aspect); // of the width, that the box takes
    const shrunk = Math.min(1, (1 - leftRoom - rightRoom) / share), free = (1 - share * shrunk) / 2;
    const distance = whole / zoom / shrunk, shift = 2 * Math.max(0, leftRoom - free);
    const middle = plus(plus([0, 0, (TALL + FLOOR) / 2 - 0.05], right, across), above, up);
    const eye = plus(middle, backward, distance);
    return { eye, right, above, backward, half, aspect, distance, shift,
      view: this.matrix(eye, right, above, backward, half, aspect, distance, shift) };
  }

  // Column by column, as WebGL takes it
  matrix(eye, right, above, backward, half, aspect, distance, shift) {
    const near = Math.max(0.02, distance - 2), far = distance + 2;
    const x = 1 / (half * aspect), y = 1 / half, z = -(far + near) / (far - near), w = (-2 * far * near) / (far - near);
    const scaled = (axis, by) => axis.map((v) => v * by);
    const rows = [plus(scaled(right, x), backward, -shift), scaled(above, y), scaled(backward, z), scaled(backward, -1)];
    const last = rows.map((row, i) => -dot(row, eye) + (i === 2 ? w : 0));
    return Float32Array.from([0, 1, 2].flatMap((column) => rows.map((row) => row[column])).concat(last));
  }
}

// Where a point of the box is on a picture of width × height, in pixels from its upper left corner
export function projected(frame, [x, y, z], width, height) {
  const m = frame.view;
  const [a, b, , w] = [0, 1, 2, 3].map((row) => m[row] * x + m[4 + row] * y + m[8 + row] * z + m[12 + row]);
  return [(0.5 + (0.5 * a) / w) * width, (0.5 - (0.5 * b) / w) * height];
}

// Where the ray through a pixel meets the surface first, as [x, y] in coordinates; null where it does not.
export function struck(frame, drawn, px, py, width, height) {
  const across = (2 * px / width - 1 - frame.shift) * frame.half * frame.aspect, up = (1 - 2 * py / height) * frame.half;
  const ray = plus(plus(frame.right.map((v) => v * across), frame.above, up), frame.backward, -1);
  const height_ = (t) => {
    const at = plus(frame.eye, ray, t), [x, y] = drawn.surface.fromBox(at[0], at[1]);
    return at[2] - TALL * drawn.at(x, y);
  };
  const start = Math.max(0, frame.distance - 1.2), step = 2.4 / 500;
  let before = NaN;
  for (let k = 0; k <= 500; k++) {
    const here = height_(start + k * step);
    if (before * here <= 0) {
      let low = start + (k - 1) * step, high = low + step;
      for (let n = 0; n < 20; n++) {
        const middle = (low + high) / 2;
        if (height_(middle) * before > 0) low = middle;
        else high = middle;
      }
      const at = plus(frame.eye, ray, low);
      return drawn.surface.fromBox(at[0], at[1]);
    }
    before = here;
  }
  return null;
}
