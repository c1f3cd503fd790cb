// One image, large, with all that the index carries of it.

import { picture } from "./api.js";
import { $, element, spoken } from "./dom.js";
import { bar } from "./grid.js";

const LARGE_PIXELS = 1600;
const dialog = $("detail");

/** `rows` gives access to the images in order; `picked(row)` and `closed(place)` are called. */
export function makeDetail({ rows, terms, picked, closed }) {
  let place = null;
  let alone = null;

  function draw(row) {
    const image = $("detail-picture");
    image.alt = row.image_id;
    image.src = row.address ?? picture(row.image_id, LARGE_PIXELS);
    $("detail-title").textContent = row.image_id;
    $("detail-full").href = row.address ?? picture(row.image_id);
    $("detail-use").hidden = Boolean(row.address);
    const scored = typeof row.score === "number";
    $("detail-score").hidden = !scored;
    if (scored) $("detail-score").replaceChildren(...score(row));
    $("detail-columns").replaceChildren(...lines(row.columns ?? row));
    for (const [id, step] of [["detail-previous", -1], ["detail-next", 1]]) {
      $(id).disabled = alone !== null || !rows.at(place + step);
    }
  }

  function score(row) {
    const shares = terms.filter((name) => name in (row.shares ?? {}));
    return [
      element("p", {}, element("b", {}, row.score.toFixed(4)), " score"),
      bar(row, terms, Math.max(row.score, 1e-9)),
      element("ul", {}, ...shares.map((name) => element("li", {},
        element("span", { class: `swatch share-${terms.indexOf(name)}`, "aria-hidden": "true" }),
        spoken(name), element("b", {}, (row.shares[name] ?? 0).toFixed(4))))),
    ];
  }

  function step(by) {
    if (alone === null && rows.at(place + by)) {
      place += by;
      draw(rows.at(place));
    }
  }

  function open(row) {
    draw(row);
    if (!dialog.open) dialog.showModal();
  }

  $("detail-close").addEventListener("click", () => dialog.close());
  $("detail-previous").addEventListener("click", () => step(-1));
  $("detail-next").addEventListener("click", () => step(1));
  $("detail-use").addEventListener("click", () => use());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => { if (alone === null && place !== null) closed(place); });
  dialog.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowRight") step(1);
    else if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "r" || event.key === "R") use();
  });
  function use() {
    const row = alone ?? rows.at(place);
    if (row.address) return;
    place = null;
    dialog.close();
    picked(row);
  }

  return {
    at(index) {
      [place, alone] = [index, null];
      open(rows.at(index));
    },
    /** An image that is not in the grid: the reference. */
    of(row) {
      [place, alone] = [null, row];
      open(row);
    },
    close: () => dialog.close(),
  };
}

// nested values become lines of their own: bounds of an image, or what its source says of it
function lines(columns, before = "") {
  return Object.entries(columns).flatMap(([name, value]) => {
    if (value === null || value === undefined || value === "" || ["image_id", "score", "shares", "address"].includes(name)) return [];
    if (typeof value === "string" && value.startsWith("{")) value = parsed(value);
    const parts = typeof value === "object" ? Object.entries(value) : [];
    const flat = parts.length > 0 && parts.every(([, part]) => typeof part === "number");
    if (parts.length && !flat && !Array.isArray(value)) return lines(value, `${before}${name}: `);
    const text = !parts.length ? String(value) : parts.map(([part, each]) => (Array.isArray(value) ? String(each) : `${part} ${each}`)).join(", ");
    return [element("dt", {}, spoken(before + name)), element("dd", {}, text)];
  });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
