// The similarities with their weights, the columns for the filter, the number of results.

import { $, element, spoken } from "./dom.js";
import { COUNTS, normalised, withWeight } from "./state.js";

const MEANINGS = {
  triplet: "The reference's picture, the change and its graph, as one vector",
  language: "The change and the reference in words",
  pseudo_caption: "A caption of the image asked for, written by the language model",
};

/** Builds the sliders once. `changed(weights)` is called when a person has changed them. */
export function makeWeights(terms, own, changed) {
  let weights = { ...own };
  let remembered = { ...own };
  const rows = new Map();
  for (const [place, name] of terms.entries()) {
    const on = element("input", { type: "checkbox", id: `on-${name}` });
    const slider = element("input", { type: "range", min: 0, max: 100, step: 1, "aria-label": `Weight of ${spoken(name)}` });
    const share = element("output", { class: "percent" });
    const label = element("label", { htmlFor: on.id, title: MEANINGS[name] ?? "" },
      element("span", { class: `swatch share-${place}`, "aria-hidden": "true" }), spoken(name));
    on.addEventListener("change", () => {
      const next = { ...weights, [name]: on.checked ? (remembered[name] || 1 / terms.length) : null };
      if (!on.checked) remembered = { ...remembered, [name]: weights[name] };
      if (Object.values(next).every((weight) => weight === null)) {
        on.checked = true; // one of them has to be on
        return;
      }
      weights = normalised(next);
      draw();
      changed(weights);
    });
    slider.addEventListener("input", () => {
      weights = withWeight(weights, name, slider.valueAsNumber / 100);
      draw();
    });
    slider.addEventListener("change", () => changed(weights));
    rows.set(name, { on, slider, share });
    $("weights").append(element("div", { class: "weight" }, on, label, slider, share));
  }
  function draw() {
    for (const [name, { on, slider, share }] of rows) {
      const weight = weights[name];
      on.checked = weight !== null;
      slider.disabled = weight === null;
      slider.value = Math.round((weight ?? 0) * 100);
      share.textContent = weight === null ? "off" : `${Math.round(weight * 100)}%`;
      slider.setAttribute("aria-valuetext", share.textContent);
    }
  }
  draw();
  return {
    set(next) {
      weights = { ...(next ?? own) };
      $("reset-weights").hidden = next === null;
      draw();
    },
  };
}

export function makeCounts(most) {
  $("k").append(...COUNTS.filter((count) => count <= most).map((count) => element("option", { value: count }, String(count))));
}

/** The columns that a filter may name; a press writes the name into the filter. */
export function makeColumns(columns) {
  const where = $("where");
  const buttons = columns.map(({ name, type, example }) => {
    const button = element("button", { type: "button", class: "column" },
      element("b", {}, name), element("span", {}, [type, example].filter(Boolean).join(", such as ")));
    button.addEventListener("click", () => {
      const [start, end] = [where.selectionStart ?? where.value.length, where.selectionEnd ?? where.value.length];
      where.setRangeText(/^[\w.]+$/.test(name) ? name : `\`${name}\``, start, end, "end");
      where.focus();
    });
    return button;
  });
  $("columns").replaceChildren(...(buttons.length ? buttons : [element("p", {}, "This index carries no columns.")]));
}

/** A button that opens and closes what it names in aria-controls. */
export function makeToggle(button, open) {
  button.addEventListener("click", () => {
    const next = button.getAttribute("aria-expanded") !== "true";
    button.setAttribute("aria-expanded", String(next));
    open(next);
  });
}
