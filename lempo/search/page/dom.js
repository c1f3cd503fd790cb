// Elements from plain values. Texts of an index are only ever set as text, never as HTML.

export const $ = (id) => document.getElementById(id);

/** An element; `properties` are set on it, names with a dash as attributes. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name === "class") made.className = value;
    else if (name.includes("-") || name === "role") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function show(node, shown) {
  node.hidden = !shown;
}

const NUMBERS = new Intl.NumberFormat("en");
export const counted = (number, noun) => `${NUMBERS.format(number)} ${noun}${number === 1 ? "" : "s"}`;
export const number = (value) => NUMBERS.format(value);
export const spoken = (name) => name.replaceAll("_", " ");
