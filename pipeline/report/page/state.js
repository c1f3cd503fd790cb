// What a person has chosen, and the part of the address that keeps it: #queries?method=hybrid&rank=2-

const RANKS = [
  ["", "any"], ["1", "1"], ["2-", "not 1"], ["2-5", "2 to 5"], ["6-10", "6 to 10"], ["11-50", "11 to 50"], ["51-", "above 50"],
];
const DISAGREE = [
  ["", "any"], ["either", "disagree on rank 1"], ["method", "only the first is right"], ["beside", "only the second is right"],
];
const CAPTION = [["", "any"], ["wrong", "misses or invents"], ["right", "no wrong fact known"]];
const SORT = [["worst", "worst rank first"], ["best", "best rank first"], ["apart", "methods furthest apart"], ["id", "by id"]];

function emptyState(data) {
  return {
    method: data.first[0], beside: data.first[1] ?? data.first[0], dataset: "", kind: "", rank: "", disagree: "",
    caption: "", sort: "worst", find: "", query: "", page: "1",
  };
}

/** The view, and the choices of the gallery, that an address names. */
function fromAddress(hash, empty) {
  const [path, asked] = hash.replace(/^#/, "").split("?");
  const given = new URLSearchParams(asked ?? "");
  const state = { ...empty };
  for (const name of Object.keys(state)) if (given.has(name)) state[name] = given.get(name);
  return { view: path.split("/")[0], state };
}

function toAddress(state, empty) {
  const changed = Object.entries(state).filter(([name, value]) => value !== empty[name]);
  const asked = new URLSearchParams(changed).toString();
  return asked ? `#queries?${asked}` : "#queries";
}
