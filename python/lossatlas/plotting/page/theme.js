// Light and dark: the reader's choice, else the system's; on paper always light.

import { DATA } from "./data.js";
import { byId } from "./elements.js";

export const darkWanted = matchMedia("(prefers-color-scheme: dark)");

// `changed` has the page follow
export function themeControl(page, changed) {
  const button = byId("theme");
  let chosen = DATA.theme ?? null;
  const apply = () => {
    const dark = !page.printed && (chosen ? chosen === "dark" : darkWanted.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    button.textContent = dark ? "Light" : "Dark";
    button.setAttribute("aria-label", dark ? "Light colours" : "Dark colours");
  };
  button.onclick = () => {
    chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    apply();
    changed();
  };
  darkWanted.addEventListener("change", () => {
    apply();
    changed();
  });
  const print = (on) => {
    if (Boolean(page.printed) === on) return;
    page.printed = on;
    apply();
    changed();
    page.drawAll(0);
  };
  window.addEventListener("beforeprint", () => print(true));
  window.addEventListener("afterprint", () => print(false));
  matchMedia("print").addEventListener("change", (event) => print(event.matches));
  apply();
}

// The colours of the style sheet: lists of 0 … 1 for what goes through WebGL, text for the rest
export function themeColors() {
  const style = getComputedStyle(document.documentElement), text = (name) => style.getPropertyValue(`--${name}`).trim();
  const list = (name) => [1, 3, 5].map((at) => parseInt(text(name).slice(at, at + 2), 16) / 255);
  const lists = ["ground", "quiet", "wall", "edge", "rim", "slice", "probe", "curve", "nonfinite", "train", "test", "warning", "known", "ink",
    "one", "two", "three", "four", "five", "six"];
  return {
    name: document.documentElement.dataset.theme, text: text("text"), faint: text("faint"), halo: text("halo"),
    ...Object.fromEntries(lists.map((name) => [name, list(name)])),
    series: ["one", "six", "two", "three", "four", "five"].map(list),
  };
}
