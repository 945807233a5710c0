// What the page holds, decoded; value scales; numbers as text.

export const DATA = JSON.parse(document.getElementById("data").textContent);

// States of a point, as records.py writes them; 0 is a plain value
export const BLANK = 1;
export const NONFINITE = 2;
export const RECONSTRUCTED = 3;
export const GUESSED = 4;

export function decoded(text, Type) {
  return new Type(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
}

let ramp = null;

// The 256 colours of the map, as r, g, b of 0 to 255; decoded once
export function colorRamp() {
  ramp ??= decoded(DATA.colors, Uint8Array);
  return ramp;
}

export function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}

// A number in running text: at most `digits` significant ones, a real minus sign, powers of ten.
export function numeral(value, digits = 4) {
  if (value === Infinity) return "+inf";
  if (value === -Infinity) return "-inf";
  if (Number.isNaN(value)) return "not a number (nan)";
  let [mantissa, power] = value.toPrecision(digits).split("e");
  if (mantissa.includes(".")) mantissa = mantissa.replace(/\.?0+$/, "");
  if (power === undefined && value !== 0 && Math.abs(value) < 1e-4) {
    [mantissa, power] = value.toExponential(digits - 1).split("e");
    mantissa = mantissa.replace(/\.?0+$/, "");
  }
  mantissa = mantissa.replace("-", "−");
  if (power === undefined) return mantissa;
  const raised = String(Number(power)).replace(/[-\d]/g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);
  return `${mantissa}×10${raised}`;
}

// Round positions within [low, high], about `count` of them, with their texts.
export function roundTicks(low, high, count = 5) {
  const rough = Math.max((high - low) / count, 1e-300);
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * [1, 2, 2.5, 5, 10].find((m) => m * unit >= rough * 0.999);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) {
    const value = Math.abs(k * step) < 1e-12 * step ? 0 : k * step;
    ticks.push([value, numeral(Number(value.toPrecision(10)), 6)]);
  }
  return ticks;
}

// A value axis: `position` maps values to 0 … 1 between its limits, linearly or by logarithms.
export class Scale {
  constructor(record) {
    Object.assign(this, record); // log, lo, hi, floor, ticks and levels (as positions), notes
    this.low = this.forward(this.lo);
    this.high = this.forward(this.hi);
  }

  forward(value) {
    return this.log ? Math.log10(value > 0 ? value : this.floor) : value;
  }

  position(value) {
    return (this.forward(value) - this.low) / (this.high - this.low);
  }

  value(position) {
    const drawn = this.low + position * (this.high - this.low);
    return this.log ? 10 ** drawn : drawn;
  }
}

for (const field of [...(DATA.fields ?? []), ...(DATA.own ? [DATA.own] : [])]) {
  for (const kind of ["linear", "log"]) field[kind] = field[kind] && new Scale(field[kind]);
}

// A surface: coordinates rising, and its fields by draw (the first is the mean, or the only one).
export class Surface {
  constructor(record) {
    Object.assign(this, record);
    this.nx = this.x.length;
    this.ny = this.y.length;
    const width = this.x.at(-1) - this.x[0], depth = this.y.at(-1) - this.y[0];
    const longer = Math.max(width, depth);
    // A plane far from square is shown squarer than it is: a sliver could not be read.
    this.box = [Math.max(width / longer, 0.4), Math.max(depth / longer, 0.4)];
    this.decodedFields = new Map();
  }

  // {values, state}: Float32Array or Float64Array and Uint8Array, row by row
  field(draw, name) {
    const key = `${draw} ${name}`;
    if (!this.decodedFields.has(key)) {
      const record = this.sets[draw].fields[name] ?? this.sets[0].fields[name];
      this.decodedFields.set(key, {
        notes: record.notes,
        values: decoded(record.values, record.type === "f8" ? Float64Array : Float32Array),
        state: record.state ? decoded(record.state, Uint8Array) : new Uint8Array(this.nx * this.ny),
      });
    }
    return this.decodedFields.get(key);
  }

  has(draw, name) {
    return name in this.sets[draw].fields || name in this.sets[0].fields;
  }

  // Coordinates to -½ … ½ of the longer side, and back
  toBox(x, y) {
    return [
      this.box[0] * ((x - this.x[0]) / (this.x.at(-1) - this.x[0]) - 0.5),
      this.box[1] * ((y - this.y[0]) / (this.y.at(-1) - this.y[0]) - 0.5),
    ];
  }

  fromBox(u, v) {
    return [
      this.x[0] + (u / this.box[0] + 0.5) * (this.x.at(-1) - this.x[0]),
      this.y[0] + (v / this.box[1] + 0.5) * (this.y.at(-1) - this.y[0]),
    ];
  }

  nearest(x, y) {
    return { column: nearestIndex(this.x, x), row: nearestIndex(this.y, y) };
  }

  contains(x, y) {
    const slack = 1e-9;
    return x >= this.x[0] - slack && x <= this.x.at(-1) + slack && y >= this.y[0] - slack
      && y <= this.y.at(-1) + slack;
  }
}

// The index i and share f with points[i] + f (points[i + 1] - points[i]) = value, held inside.
export function located(points, value) {
  let low = 0, high = points.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (points[middle] <= value) low = middle;
    else high = middle;
  }
  return [low, clamp((value - points[low]) / (points[low + 1] - points[low]), 0, 1)];
}

export function nearestIndex(points, value) {
  const [index, share] = located(points, value);
  return share < 0.5 ? index : index + 1;
}

// What is drawn of a field: positions on the scale held to 0 … 1, NaN where there is nothing.
export class Drawn {
  constructor(surface, field, scale) {
    this.surface = surface;
    this.field = field;
    this.scale = scale;
    this.positions = Float32Array.from(field.values, (value, i) =>
      field.state[i] === BLANK || field.state[i] === NONFINITE ? NaN : clamp(scale.position(value), 0, 1));
  }

  // Bilinear between the four corners around (x, y); NaN outside, or beside a corner without a value.
  at(x, y) {
    return this.surface.contains(x, y) ? this.mean(x, y, (k) => this.positions[k]) : NaN;
  }

  // How much of the value at (x, y) comes from points that were not evaluated, 0 … 1
  guessed(x, y) {
    return this.mean(x, y, (k) => (this.field.state[k] === GUESSED ? 1 : 0));
  }

  mean(x, y, value) {
    const { surface } = this;
    const [i, f] = located(surface.x, x), [j, g] = located(surface.y, y);
    const k = j * surface.nx + i;
    let sum = 0;
    for (const [index, weight] of [[k, (1 - f) * (1 - g)], [k + 1, f * (1 - g)],
      [k + surface.nx, (1 - f) * g], [k + surface.nx + 1, f * g]]) {
      if (weight > 1e-9) sum += weight * value(index);
    }
    return sum;
  }
}
