// The page: address -> view and choices -> cards.

const PAGE = 20;
const data = JSON.parse($("data").textContent);
const rows = allRows(data);
const empty = emptyState(data);
const views = [...document.querySelectorAll(".view")];
const open = makeDetail($("detail"));
const form = $("filters");
let state = { ...empty };
let shown = [];

function fill(name, options) {
  form.elements[name].replaceChildren(...options.map(([value, text]) => element("option", { value }, text)));
}

const asOptions = (names) => names.map((name) => [name, name]);
for (const name of ["method", "beside"]) {
  form.elements[name].replaceChildren(...data.families.filter(([, names]) => names.length).map(([title, names]) => element("optgroup", { label: title }, ...asOptions(names).map(([value, text]) => element("option", { value }, text)))));
}
fill("dataset", [["", "all"], ...asOptions(data.datasets.map(({ name }) => name))]);
fill("kind", [["", "all"], ...asOptions([...new Set(rows.map(({ kind }) => kind))].sort())]);
fill("rank", RANKS);
fill("disagree", DISAGREE);
fill("caption", CAPTION);
fill("sort", SORT);
$("legend").replaceChildren("Shares of a score: ", ...TERMS.map((name, place) => element("span", {}, element("i", { class: `swatch share-${place}` }), spoken(name))));

let arrived = null;

/** Show what the address asks for. */
function arrive() {
  if (location.hash === arrived) return; // the event comes after a choice has been shown
  arrived = location.hash;
  const asked = fromAddress(decodedHash(), empty);
  $("detail").close();
  const view = views.some(({ id }) => id === asked.view) ? asked.view : "results";
  for (const each of views) each.hidden = each.id !== view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash.replace(/[?/].*/, "") === `#${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (view === "queries") {
    state = known(asked.state);
    draw();
  } else {
    const place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (place && place.id.includes("/")) place.scrollIntoView();
    else scrollTo(0, 0);
  }
  $("to-queries").setAttribute("href", toAddress(state, empty));
}

const decodedHash = () => location.hash;

/** Choices that this report does not have become the first ones. */
function known(asked) {
  const kept = { ...asked };
  for (const { name, options } of form.elements) {
    if (options && ![...options].some(({ value }) => value === kept[name])) kept[name] = empty[name];
  }
  return kept;
}

function go(change) {
  location.hash = toAddress({ ...state, page: "1", query: "", ...change }, empty);
  arrive(); // now: the next choice builds on this one
}

function draw() {
  for (const name of Object.keys(state)) if (form.elements[name]) form.elements[name].value = state[name];
  shown = selected(rows, state, data.methods);
  const pages = Math.max(1, Math.ceil(shown.length / PAGE));
  const page = Math.min(pages, Math.max(1, Math.floor(Number(state.page)) || 1));
  const from = (page - 1) * PAGE;
  $("cards").replaceChildren(...shown.slice(from, from + PAGE).map((row) => makeCard(row, state, data.methods, open)));
  $("status").textContent = line();
  $("reset").hidden = toAddress(state, empty) === "#queries";
  for (const place of document.querySelectorAll(".page-number")) place.textContent = `${page} of ${NUMBERS.format(pages)}`;
  for (const button of document.querySelectorAll("[data-step]")) {
    const next = page + Number(button.dataset.step);
    button.disabled = next < 1 || next > pages;
    button.onclick = () => { go({ query: state.query, page: String(next) }); toTop(); };
  }
  for (const group of document.querySelectorAll(".pages")) group.hidden = pages === 1;
}

function line() {
  const tested = data.datasets.reduce((sum, dataset) => sum + dataset.tested, 0);
  if (!rows.length) return "The report holds no query; report.queries says how many it may hold.";
  const left = tested > rows.length ? ` The report holds ${NUMBERS.format(rows.length)} of ${NUMBERS.format(tested)} test queries, those that ${data.first[0]} ranks worst.` : "";
  return `${shown.length === rows.length ? counted(rows.length, "query", "queries") : `${NUMBERS.format(shown.length)} of ${counted(rows.length, "query", "queries")}`}.${left}`;
}

const toTop = () => form.scrollIntoView({ block: "start" });

// ---- what people do

form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("change", ({ target }) => { if (target.name !== "find") go({ [target.name]: target.value }); });
form.elements.find.addEventListener("input", ({ target }) => {
  location.replace(toAddress({ ...state, page: "1", query: "", find: target.value }, empty));
});
$("toggle-filters").addEventListener("click", ({ currentTarget }) => { // on narrow screens alone
  const closed = form.classList.toggle("closed");
  currentTarget.setAttribute("aria-expanded", String(!closed));
});
$("reset").addEventListener("click", () => go({ ...empty, method: state.method, beside: state.beside }));
addEventListener("hashchange", arrive);

addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || $("detail").open || $("queries").hidden) return;
  if (event.target.matches("input, select")) return;
  const key = event.key.toLowerCase();
  if (key === "/") {
    event.preventDefault();
    form.elements.find.focus();
  } else if (key === "j" || key === "k") {
    const cards = [...$("cards").children];
    const next = cards[Math.max(0, cards.indexOf(document.activeElement.closest(".card")) + (key === "j" ? 1 : -1))];
    next?.focus();
  } else if (key === "n" || key === "p") {
    document.querySelector(`[data-step="${key === "n" ? 1 : -1}"]`).click();
  }
});

for (const place of document.querySelectorAll(".switch")) {
  const tables = [...document.querySelectorAll(`[data-in="${place.dataset.of}"]`)];
  const buttons = tables.map((table) => element("button", { type: "button", class: "quiet" }, table.dataset.name));
  const choose = (chosen) => tables.forEach((table, number) => {
    table.hidden = number !== chosen;
    buttons[number].setAttribute("aria-pressed", String(number === chosen));
  });
  buttons.forEach((button, number) => button.addEventListener("click", () => choose(number)));
  place.append(...buttons);
  choose(0);
}

arrive();
