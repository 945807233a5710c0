// The 3D pane under a mouse or fingers.

import { clamp } from "./data.js";
import { FINGER, placeOf, upright } from "./pen.js";
import { apart } from "./tangent.js";

// Turning with one finger or button, moving with Shift or the other button, zooming and tilting with two fingers, zooming
// with the wheel. Up and down one finger scrolls the page (touch-action in page.css).
export function followPointer(element, target) {
  const down = new Map();
  let spread = 0, start = null; // where a finger that may only touch came down
  const fingers = () => [...down.values()];
  element.addEventListener("pointerdown", (event) => {
    element.setPointerCapture(event.pointerId);
    down.set(event.pointerId, placeOf(event, element));
    start = down.size === 1 && event.pointerType === "touch" ? placeOf(event, element) : null;
    if (down.size === 2) spread = apart(...fingers());
  });
  element.addEventListener("pointermove", (event) => {
    const before = down.get(event.pointerId), now = placeOf(event, element);
    if (!before) {
      if (event.pointerType !== "touch") target.pointed(...now);
      return;
    }
    if (start && apart(start, now) < FINGER) return;
    if (start && upright(start, now)) {
      start = null;
      down.delete(event.pointerId);
      return;
    }
    start = null;
    down.set(event.pointerId, now);
    const dx = now[0] - before[0], dy = now[1] - before[1];
    if (down.size === 1) target.dragged(dx, dy, event.shiftKey || event.buttons > 1);
    if (down.size === 2) {
      const [a, b] = fingers(), wide = apart(a, b);
      target.pinched(wide / spread, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
      target.dragged(dx / 2, dy / 2, false);
      spread = wide;
    }
  });
  for (const name of ["pointerup", "pointercancel"]) {
    element.addEventListener(name, (event) => {
      down.delete(event.pointerId);
      if (start && name === "pointerup") target.pointed(...start);
      start = null;
    });
  }
  element.addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") target.left(); });
  for (const name of ["touchstart", "touchmove"]) {
    element.addEventListener(name, (event) => {
      if (event.touches.length > 1 && event.cancelable) event.preventDefault();
    }, { passive: false });
  }
  element.addEventListener("contextmenu", (event) => event.preventDefault());
  element.addEventListener("wheel", (event) => {
    event.preventDefault();
    target.pinched(Math.exp(-clamp(event.deltaY, -80, 80) * 0.0022));
  }, { passive: false });
}
