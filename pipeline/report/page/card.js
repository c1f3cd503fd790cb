// One query: its reference and scene graph, its texts, and what two methods find.

/** `open(pictures, place)` shows pictures large. */
function makeCard(row, state, methods, open) {
  const { images, references, name } = row.dataset;
  const reference = references[row.reference] ?? { text: "", graph: null };
  const { graph } = reference;
  const pictures = [];
  const opens = (shown, ...children) => {
    pictures.push(shown);
    const place = pictures.length - 1;
    const button = element("button", { type: "button", class: "open", title: shown.image[0], "aria-label": shown.label ?? shown.title }, ...children);
    button.addEventListener("click", () => open(pictures, place));
    return button;
  };
  const source = images[row.reference];
  const facts = [["image", source[0]], ["dataset", name]];
  const pair = element("div", { class: "pair" }, opens({ image: source, title: "Reference", facts }, picture(source, true)));
  if (graph?.objects.length) {
    pair.append(opens({ image: source, title: "Reference with its scene graph", facts, graph }, element("span", { class: "over dim" }, picture(source, true), drawGraph(graph, false))));
  }
  const link = element("a", { href: `#queries?${new URLSearchParams({ ...state, dataset: name, query: row.id, page: "1" })}`, class: "id", title: "This query alone" }, row.id);
  const shown = [...new Set([state.method, state.beside])];
  return element("article", { class: "card", tabIndex: -1, "aria-label": `Query ${row.id}` },
    element("div", { class: "asked" }, pair, graph?.objects.length ? names(graph) : null),
    element("div", { class: "texts" },
      element("p", { class: "of" }, element("span", { class: "badge" }, name), element("span", { class: "badge" }, row.kind), link),
      element("h2", { class: "modification" }, row.modification),
      said("Interpretation", reference.text), said("Pseudo caption", row.caption),
      wrong("missed", row.missed), wrong("invented", row.invented)),
    element("div", { class: "found" }, ...shown.map((method) => results(row, method, methods.indexOf(method), images, opens))));
}

const said = (title, text) => element("div", { class: "said" }, element("h3", {}, title), element("p", {}, text));

const wrong = (title, facts) => (facts.length ? element("p", { class: "wrong" }, element("b", {}, title), ` ${facts.join("; ")}`) : null);

function names(graph) {
  const parts = [...legend(graph)].map(([name, { colour, count }]) => element("li", {},
    element("span", { class: `swatch colour-${colour}`, "aria-hidden": "true" }), count > 1 ? `${name} ×${count}` : name));
  return element("ul", { class: "names" }, ...parts, ...(graph.more ? [element("li", {}, `${graph.more} more`)] : []));
}

/** The first results of one method, and the best known right answer where it is not among them. */
function results(row, method, place, images, opens) {
  const [rank, top, scores, shares] = [row.ranks[place], row.top[place], row.scores[place] ?? [], row.shares[place]];
  const best = Math.max(...scores, 1e-9);
  const tiles = top.map((index, number) => {
    const right = row.right.includes(index);
    const score = scores[number];
    const title = `${spoken(method)}, result ${number + 1}${right ? ", a right answer" : ""}`;
    const facts = [["image", images[index][0]], ["rank", String(number + 1)], ["right answer", right ? "yes" : "no"], ["score", score.toFixed(4)]];
    return element("li", { class: right ? "tile right" : "tile" },
      opens({ image: images[index], title, facts, shares: shares?.[number], label: `${title}, score ${score.toFixed(3)}` }, picture(images[index]),
        element("span", { class: "figure" }, shares ? bar(shares[number], best) : null, element("span", {}, score.toFixed(3)))));
  });
  if (rank > top.length) {
    const title = row.answers > 1 ? `The target, one of ${row.answers} right answers` : "The right answer";
    const facts = [["image", images[row.target][0]], [row.answers > 1 ? "rank of the best right answer" : "rank", String(rank)]];
    tiles.push(element("li", { class: "tile right away" }, opens({ image: images[row.target], title, facts, label: `${title}, rank ${rank}` }, picture(images[row.target]),
      element("span", { class: "figure" }, element("span", {}, `rank ${NUMBERS.format(rank)}`)))));
  }
  const missing = rank === null || rank === undefined;
  return element("div", { class: "result", role: "group", "aria-label": method },
    element("p", { class: "method" }, element("b", {}, method), element("span", { class: rank === 1 ? "rank first" : "rank" }, missing ? "no ranking" : `rank ${NUMBERS.format(rank)}`)),
    element("ul", { class: "tiles" }, ...tiles));
}

/** A score as a bar of its shares; the best score fills it. */
function bar(shares, best) {
  return element("span", { class: "bar-of-shares", "aria-hidden": "true" }, ...shares.map((share, place) => {
    const part = element("i", { class: `share-${place}` });
    part.style.width = `${(Math.max(0, share) / best) * 100}%`;
    return part;
  }));
}
