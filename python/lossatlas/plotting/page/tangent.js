// Tangent planes of a function with the gradient and the direction asked for: in the scene, and as arrows on the map.
// A tangent has at, value, gradient, direction (or null) and color.

import { TALL } from "./mesh.js";
import { css, disc, polyline, segment } from "./pen.js";

const DIRECTION_DASH = [5, 3];

// A net of lines, and arrows on it
export function drawTangent(lines, drawn, tangent, rim) {
  const { surface, scale } = drawn, { at, value, gradient: [gx, gy], color } = tangent;
  const reach = [surface.x, surface.y].map((axis) => 0.16 * (axis.at(-1) - axis[0]));
  // Of -1 … 1 in each direction; null where the plane leaves the box
  const place = (u, v) => {
    const dx = u * reach[0], dy = v * reach[1], t = scale.position(value + gx * dx + gy * dy);
    const [x, y] = [at[0] + dx, at[1] + dy];
    return t > -0.15 && t < 1.25 && surface.contains(x, y) ? [...surface.toBox(x, y), t * TALL + 0.004] : null;
  };
  const net = Array.from({ length: 9 }, (_, k) => k / 4 - 1), pale = [...color.slice(0, 3), 0.75];
  for (const u of net) {
    for (let k = 1; k < net.length; k++) {
      for (const [from, to] of [[place(u, net[k - 1]), place(u, net[k])], [place(net[k - 1], u), place(net[k], u)]]) {
        if (from && to) lines.add(from, to, pale, Math.abs(u) === 1 ? 1.8 : 0.8);
      }
    }
  }
  for (const [vector, dash] of arrowsOf(tangent)) {
    const [u, v] = vector.map((part, i) => part / reach[i]), size = 0.95 / Math.max(Math.abs(u), Math.abs(v));
    arrowInScene(lines, place, [size * u, size * v], dash, color, rim);
  }
  const foot = place(0, 0);
  if (foot) lines.disc([foot[0], foot[1], foot[2] + 0.004], color, 8, rim);
}

function arrowsOf({ gradient, direction }) {
  return [[gradient, null], [direction, DIRECTION_DASH]].filter(([vector]) => vector && Math.hypot(...vector) > 0);
}

// From the foot along [u, v] as far as the plane goes
function arrowInScene(lines, place, [u, v], dash, color, rim) {
  const shaft = [];
  for (let k = 0; k <= 20; k++) {
    const spot = place(u * k / 20, v * k / 20);
    if (!spot) break;
    shaft.push(lifted(spot));
  }
  if (shaft.length < 2) return;
  const share = (shaft.length - 1) / 20;
  const head = [1, -1].map((side) => place(share * (0.75 * u - side * 0.12 * v), share * (0.75 * v + side * 0.12 * u)));
  const strokes = head.filter(Boolean).map((end) => [shaft.at(-1), lifted(end)]);
  const chain = (places, paint, wide) => places.slice(1).forEach((to, i) => lines.add(places[i], to, paint, wide));
  for (const part of [shaft, ...strokes]) chain(part, rim, 5.4);
  for (const part of [...(dash ? dashes(shaft, dash) : [shaft]), ...strokes]) chain(part, color, 3);
}

const lifted = ([x, y, z]) => [x, y, z + 0.006];

// A chain of places in the box cut into dashes; lengths in pixels of a box about 400 wide
export function dashes(places, lengths) {
  const parts = [];
  let turn = 0, left = lengths[0] / 400, part = [places[0]];
  for (let i = 1; i < places.length; i++) {
    let from = places[i - 1];
    const to = places[i];
    if (!Number.isFinite(from[2] + to[2])) {
      part = [to];
      continue;
    }
    for (let length = apart(from, to); length > left; length -= left, turn++, left = lengths[turn % lengths.length] / 400) {
      const share = left / length;
      from = from.map((c, k) => c + share * (to[k] - c));
      if (turn % 2 === 0) parts.push([...part, from]);
      part = [from];
    }
    left -= apart(from, to);
    part.push(to);
  }
  return turn % 2 === 0 ? [...parts, part] : parts;
}

export const apart = (a, b) => Math.hypot(...a.map((c, k) => c - b[k]));

// The same arrows on the map, which they do not leave
export function drawArrows(pen, map, tangent, rim) {
  const { surface } = map.drawn, { at, color } = tangent;
  if (!surface.contains(...at)) return;
  const foot = map.toScreen(...at), { left, top, width, height } = map.body;
  for (const [vector, dash] of arrowsOf(tangent)) {
    const end = map.toScreen(at[0] + vector[0], at[1] + vector[1]), size = apart(foot, end);
    const unit = [(end[0] - foot[0]) / size, (end[1] - foot[1]) / size];
    const room = unit.map((part, i) =>
      (part > 0 ? [left + width, top + height][i] - foot[i] : foot[i] - [left, top][i]) / Math.abs(part));
    const tip = Math.max(0, Math.min(0.14 * Math.min(width, height) + 14, ...room.filter(Number.isFinite)));
    for (const [paint, wide] of [[rim, 4.4], [color, 2.4]]) {
      pen.strokeStyle = css(paint);
      pen.lineWidth = wide;
      const spot = (along, aside) => [0, 1].map((i) => foot[i] + along * unit[i] + aside * [-unit[1], unit[0]][i]);
      pen.setLineDash(paint === color && dash ? dash : []);
      segment(pen, ...foot, ...spot(tip, 0));
      pen.setLineDash([]);
      polyline(pen, [spot(tip - 7, 4), spot(tip, 0), spot(tip - 7, -4)]);
    }
  }
  disc(pen, ...foot, 4, css(color), css(rim), 1.4);
}
