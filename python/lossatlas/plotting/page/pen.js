// Small help for drawing on a plain canvas.

export const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";

export function segment(pen, x0, y0, x1, y1) {
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  pen.stroke();
}

export function disc(pen, x, y, radius, fill, rim, width = 1.2) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fillStyle = fill;
  pen.fill();
  if (!rim) return;
  pen.lineWidth = width;
  pen.strokeStyle = rim;
  pen.stroke();
}

export const FINGER = 8; // pixels: what a finger that moves less has touched, and not dragged

// Where an event is within `element`, in pixels
export function placeOf(event, element) {
  const box = element.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

// A text, and what may stand for it where there is little room: the share of the variance stays, other units go
export function shortForms(text) {
  const [, which, share] = text.match(/^(first|second) principal component \((.*) of variance\)$/) ?? [];
  return which ? [text, `${which} component (${share})`, `PC ${which === "first" ? 1 : 2} (${share})`] : [text, text.replace(/ \(.*/, "")];
}

// Text no wider than `room`: in a shorter form, then cut
export function fittedText(pen, text, x, y, room) {
  const forms = shortForms(text);
  let shown = forms.find((form) => pen.measureText(form).width <= room) ?? forms.at(-1);
  while (shown.length > 3 && pen.measureText(shown).width > room) shown = `${shown.slice(0, -2).trim()}…`;
  pen.fillText(shown, x, y);
}

// Whether a way from `a` to `b` goes rather up or down: with a finger it scrolls the page
export const upright = (a, b) => Math.abs(b[1] - a[1]) > Math.abs(b[0] - a[0]);

// The width of the widest of these ticks, [place, text], in the pen's font
export const widestOf = (pen, ticks) => Math.max(0, ...ticks.map(([, text]) => pen.measureText(text).width));

export function haloed(pen, text, x, y, colors) {
  pen.lineJoin = "round";
  pen.lineWidth = 3;
  pen.strokeStyle = colors.halo;
  pen.strokeText(text, x, y);
  pen.fillStyle = colors.text;
  pen.fillText(text, x, y);
}

export function polyline(pen, points) {
  pen.beginPath();
  let drawing = false;
  for (const [x, y] of points) {
    if (!Number.isFinite(x + y)) drawing = false;
    else if (drawing) pen.lineTo(x, y);
    else {
      pen.moveTo(x, y);
      drawing = true;
    }
  }
  pen.stroke();
}

// A pen for `canvas` in CSS pixels, the canvas as large as its element and cleared: [pen, width, height]
export function freshPen(canvas) {
  const ratio = Math.min(window.devicePixelRatio || 1, 3);
  const { clientWidth: width, clientHeight: height } = canvas;
  Object.assign(canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.ratio = ratio;
  return [pen, width, height];
}

export const css = (color) => (typeof color === "string" ? color
  : `rgb(${color.slice(0, 3).map((c) => Math.round(255 * c)).join(" ")} / ${color[3] ?? 1})`);
