// The page: state -> address -> request -> tiles.

import * as api from "./api.js";
import { makeColumns, makeCounts, makeToggle, makeWeights } from "./controls.js";
import { makeDetail } from "./detail.js";
import { $, counted, element, number, show, spoken } from "./dom.js";
import { makeGrid } from "./grid.js";
import { EMPTY, fromAddress, normalised, searches, toAddress, toRequest } from "./state.js";

const PAGE_IMAGES = 60;
const KEPT_VIEWS = 30;

const index = await api.info().catch((error) => { problem(error.message); throw error; });
const terms = index.similarities;
const limits = index.limits;
const own = normalised(Object.fromEntries(terms.map((name) => [name, index.weights?.[name] ?? 1 / terms.length])));
const uploads = new Map(); // name in the address -> {file, address}
const views = new Map(); // address -> what was shown there, so that "back" does not ask again
let state = fromAddress(location.href, terms);
let view = null;
let running = null;

const grid = makeGrid({ opened: (place) => detail.at(place), picked: pick });
const detail = makeDetail({ rows: grid, terms, picked: pick, closed: (place) => grid.focus(place) });
const weights = makeWeights(terms, own, (changed) => go({ weights: changed }));
makeCounts(limits.k);
makeColumns(index.columns.filter(({ type }) => type));
makeToggle($("toggle-options"), (open) => $("options").classList.toggle("open", open));
makeToggle($("toggle-columns"), (open) => show($("columns"), open));

// ---- state

/** Go to another state: its address becomes a step of the history. */
function go(change) {
  const next = { ...state, ...change };
  const address = toAddress(next);
  if (address !== toAddress(state)) history.pushState(null, "", address);
  else views.delete(address); // asked again
  state = next;
  scrollTo(0, 0);
  arrive();
}

function pick(row) {
  go({ ref: row.image_id, upload: null, text: "" });
  $("text").focus({ preventScroll: true });
}

function upload(file) {
  if (!file) return;
  if (file.size > limits.bytes - 2 ** 16) return problem(`The image is larger than ${limits.bytes / 2 ** 20} MB. Send a smaller one, or cut it into tiles.`);
  const old = [...uploads.keys()].filter((name) => name === file.name || name.startsWith(`${file.name} (`));
  const name = old.length ? `${file.name} (${old.length + 1})` : file.name || "image";
  uploads.set(name, { file, address: URL.createObjectURL(file) });
  go({ ref: null, upload: name, text: $("text").value.trim() });
  $("text").focus({ preventScroll: true });
}

addEventListener("popstate", () => {
  state = fromAddress(location.href, terms);
  detail.close();
  arrive();
});

/** Show what the state asks for. */
async function arrive() {
  drawControls();
  problem(null);
  running?.abort();
  const address = toAddress(state);
  if (state.upload && !uploads.has(state.upload)) {
    busy(false);
    draw({ rows: [], total: 0, line: "" });
    return problem(`This address was made with an uploaded reference, ${state.upload}, which an address cannot hold. Drop or choose that image again.`);
  }
  if (views.has(address)) {
    busy(false);
    return draw(views.get(address));
  }
  const mine = (running = new AbortController());
  busy(true);
  try {
    const found = searches(state) ? await search(mine.signal) : await browse(mine.signal);
    if (mine !== running) return;
    remember(address, found);
    draw(found);
  } catch (error) {
    if (mine !== running || error.name === "AbortError") return;
    draw({ rows: [], total: 0, line: "" });
    problem(error.message);
  }
  busy(false);
}

async function search(signal) {
  const answer = await api.search(toRequest(state), uploads.get(state.upload)?.file, signal);
  const line = `${counted(answer.hits.length, "image")} of ${number(index.rows)} in ${answer.seconds.toFixed(2)} s, by ${used(answer.weights)}`;
  return { rows: answer.hits, answer, total: answer.hits.length, line };
}

/** The similarities that a score is made of, as "triplet 60%, language 40%". */
function used(found) {
  const on = terms.filter((name) => found[name] > 0);
  return on.map((name) => (on.length > 1 ? `${spoken(name)} ${Math.round(found[name] * 100)}%` : spoken(name))).join(", ");
}

async function browse(signal) {
  const { images, total } = await api.images({ ...state, offset: 0, limit: PAGE_IMAGES }, signal);
  const line = state.where ? `${counted(total, "image")} by this filter` : `${counted(total, "image")}. Pick a reference, or type what you look for.`;
  return { rows: images, total, line };
}

async function more() {
  const shown = view;
  if (!shown || shown.answer || shown.loading || shown.rows.length >= shown.total) return;
  shown.loading = true;
  try {
    const { images } = await api.images({ ...state, offset: shown.rows.length, limit: PAGE_IMAGES });
    if (view !== shown) return;
    shown.rows = [...shown.rows, ...images];
    if (!images.length) shown.total = shown.rows.length;
    grid.add(images);
  } catch (error) {
    problem(error.message);
  } finally {
    shown.loading = false;
    show($("more"), view.rows.length < view.total && !view.answer);
  }
}

function remember(address, found) {
  found.state = state;
  views.set(address, found);
  if (views.size > KEPT_VIEWS) views.delete(views.keys().next().value);
}

// ---- drawing

function draw(found) {
  view = found;
  document.body.classList.toggle("searching", Boolean(found.answer));
  grid.draw(found.rows, { terms });
  $("status").textContent = found.line;
  show($("more"), !found.answer && found.rows.length < found.total);
  show($("shuffle"), !found.answer && found.total > 1);
  show($("share"), Boolean(found.answer));
  drawSaid(found.answer);
  drawTrail();
}

function drawSaid(answer) {
  const said = answer ? [
    ["Asked for", answer.pseudo_caption], ["Reference", answer.interpretation],
  ].filter(([, text]) => text) : [];
  $("said").replaceChildren(...said.map(([name, text]) => element("div", {}, element("dt", {}, name), element("dd", {}, text))));
  show($("words"), said.length > 0);
  const without = answer?.left_out ?? [];
  $("left-out-count").textContent = `${counted(without.length, "part")} of the method left out`;
  $("left-out-list").replaceChildren(...without.map((text) => element("li", {}, text)));
  show($("left-out"), without.length > 0);
}

function drawTrail() {
  const steps = [...views.entries()].filter(([, { state: past }]) => past && searches(past));
  const here = toAddress(state);
  $("trail").replaceChildren(...steps.map(([address, { state: past }]) => {
    const source = past.ref ? api.picture(past.ref, 96) : uploads.get(past.upload)?.address;
    const step = element("a", { href: address, title: past.ref ?? past.upload ?? "", "aria-current": address === here ? "page" : null },
      source ? element("img", { src: source, alt: past.ref ?? past.upload ?? "" }) : null,
      element("span", {}, past.text || past.where || "alike"));
    step.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      go(past);
    });
    return step;
  }));
  show($("trail"), steps.length > 1);
}

function drawControls() {
  $("text").value = state.text;
  $("where").value = state.where;
  $("k").value = state.k;
  weights.set(state.weights);
  const uploaded = uploads.get(state.upload);
  const name = state.ref ?? state.upload;
  const source = state.ref ? api.picture(state.ref, 192) : uploaded?.address;
  const open = $("reference-open");
  if (source) {
    const image = element("img", { src: source, alt: "" });
    image.addEventListener("error", () => image.replaceWith(element("span", {}, name)));
    open.replaceChildren(image);
    open.setAttribute("aria-label", `The reference ${name}, enlarge`);
  } else {
    open.replaceChildren(element("span", { class: "plus", "aria-hidden": "true" }, "+"), element("span", { class: "hint" }, "Drop, paste or choose an image"));
    open.setAttribute("aria-label", "Choose an image as reference");
  }
  open.title = name ?? "";
  show($("reference-remove"), Boolean(name));
  document.title = [state.text || name || "LEmpo search", searches(state) ? "LEmpo" : index.dataset].filter(Boolean).join(" · ");
}

let clock = null;
function busy(on) {
  document.body.classList.toggle("busy", on);
  $("grid").setAttribute("aria-busy", String(on));
  show($("progress"), on);
  clearInterval(clock);
  $("clock").textContent = "";
  if (!on) return;
  const start = performance.now();
  $("status").textContent = searches(state) ? "Searching…" : "Loading…";
  clock = setInterval(() => { $("clock").textContent = `${Math.round((performance.now() - start) / 1000)} s`; }, 1000);
}

function problem(text) {
  $("problem").textContent = text ?? "";
  show($("problem"), Boolean(text));
}

// ---- what people do

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  go({ text: $("text").value.trim(), where: $("where").value.trim() });
});
$("text").addEventListener("keydown", (event) => {
  if (event.key !== "ArrowDown" || !grid.length) return;
  event.preventDefault();
  grid.focus(0);
});
$("k").addEventListener("change", () => go({ k: Number($("k").value) }));
$("reset-weights").addEventListener("click", () => go({ weights: null }));
$("home").addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go({ ...EMPTY });
});
$("reference-remove").addEventListener("click", () => go({ ref: null, upload: null }));
$("reference-open").addEventListener("click", async () => {
  if (state.ref) {
    try {
      detail.of({ image_id: state.ref, ...(await api.row(state.ref)) });
    } catch (error) {
      problem(error.message);
    }
  } else if (uploads.has(state.upload)) detail.of({ image_id: state.upload, address: uploads.get(state.upload).address });
  else $("file").click();
});
$("file").addEventListener("change", () => {
  upload($("file").files[0]);
  $("file").value = "";
});
$("shuffle").addEventListener("click", () => go({ sample: Math.floor(Math.random() * 2 ** 31) }));
$("share").addEventListener("click", async () => {
  const without = state.upload ? "The address holds all but the uploaded reference." : "The address is copied.";
  try {
    await navigator.clipboard.writeText(location.href);
    $("status").textContent = without;
  } catch {
    $("status").textContent = `Copy it from the browser's address line. ${state.upload ? without : ""}`;
  }
});
$("more").addEventListener("click", more);
new IntersectionObserver((seen) => { if (seen.some((each) => each.isIntersecting)) more(); }, { rootMargin: "600px" }).observe($("more"));

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !$("columns").hidden) $("toggle-columns").click();
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || $("detail").open) return;
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "range" && event.target.type !== "checkbox") return;
  event.preventDefault();
  $("text").focus();
  $("text").select();
});
document.addEventListener("paste", (event) => {
  const file = [...(event.clipboardData?.files ?? [])].find((each) => each.type.startsWith("image/"));
  if (file) {
    event.preventDefault();
    upload(file);
  }
});
const narrow = matchMedia("(max-width: 720px)"); // there the words fold, so that pictures come first
const fold = () => { $("words").open = !narrow.matches; };
narrow.addEventListener("change", fold);
fold();
let inside = 0;
const carries = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
document.addEventListener("dragenter", (event) => { if (carries(event)) { inside += 1; show($("drop"), true); } });
document.addEventListener("dragleave", (event) => { if (carries(event)) { inside -= 1; show($("drop"), inside > 0); } });
document.addEventListener("dragover", (event) => { if (carries(event)) event.preventDefault(); });
document.addEventListener("drop", (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  inside = 0;
  show($("drop"), false);
  upload(event.dataTransfer.files[0]);
});

arrive();
