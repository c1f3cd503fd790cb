// One picture, large, with what is known of it; arrow keys go through the pictures of the same query.

const TERMS = ["triplet", "language", "pseudo_caption"];

/** `shown`: image [id, tile, larger], and a title, facts [[name, value]], shares and graph where there are any. */
function makeDetail(dialog) {
  let [pictures, place] = [[], 0];

  function draw() {
    const { image, title, facts, shares, graph } = pictures[place];
    $("detail-title").textContent = title;
    $("detail-stage").replaceChildren(stage(image, graph));
    $("detail-facts").replaceChildren(
      element("dl", {}, ...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])),
      ...(shares ? [parts(shares)] : []),
      ...(graph ? [element("h3", {}, "Scene graph"), inList(graph)] : []),
    );
    $("detail-previous").disabled = place === 0;
    $("detail-next").disabled = place === pictures.length - 1;
  }

  function stage(image, graph) {
    const inside = element("div", { class: "over" }, picture(image, true));
    if (graph?.objects.length) inside.append(drawGraph(graph, true));
    return inside;
  }

  function step(by) {
    if (!pictures[place + by]) return;
    place += by;
    draw();
  }

  $("detail-close").addEventListener("click", () => dialog.close());
  $("detail-previous").addEventListener("click", () => step(-1));
  $("detail-next").addEventListener("click", () => step(1));
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowRight") step(1);
    else if (event.key === "ArrowLeft") step(-1);
  });
  return (all, first) => {
    [pictures, place] = [all, first];
    draw();
    dialog.showModal();
  };
}

/** An image of the folder, or its id where the folder holds no picture of it. */
function picture([id, tile, larger], large = false) {
  if (!tile) return element("span", { class: "missing" }, id);
  const image = element("img", { alt: id, loading: "lazy", decoding: "async", draggable: false });
  image.addEventListener("error", () => image.replaceWith(element("span", { class: "missing" }, id)));
  image.src = `pictures/${(large && larger) || tile}`;
  return image;
}

/** What each similarity adds to a score. */
function parts(shares) {
  return element("ul", { class: "parts" }, ...TERMS.map((name, place) => element("li", {},
    element("span", { class: `swatch share-${place}`, "aria-hidden": "true" }), spoken(name), element("b", {}, shares[place].toFixed(4)))));
}

function inList(graph) {
  const colours = legend(graph);
  return element("ul", { class: "objects" },
    ...graph.objects.map(([name, attributes]) => element("li", {}, element("span", { class: `swatch colour-${colours.get(name).colour}`, "aria-hidden": "true" }), [...attributes, name].join(" "))),
    ...graph.relations.map(([s, predicate, o]) => element("li", {}, `${graph.objects[s][0]} ${predicate} ${graph.objects[o][0]}`)),
    ...(graph.more ? [element("li", {}, `and ${counted(graph.more, "object", "objects")} more`)] : []));
}
