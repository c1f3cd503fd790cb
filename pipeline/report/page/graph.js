// A scene graph as a drawing over its image. Objects without a box stand at places of a 3 x 3 grid.

const COLOURS = 8;
const PLACES = ["top left", "top", "top right", "left", "center", "right", "bottom left", "bottom", "bottom right"];
const LEGIBLE = 20; // percent of the image's width
const FREE = [4, 0, 2, 6, 8, 1, 7, 3, 5]; // the order in which objects without a place get one

/** The names of the objects, each with a colour and a count. */
function legend(graph) {
  const found = new Map();
  for (const [name] of graph.objects) {
    const entry = found.get(name) ?? { colour: found.size % COLOURS, count: 0 };
    entry.count += 1;
    found.set(name, entry);
  }
  return found;
}

/** The graph in words, for those who do not see it. */
function graphInWords(graph) {
  const objects = graph.objects.map(([name, attributes]) => [...attributes, name].join(" "));
  const relations = graph.relations.map(([s, predicate, o]) => `${graph.objects[s][0]} ${predicate} ${graph.objects[o][0]}`);
  return [graph.scene ? `${graph.scene}: ` : "", objects.join(", "), relations.length ? `; ${relations.join(", ")}` : ""].join("");
}

/** An SVG that lies over the image; `large` writes names at the boxes. */
function drawGraph(graph, large) {
  const [width, height] = [100, Math.max(20, Math.min(400, (100 * graph.size[1]) / Math.max(1, graph.size[0])))];
  const colours = legend(graph);
  const svg = drawing("svg", { class: large ? "graph large" : "graph", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Scene graph: ${graphInWords(graph)}` });
  const boxes = places(graph, width, height);
  for (const [s, predicate, o] of graph.relations) svg.append(...relation(boxes[s], boxes[o], predicate, large));
  graph.objects.forEach(([name, attributes, box], place) => {
    const group = drawing("g", { class: `object colour-${colours.get(name).colour}` }, titled([...attributes, name].join(" ")));
    const { x, y, w, h } = boxes[place];
    if (box) group.append(drawing("rect", { x, y, width: w, height: h }));
    else group.append(drawing("circle", { cx: x + w / 2, cy: y + h / 2, r: 3 }));
    if (!box || large) {
      const text = shortened(box ? name : [...attributes, name].join(" "), 20);
      group.append(label(text, x + w / 2, box ? Math.max(3, y - 0.8) : y + h / 2 + 7, large ? 0.72 : 1.6));
    }
    svg.append(group);
  });
  return svg;
}

const titled = (text) => {
  const title = drawing("title");
  title.textContent = text;
  return title;
};

/** A text that does not leave the drawing; `half` is half the width of a letter. */
function label(text, x, y, half) {
  const room = Math.min(50, half * text.length);
  const made = drawing("text", { x: Math.min(100 - room, Math.max(room, x)), y });
  made.textContent = text;
  return made;
}

const shortened = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

function places(graph, width, height) {
  const taken = Array(9).fill(0);
  return graph.objects.map(([, attributes, box]) => {
    if (box) return { x: box[0] * width, y: box[1] * height, w: box[2] * width, h: box[3] * height };
    const stated = PLACES.findIndex((place) => attributes.includes(place));
    const cell = stated >= 0 ? stated : FREE.reduce((best, each) => (taken[each] < taken[best] ? each : best), FREE[0]);
    const turn = taken[cell]++;
    const [w, h] = [width / 3, height / 3];
    return { x: (cell % 3) * w + (turn % 2 ? 6 : 0), y: Math.floor(cell / 3) * h - 5 + ((turn * 11) % 24), w, h };
  });
}

function relation(from, to, predicate, large) {
  const [a, b] = [centre(from), centre(to)];
  const length = Math.hypot(b.x - a.x, b.y - a.y) || 1;
  const [dx, dy] = [(b.x - a.x) / length, (b.y - a.y) / length];
  const tip = { x: b.x - dx * 2, y: b.y - dy * 2 };
  const side = large ? 1 : 1.6;
  const head = `M${tip.x} ${tip.y}L${tip.x - dx * 2 * side - dy * side} ${tip.y - dy * 2 * side + dx * side}L${tip.x - dx * 2 * side + dy * side} ${tip.y - dy * 2 * side - dx * side}Z`;
  const arrow = drawing("g", { class: "relation" }, titled(predicate),
    drawing("path", { d: `M${a.x} ${a.y}L${tip.x} ${tip.y}` }), drawing("path", { class: "tip", d: head }));
  const room = large && length > LEGIBLE; // between nearer objects a label would hide them; the list has it
  return room ? [arrow, label(shortened(predicate, 20), (a.x + b.x) / 2, (a.y + b.y) / 2, 0.72)] : [arrow];
}

const centre = ({ x, y, w, h }) => ({ x: x + w / 2, y: y + h / 2 });
