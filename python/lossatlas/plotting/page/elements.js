// Elements of the page.

export const byId = (id) => document.getElementById(id);

export const paragraphs = (texts) => texts.map((text) => Object.assign(document.createElement("p"), { textContent: text }));

export function fillSelect(select, options) {
  select.replaceChildren(...options.map(([value, text]) => Object.assign(document.createElement("option"), { value, textContent: text })));
}
