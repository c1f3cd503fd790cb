// Tiles of pictures. One tile is in the tab order; arrow keys move it.

import { picture } from "./api.js";
import { $, element } from "./dom.js";

const TILE_PIXELS = 384;
const grid = $("grid");

/** `opened(place)` and `picked(row)` are called by presses and keys. */
export function makeGrid({ opened, picked }) {
  let rows = [];
  let terms = [];
  let best = 1;
  let current = 0;

  function tile(row, place) {
    const image = element("img", { alt: row.image_id, loading: "lazy", decoding: "async", width: 192, height: 192 });
    image.addEventListener("error", () => {
      image.replaceWith(element("span", { class: "missing" }, `${row.image_id}: no picture`));
    });
    image.src = picture(row.image_id, TILE_PIXELS);
    const scored = typeof row.score === "number";
    const open = element("button", { type: "button", class: "open", tabIndex: place === current ? 0 : -1, title: row.image_id }, image,
      scored ? element("span", { class: "figure" }, element("span", { class: "rank" }, String(place + 1)),
        bar(row, terms, best), element("span", { class: "score" }, row.score.toFixed(3))) : null);
    open.addEventListener("click", () => opened(place));
    open.addEventListener("focus", () => select(place));
    const use = element("button", { type: "button", class: "pick", tabIndex: -1, title: "Use as reference",
      "aria-label": `Use ${row.image_id} as reference` }, "↑");
    use.addEventListener("click", () => picked(row));
    return element("li", { class: scored ? "tile scored" : "tile" }, open, use);
  }

  function select(place) {
    grid.children[current]?.firstChild.setAttribute("tabindex", "-1");
    current = place;
    grid.children[current]?.firstChild.setAttribute("tabindex", "0");
  }

  const columns = () => getComputedStyle(grid).gridTemplateColumns.split(" ").length;
  const steps = {
    ArrowRight: () => current + 1, ArrowLeft: () => current - 1,
    ArrowDown: () => current + columns(), ArrowUp: () => current - columns(),
    Home: () => 0, End: () => rows.length - 1,
  };
  grid.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "r" || event.key === "R") {
      event.preventDefault();
      picked(rows[current]);
    } else if (event.key in steps) {
      event.preventDefault();
      const next = steps[event.key]();
      if (next >= 0 && next < rows.length) focus(next);
    }
  });
  function focus(place) {
    select(place);
    grid.children[place]?.firstChild.focus();
  }

  return {
    focus,
    at: (place) => rows[place],
    get length() { return rows.length; },
    draw(next, options = {}) {
      rows = next;
      terms = options.terms ?? [];
      best = Math.max(...rows.map((row) => row.score ?? 0), 1e-9);
      current = 0;
      grid.replaceChildren(...rows.map(tile));
    },
    add(more) {
      const from = rows.length;
      rows = [...rows, ...more];
      grid.append(...more.map((row, place) => tile(row, from + place)));
    },
  };
}

/** A score as a bar of its shares; the best score fills it. */
export function bar(row, terms, best) {
  const parts = terms.map((name, place) => {
    const part = element("i", { class: `share-${place}` });
    part.style.width = `${Math.max(0, 100 * (row.shares?.[name] ?? 0)) / best}%`;
    return part;
  });
  return element("span", { class: "bar", "aria-hidden": "true" }, ...parts);
}
