// A chart of curves over one coordinate. Values are given as positions on a Scale.

import { located, roundTicks } from "./data.js";
import { FONT, css, disc, fittedText, freshPen, haloed, placeOf, polyline, segment, widestOf } from "./pen.js";

export class Chart {
  // `content()` gives {x: [low, high], xlabel, ylabel, scale, series, bad, marks}: each series has x, t
  // (positions), color, and may have dash (true, or lengths in pixels), faint, dots [[x, t, low, high]], band {low, high}.
  constructor(element, page, content) {
    Object.assign(this, { element, page, content });
    this.canvas = element.querySelector("canvas");
    this.cursor = null;
    for (const name of ["pointermove", "pointerdown"]) {
      element.addEventListener(name, (event) => this.point(placeOf(event, element)[0]));
    }
    element.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") this.leave(); });
  }

  point(px) {
    if (!this.body || !this.shown) return;
    const [low, high] = this.shown.x;
    const value = low + ((px - this.body.left) / this.body.width) * (high - low);
    this.cursor = value >= low && value <= high ? value : null;
    this.hover?.(this.cursor);
    this.page.wake();
  }

  leave() {
    this.cursor = null;
    this.hover?.(null);
    this.page.wake();
  }

  toScreen(x, t) {
    const { left, top, width, height } = this.body, [low, high] = this.shown.x;
    return [left + ((x - low) / (high - low)) * width, top + (1 - (t + this.pad) / (1 + 2 * this.pad)) * height];
  }

  draw() {
    if (!this.canvas.clientWidth) return;
    const [pen, width, height] = freshPen(this.canvas), shown = this.shown = this.content();
    if (!shown) return;
    const { colors } = this.page;
    this.pad = 0.04;
    pen.font = `11px ${FONT}`;
    const left = Math.max(62, 32 + widestOf(pen, shown.scale.ticks));
    this.body = { left, top: 10, width: width - left - 14, height: height - 10 - 44 };
    this.axes(pen, shown, width, height);
    pen.save();
    pen.beginPath();
    pen.rect(this.body.left - 5, this.body.top - 2, this.body.width + 10, this.body.height + 4);
    pen.clip();
    for (const [from, to] of shown.bad ?? []) {
      const [left] = this.toScreen(from, 0), [right] = this.toScreen(to, 0);
      pen.fillStyle = css([...colors.nonfinite, 0.35]);
      pen.fillRect(left, this.body.top, Math.max(right - left, 2), this.body.height);
    }
    for (const series of shown.series) this.series(pen, series);
    if (this.cursor !== null) {
      pen.strokeStyle = colors.faint;
      pen.lineWidth = 1;
      segment(pen, ...this.toScreen(this.cursor, -0.1), ...this.toScreen(this.cursor, 1.1));
      for (const series of shown.series) {
        const t = interpolated(series.x, series.t, this.cursor);
        if (Number.isFinite(t) && !series.faint && !series.still) disc(pen, ...this.toScreen(this.cursor, t), 4, css(series.color), css(colors.rim));
      }
    }
    pen.restore();
    this.marks(pen, shown);
  }

  axes(pen, shown, width, height) {
    const { left, top, width: wide, height: tall } = this.body, { colors } = this.page;
    pen.font = `11px ${FONT}`;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    pen.lineWidth = 1;
    for (const [t, text] of shown.scale.ticks) {
      const [, y] = this.toScreen(shown.x[0], t);
      pen.strokeStyle = css(colors.wall);
      segment(pen, left, y, left + wide, y);
      pen.fillStyle = colors.text;
      pen.fillText(text, left - 7, y);
    }
    pen.textBaseline = "top";
    pen.textAlign = "center";
    for (const [value, text] of roundTicks(...shown.x, wide < 300 ? 4 : 6)) {
      const [x] = this.toScreen(value, 0);
      pen.strokeStyle = css(colors.wall);
      segment(pen, x, top, x, top + tall);
      pen.fillStyle = colors.text;
      pen.fillText(text, x, top + tall + 6);
    }
    pen.strokeStyle = colors.faint;
    segment(pen, left, top, left, top + tall);
    segment(pen, left, top + tall, left + wide, top + tall);
    pen.textBaseline = "alphabetic";
    fittedText(pen, shown.xlabel, left + wide / 2, height - 8, wide + 40);
    pen.save();
    pen.translate(14, top + tall / 2);
    pen.rotate(-Math.PI / 2);
    fittedText(pen, shown.ylabel, 0, 0, tall);
    pen.restore();
  }

  series(pen, { x, t, color, dash, faint, dots, band }) {
    if (band) {
      pen.fillStyle = css([...color.slice(0, 3), 0.18]);
      pen.beginPath();
      band.low.forEach((low, i) => pen.lineTo(...this.toScreen(x[i], Number.isFinite(low) ? low : 0)));
      for (let i = x.length - 1; i >= 0; i--) pen.lineTo(...this.toScreen(x[i], Number.isFinite(band.high[i]) ? band.high[i] : 0));
      pen.fill();
    }
    pen.strokeStyle = css(faint ? [...color.slice(0, 3), 0.3] : color);
    pen.lineWidth = faint ? 1 : 2;
    pen.lineJoin = "round";
    pen.setLineDash(dash === true ? [6, 4] : dash || []);
    polyline(pen, Array.from(x, (value, i) => this.toScreen(value, t[i])));
    pen.setLineDash([]);
    for (const [at, position, low, high] of dots ?? []) {
      const [px, py] = this.toScreen(at, position);
      if (high > low) {
        pen.lineWidth = 1.2;
        segment(pen, px, this.toScreen(at, low)[1], px, this.toScreen(at, high)[1]);
      }
      disc(pen, px, py, 2.6, css(color));
    }
  }

  marks(pen, shown) {
    const { colors } = this.page;
    for (const { x, t, text, color, before, hollow } of shown.marks ?? []) {
      const [px, py] = this.toScreen(x, t);
      if (hollow) disc(pen, px, py, 4.5, css(colors.rim), css(color), 1.8);
      else if (Number.isFinite(t)) disc(pen, px, py, 4, css(color ?? colors.curve), css(colors.rim));
      else {
        pen.strokeStyle = colors.faint;
        pen.setLineDash([3, 3]);
        segment(pen, px, this.body.top, px, this.body.top + this.body.height);
        pen.setLineDash([]);
      }
      pen.font = `11px ${FONT}`;
      pen.textAlign = before || px > this.body.left + this.body.width * 0.7 ? "right" : "left";
      pen.textBaseline = "bottom";
      if (text) haloed(pen, text, px + (pen.textAlign === "left" ? 6 : -6), Number.isFinite(t) ? py - 4 : this.body.top + 14, colors);
    }
  }
}

// Linear between the points around `at`; NaN beyond them
export function interpolated(x, t, at) {
  if (x.length < 2 || at < x[0] || at > x.at(-1)) return NaN;
  const [i, f] = located(x, at);
  return f === 0 ? t[i] : f === 1 ? t[i + 1] : t[i] + f * (t[i + 1] - t[i]);
}
