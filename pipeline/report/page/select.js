// Which queries are shown, and in which order: all of them are in memory.

/** Rows of all datasets, each with its dataset and a text to be searched. */
function allRows(data) {
  return data.datasets.flatMap((dataset) => dataset.queries.map((query) => ({
    ...query,
    dataset,
    text: [query.id, query.modification, query.caption, dataset.references[query.reference]?.text ?? ""].join("\n").toLowerCase(),
  })));
}

function selected(rows, state, methods) {
  const [a, b] = [methods.indexOf(state.method), methods.indexOf(state.beside)];
  const [least, most] = ranksOf(state.rank);
  const words = state.find.toLowerCase().trim();
  const kept = rows.filter((row) => {
    const [first, second] = [row.ranks[a], row.ranks[b]];
    if (state.query) return row.id === state.query && (!state.dataset || row.dataset.name === state.dataset);
    if (state.dataset && row.dataset.name !== state.dataset) return false;
    if (state.kind && row.kind !== state.kind) return false;
    if (state.rank && !(first >= least && first <= most)) return false;
    if (state.disagree && !disagrees(state.disagree, first === 1, second === 1)) return false;
    if (state.caption && (state.caption === "wrong") !== (row.missed.length + row.invented.length > 0)) return false;
    return !words || row.text.includes(words);
  });
  const order = {
    worst: (row, other) => other.ranks[a] - row.ranks[a],
    best: (row, other) => row.ranks[a] - other.ranks[a],
    apart: (row, other) => distance(other, a, b) - distance(row, a, b),
    id: (row, other) => (row.id < other.id ? -1 : Number(row.id > other.id)),
  }[state.sort];
  return order ? kept.sort(order) : kept;
}

function ranksOf(text) {
  const [least, most] = text.split("-");
  return [Number(least), most === undefined ? Number(least) : Number(most) || Infinity];
}

function disagrees(how, first, second) {
  if (how === "method") return first && !second;
  if (how === "beside") return second && !first;
  return first !== second;
}

/** How many times lower one method ranks the best right answer than the other. */
function distance(row, a, b) {
  return Math.abs(Math.log(row.ranks[a] / row.ranks[b]));
}
