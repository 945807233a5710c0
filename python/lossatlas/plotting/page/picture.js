// The view as a PNG: title, what is on the canvases where they stand, and the notes.

import { DATA } from "./data.js";
import { byId } from "./elements.js";
import { FONT, segment } from "./pen.js";

export function savePicture(page) {
  page.drawAll(0); // WebGL keeps a picture only until the browser has shown it
  const main = byId("main").getBoundingClientRect(), ratio = Math.max(2, window.devicePixelRatio || 1), margin = 20;
  const style = getComputedStyle(document.documentElement), width = main.width + 2 * margin;
  const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
  const texts = (selector) => [...document.querySelectorAll(selector)].filter((e) => e.offsetParent).map((e) => e.textContent);
  const lines = (list, font) => {
    pen.font = font;
    return list.flatMap((text) => wrapped(pen, text, width - 2 * margin));
  };
  const title = lines(texts("#title"), `650 20px ${FONT}`), small = `13px ${FONT}`;
  const above = lines(texts(".partial, #captions .caption"), small), below = lines(texts("#notes p"), small);
  const top = margin + 26 * title.length + 19 * above.length + 10;
  canvas.width = width * ratio;
  canvas.height = (top + main.height + 14 + 19 * below.length + margin) * ratio;
  pen.scale(ratio, ratio);
  pen.fillStyle = style.getPropertyValue("--ground");
  pen.fillRect(0, 0, width, canvas.height / ratio);
  for (const drawn of document.querySelectorAll("#main canvas")) {
    const box = drawn.getBoundingClientRect();
    if (box.width) pen.drawImage(drawn, box.left - main.left + margin, box.top - main.top + top, box.width, box.height);
  }
  pen.textBaseline = "top";
  pen.fillStyle = style.getPropertyValue("--text");
  const write = (list, font, at, step) => {
    pen.font = font;
    list.forEach((text, i) => pen.fillText(text, margin, at + i * step));
  };
  write(title, `650 20px ${FONT}`, margin, 26);
  for (const head of document.querySelectorAll("#main h2, #main .readout, #main .legend li")) {
    const box = head.getBoundingClientRect();
    if (!head.textContent || !box.width || head.closest(".off")) continue;
    pen.font = `${head.tagName === "H2" ? "620 15px" : "13px"} ${FONT}`;
    const mark = head.querySelector("i");
    if (mark) {
      const left = box.left - main.left + margin, middle = box.top - main.top + top + 9.5;
      pen.strokeStyle = getComputedStyle(mark).borderTopColor;
      pen.lineWidth = 3;
      pen.setLineDash(JSON.parse(mark.dataset.dash));
      segment(pen, left, middle, left + 30, middle);
      pen.setLineDash([]);
      pen.fillStyle = style.getPropertyValue("--text");
    }
    wrapped(pen, head.textContent, box.width + 2 - (mark ? 36 : 0)).forEach((line, i) =>
      pen.fillText(line, box.left - main.left + margin + (mark ? 36 : 0), box.top - main.top + top + 18.85 * i));
  }
  pen.fillStyle = style.getPropertyValue("--quiet");
  write(above, small, margin + 26 * title.length, 19);
  write(below, small, top + main.height + 14, 19);
  canvas.toBlob((blob) => {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: `${DATA.stem}.png` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
}

function wrapped(pen, text, width) {
  const lines = [];
  for (const word of text.split(" ")) {
    const joined = lines.length ? `${lines.at(-1)} ${word}` : word;
    if (lines.length && pen.measureText(joined).width <= width) lines[lines.length - 1] = joined;
    else lines.push(word);
  }
  return lines;
}
