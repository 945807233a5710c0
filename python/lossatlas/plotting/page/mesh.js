// The triangles of a surface. Every cell of the grid is cut into smaller ones on the bilinear patch
// through its four corners (no value is invented beyond that), with slopes interpolated between the
// corners, so that the light changes smoothly and the grid does not show.

import { GUESSED, NONFINITE, clamp } from "./data.js";

export const TALL = 0.62; // height of the values, the longer horizontal side being 1
export const MOST_VERTICES = 60000;
export const MOST_IN_SOFTWARE = 12000;

// {at [n, 2], heights [n, 4]: position on the scale, slopes along x and y, paleness; index, of which the
// last `bad` are of cells beside a value that is not finite}
export function meshOf(drawn, most = MOST_VERTICES) {
  const { surface, field } = drawn, { nx, ny, x, y } = surface;
  const positions = withNeighbours(drawn);
  const cuts = clamp(Math.floor(Math.sqrt(most / ((nx - 1) * (ny - 1)))), 1, 8);
  const columns = (nx - 1) * cuts + 1, rows = (ny - 1) * cuts + 1;
  const at = new Float32Array(2 * rows * columns), heights = new Float32Array(4 * rows * columns);
  const slopes = slopesOf(surface, positions);
  const whole = wholeCells(positions, nx, ny);
  for (let row = 0; row < rows; row++) {
    const j = Math.min(Math.floor(row / cuts), ny - 2), g = row / cuts - j;
    for (let column = 0; column < columns; column++) {
      const i = Math.min(Math.floor(column / cuts), nx - 2), f = column / cuts - i;
      const n = row * columns + column, k = j * nx + i;
      [at[2 * n], at[2 * n + 1]] = surface.toBox(x[i] + f * (x[i + 1] - x[i]), y[j] + g * (y[j + 1] - y[j]));
      let height = 0, across = 0, up = 0, pale = 0;
      for (const [corner, weight] of [[k, (1 - f) * (1 - g)], [k + 1, f * (1 - g)],
        [k + nx, (1 - f) * g], [k + nx + 1, f * g]]) {
        if (weight === 0) continue;
        height += weight * positions[corner];
        across += weight * slopes[2 * corner];
        up += weight * slopes[2 * corner + 1];
        pale += field.state[corner] === GUESSED ? weight : 0;
      }
      heights.set([Number.isNaN(height) ? 0 : height, across, up, pale], 4 * n);
    }
  }
  const index = [], bad = [];
  for (let j = 0; j < ny - 1; j++) {
    for (let i = 0; i < nx - 1; i++) {
      const k = j * nx + i, isBad = [k, k + 1, k + nx, k + nx + 1].some((n) => field.state[n] === NONFINITE);
      if (whole[k]) pushCell(isBad ? bad : index, i * cuts, j * cuts, cuts, columns);
    }
  }
  return { at, heights, index: Uint32Array.from(index.concat(bad)), bad: bad.length };
}

function pushCell(index, left, bottom, cuts, columns) {
  for (let row = bottom; row < bottom + cuts; row++) {
    for (let column = left; column < left + cuts; column++) {
      const a = row * columns + column, b = a + columns;
      index.push(a, a + 1, b + 1, a, b + 1, b);
    }
  }
}

// The positions, with the highest of its neighbours' at each point that is not finite, step by step inwards
function withNeighbours({ surface: { nx, ny }, positions, field }) {
  const filled = positions.slice();
  for (let more = true; more;) {
    more = false;
    const before = filled.slice();
    for (let k = 0; k < filled.length; k++) {
      if (field.state[k] !== NONFINITE || !Number.isNaN(before[k])) continue;
      let highest = NaN;
      for (let j = Math.floor(k / nx) - 1; j <= Math.floor(k / nx) + 1; j++) {
        for (let i = (k % nx) - 1; i <= (k % nx) + 1; i++) {
          const near = i >= 0 && i < nx && j >= 0 && j < ny ? before[j * nx + i] : NaN;
          if (near > highest || (Number.isNaN(highest) && !Number.isNaN(near))) highest = near;
        }
      }
      if (Number.isNaN(highest)) continue;
      filled[k] = highest;
      more = true;
    }
  }
  return filled;
}

// 1 for each cell (by its lower left corner) whose four corners have values
function wholeCells(positions, nx, ny) {
  const whole = new Uint8Array(nx * ny);
  for (let j = 0; j < ny - 1; j++) {
    for (let i = 0; i < nx - 1; i++) {
      const k = j * nx + i;
      whole[k] = Number.isFinite(positions[k] + positions[k + 1] + positions[k + nx] + positions[k + nx + 1]);
    }
  }
  return whole;
}

// Slopes along x and y in the box's own measure: the mean of the two sides, or the one there is.
function slopesOf(surface, positions) {
  const { nx, ny, x, y, box } = surface;
  const slopes = new Float32Array(2 * nx * ny);
  const wide = TALL * (x[nx - 1] - x[0]) / box[0], deep = TALL * (y[ny - 1] - y[0]) / box[1];
  const side = (k, step, distance) => (positions[k + step] - positions[k]) / distance;
  const mean = (a, b) => (Number.isFinite(a) ? (Number.isFinite(b) ? (a + b) / 2 : a) : Number.isFinite(b) ? b : 0);
  for (let j = 0; j < ny; j++) {
    for (let i = 0; i < nx; i++) {
      const k = j * nx + i;
      slopes[2 * k] = wide * mean(i > 0 ? side(k - 1, 1, x[i] - x[i - 1]) : NaN,
        i < nx - 1 ? side(k, 1, x[i + 1] - x[i]) : NaN);
      slopes[2 * k + 1] = deep * mean(j > 0 ? side(k - nx, nx, y[j] - y[j - 1]) : NaN,
        j < ny - 1 ? side(k, nx, y[j + 1] - y[j]) : NaN);
    }
  }
  return slopes;
}

// Contour lines at `levels` (positions): [[level, [x, y, x, y, …] segments as pairs of points]]
export function contoursOf(drawn, levels) {
  const { surface, positions } = drawn, { nx, ny, x, y } = surface;
  return levels.map((level) => {
    const segments = [];
    for (let j = 0; j < ny - 1; j++) {
      for (let i = 0; i < nx - 1; i++) {
        cellContour(segments, drawn, i, j, level, positions, nx, x, y);
      }
    }
    return [level, segments];
  });
}

// Crossings of one cell's four sides; of a saddle the value in the middle decides which belong together.
function cellContour(segments, drawn, i, j, level, z, nx, x, y) {
  const k = j * nx + i;
  const a = z[k] - level, b = z[k + 1] - level, c = z[k + nx + 1] - level, d = z[k + nx] - level;
  if (!Number.isFinite(a + b + c + d)) return;
  const crossings = [];
  const side = (p, q, x0, y0, x1, y1) => {
    if (p < 0 === q < 0) return;
    const f = p / (p - q);
    crossings.push([x0 + f * (x1 - x0), y0 + f * (y1 - y0)]);
  };
  side(a, b, x[i], y[j], x[i + 1], y[j]);
  side(b, c, x[i + 1], y[j], x[i + 1], y[j + 1]);
  side(c, d, x[i + 1], y[j + 1], x[i], y[j + 1]);
  side(d, a, x[i], y[j + 1], x[i], y[j]);
  if (crossings.length === 2) segments.push(...crossings[0], ...crossings[1]);
  if (crossings.length === 4) {
    const middle = (a + b + c + d) / 4;
    const pairs = middle < 0 === a < 0 ? [[0, 1], [2, 3]] : [[3, 0], [1, 2]];
    for (const [p, q] of pairs) segments.push(...crossings[p], ...crossings[q]);
  }
}
