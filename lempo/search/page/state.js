// What is asked, as an object, as an address and as the body of a request.
// An uploaded image is a file of this visit: its address holds only its name.

export const COUNTS = [12, 24, 48, 96, 192];
const COUNT = 24;
const DIGITS = 3;

export const EMPTY = Object.freeze({
  ref: null, upload: null, text: "", where: "", k: COUNT, weights: null, sample: null,
});

/** Whether there is something to search for; else the archive is browsed. */
export const searches = (state) => Boolean(state.ref || state.upload || state.text);

export function fromAddress(address, terms) {
  const query = new URL(address, location.href).searchParams;
  const k = Number.parseInt(query.get("k"), 10);
  const sample = Number.parseInt(query.get("sample"), 10);
  return {
    ref: query.get("ref") || null,
    upload: query.get("upload") || null,
    text: query.get("text") ?? "",
    where: query.get("where") ?? "",
    k: COUNTS.includes(k) ? k : COUNT,
    weights: readWeights(query.get("weights"), terms),
    sample: Number.isInteger(sample) && sample >= 0 ? sample : null,
  };
}

export function toAddress(state) {
  const query = new URLSearchParams();
  for (const name of ["ref", "upload", "text", "where"]) if (state[name]) query.set(name, state[name]);
  if (state.k !== COUNT) query.set("k", state.k);
  if (state.weights) {
    const on = Object.entries(state.weights).filter(([, weight]) => weight !== null);
    query.set("weights", on.map(([name, weight]) => `${name}:${round(weight)}`).join(","));
  }
  if (state.sample !== null && !searches(state)) query.set("sample", state.sample);
  const text = query.toString();
  return text ? `/?${text}` : "/";
}

export function toRequest(state) {
  const request = { k: state.k };
  if (state.ref) request.image_id = state.ref;
  if (state.text) request.text = state.text;
  if (state.where) request.where = state.where;
  if (state.weights) {
    request.similarities = Object.keys(state.weights).filter((name) => state.weights[name] !== null);
    request.weights = Object.fromEntries(request.similarities.map((name) => [name, round(state.weights[name])]));
  }
  return request;
}

const round = (weight) => Number(weight.toFixed(DIGITS));

// a weight of null: the similarity is off
function readWeights(text, terms) {
  if (!text) return null;
  const given = new Map(text.split(",").map((part) => part.split(":")));
  const weights = Object.fromEntries(terms.map((name) => {
    const weight = Number(given.get(name));
    return [name, given.has(name) && weight >= 0 && weight <= 1 ? weight : null];
  }));
  return Object.values(weights).some((weight) => weight !== null) ? normalised(weights) : null;
}

/** Weights with sum 1; those that are off stay null. */
export function normalised(weights) {
  const on = Object.entries(weights).filter(([, weight]) => weight !== null);
  const sum = on.reduce((total, [, weight]) => total + weight, 0);
  const made = { ...weights };
  for (const [name, weight] of on) made[name] = sum > 0 ? weight / sum : 1 / on.length;
  return made;
}

/** Set one weight; the others that are on share what is left, in their proportions. */
export function withWeight(weights, changed, value) {
  const others = Object.keys(weights).filter((name) => name !== changed && weights[name] !== null);
  if (!others.length) return { ...weights, [changed]: 1 };
  const sum = others.reduce((total, name) => total + weights[name], 0);
  const made = { ...weights, [changed]: value };
  for (const name of others) made[name] = (1 - value) * (sum > 0 ? weights[name] / sum : 1 / others.length);
  return made;
}
