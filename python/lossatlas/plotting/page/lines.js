// Lines, discs and paths of the scene.

// Lines and discs for the scene; widths in CSS pixels
export class Lines {
  constructor(ratio) {
    this.ratio = ratio;
    this.numbers = [];
  }

  get count() {
    return this.numbers.length / 11;
  }

  add(from, to, color, width) {
    this.numbers.push(...from, ...to, color[0], color[1], color[2], color[3] ?? 1, width * this.ratio);
  }

  disc(place, color, width, rim) {
    this.add(place, place, rim, width + 2.4);
    this.add(place, place, color, width);
  }
}

// Points along the slice, both ends included
export function alongLine({ from, to }, count) {
  return Array.from({ length: count + 1 }, (_, i) =>
    [from[0] + (to[0] - from[0]) * i / count, from[1] + (to[1] - from[1]) * i / count]);
}

// The path through the points up to step `last` (which may lie between two), with points in between
export function refined(x, y, last = x.length - 1, each = 8) {
  const points = [[x[0], y[0]]];
  for (let i = 1; i <= Math.ceil(last); i++) {
    const share = Math.min(1, last - (i - 1));
    for (let n = 1; n <= each; n++) {
      const f = share * n / each;
      points.push([x[i - 1] + f * (x[i] - x[i - 1]), y[i - 1] + f * (y[i] - y[i - 1])]);
    }
  }
  return points;
}
