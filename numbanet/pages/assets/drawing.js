// The drawing of the network: a column per layer, a circle per neuron, a line per weight.

const SVG = "http://www.w3.org/2000/svg";
const TOP = 12;
const VALUE_BELOW = 13; // the distance of a neuron's value from the centre of its circle
const BIAS = -1; // the number of the constant input 1, whose weight is the bias

const ROWS = Math.max(...step.sizes.map((size) => Math.min(size, MOST_SHOWN)));
const ROW = ROWS < 4 ? 104 : 62;
const HEIGHT = TOP + ROW * ROWS + 52;
const COLUMNS = step.sizes.length;
// The drawing of a deep network has its full size and scrolls. In a narrow window, columns are close together, so that the
// drawing of a shallow network fits.
const WIDE = { radius: 28, left: 56, right: 118, width: Math.max(700, 150 * COLUMNS), isTight: COLUMNS > 4 };
const NARROW = { radius: 23, left: 27, right: 76, width: 103 + 92 * (COLUMNS - 1), isTight: true };
const narrow = matchMedia("(max-width: 660px)");
let plan = WIDE;

/** Chooses the sizes of the drawing for the width of the window. */
function measure() {
  const box = document.querySelector(".scroll");
  plan = narrow.matches ? { ...NARROW, width: Math.max(NARROW.width, box.clientWidth) } : WIDE;
  const least = narrow.matches || COLUMNS > 4 ? plan.width : 560;
  document.getElementById("plan").style.minWidth = `${least}px`;
}

const nodes = new Map(), edges = new Map();

function make(name, attributes, parent, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function xOf(column) {
  return plan.left + (column * (plan.width - plan.left - plan.right)) / (COLUMNS - 1);
}

function yOf(column, neuron) {
  if (neuron === BIAS) return HEIGHT - 20;
  return TOP + ROW * (neuron - first[column] + (ROWS - visible(column).length) / 2 + 0.5);
}

/** Draws all columns anew, after a window has moved. */
function draw() {
  measure();
  const net = document.getElementById("net");
  net.setAttribute("viewBox", `0 0 ${plan.width} ${HEIGHT}`);
  net.replaceChildren();
  nodes.clear();
  edges.clear();
  for (let l = 1; l <= LAST; l++) {
    for (const j of visible(l)) for (const i of [BIAS, ...visible(l - 1)]) drawEdge(net, l, i, j);
  }
  step.sizes.forEach((_, column) => {
    if (column < LAST) drawNode(net, column, BIAS);
    for (const neuron of visible(column)) drawNode(net, column, neuron);
  });
  for (const neuron of visible(LAST)) {
    const at = { x: xOf(LAST) + plan.radius + 10, y: yOf(LAST, neuron) + (narrow.matches ? -3 : 5), class: "target" };
    nodes.get(`${LAST}:${neuron}`).target = make("text", at, net);
  }
  drawHeads();
}

function drawEdge(net, l, i, j) {
  const group = make("g", { class: `edge${i === BIAS ? " bias" : ""}`, role: "img" }, net);
  const [x1, y1, x2, y2] = [xOf(l - 1), yOf(l - 1, i), xOf(l), yOf(l, j)];
  make("line", { x1, y1, x2, y2, class: "reach" }, group);
  const line = make("line", { x1, y1, x2, y2, class: "line" }, group);
  group.dataset.key = `${l}:${i}:${j}`;
  edges.set(group.dataset.key, { l, i, j, group, line, ends: [`${l - 1}:${i}`, `${l}:${j}`] });
}

function drawNode(net, column, neuron) {
  const group = make("g", { class: neuron === BIAS ? "node one" : "node" }, net);
  const [x, y] = [xOf(column), yOf(column, neuron)];
  make("circle", { cx: x, cy: y, r: plan.radius + 5, class: "ring" }, group);
  make("circle", { cx: x, cy: y, r: neuron === BIAS ? 15 : plan.radius, class: "body" }, group);
  const name = make("text", { x, y: y + (neuron === BIAS ? 5 : -3), class: "name" }, group, neuron === BIAS ? "1" : "");
  const value = make("text", { x, y: y + VALUE_BELOW, class: "value" }, group);
  nodes.set(`${column}:${neuron}`, { column, neuron, group, name, value });
}

/** Writes the name of each layer above its column, with buttons that move the window of a wide layer. */
function drawHeads() {
  const heads = step.sizes.map((size, column) => {
    const head = document.createElement("div");
    head.style.left = `${(100 * xOf(column)) / plan.width}%`;
    const name = column === 0 ? "inputs" : `layer ${column}`;
    head.innerHTML = `<b>${name}</b> <span>${column === 0 ? "" : step.layers[column - 1].activation.replace("_", " ")}</span>`;
    if (size > MOST_SHOWN) head.append(windowButtons(name, column));
    return head;
  });
  document.getElementById("columns").replaceChildren(...heads);
}

function windowButtons(name, column) {
  const box = document.createElement("div");
  const last = first[column] + MOST_SHOWN;
  box.className = "window";
  const ways = [["▲", "earlier", -MOST_SHOWN, first[column] === 0], ["▼", "later", MOST_SHOWN, last === step.sizes[column]]];
  const buttons = ways.map(([sign, word, by, disabled]) => {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", textContent: sign, disabled, id: `window-${column}-${word}` });
    button.setAttribute("aria-label", `${name}: show ${word} neurons`);
    button.addEventListener("click", () => {
      moveWindow(column, first[column] + by);
      redraw();
      document.getElementById(button.id).focus();
    });
    return button;
  });
  const range = document.createElement("span");
  range.textContent = `${first[column] + 1}–${last} of ${step.sizes[column]}`;
  box.append(buttons[0], range, buttons[1]);
  return box;
}

/** Returns the symbol that a neuron shows at a stage, and the symbol's value, which is undefined until a stage computes it. */
function valueOf(column, neuron, number, sample) {
  if (column === 0) return ["x", step.x[sample][neuron]];
  const layer = step.layers[column - 1];
  for (const name of ["delta", "a", "z"]) {
    if (computedAt[name][column][neuron] <= number) return [name, layer[name][sample][neuron]];
  }
  return ["z", undefined];
}

function below(number) {
  return String(number).replace(/\d/g, (digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]);
}

/** Returns the number of significant digits for which there is space in a circle. */
function digitsOf(value) {
  const size = Math.abs(value), digits = size < 0.001 ? 1 : size < 0.01 ? 2 : 3;
  return value < 0 && size < 0.1 ? Math.max(1, digits - 1) : digits;
}

/** Makes the letters of a value smaller if they would touch the circle. */
function fit(value) {
  value.style.fontSize = "";
  const width = value.getComputedTextLength(), room = 2 * Math.sqrt((plan.radius - 3) ** 2 - VALUE_BELOW ** 2);
  if (width > room) value.style.fontSize = `${(parseFloat(getComputedStyle(value).fontSize) * room) / width}px`;
}

/** If the drawing is wider than its section, scrolls the drawing to a column; the columns beside it are visible, too. */
function showColumn(column) {
  const box = document.querySelector(".scroll");
  box.scrollLeft = (xOf(column) / plan.width) * box.scrollWidth - box.clientWidth / 2;
}

/** Shows a stage in the drawing: the values of the neurons, and marks on the neuron and the weights of the stage. */
function paint(number, sample) {
  const stage = stages[number], atWork = weightsAtWork(stage);
  for (const { column, neuron, group, name, value, target } of nodes.values()) {
    const inHand = stage.neuron === undefined ? column === stage.layer : column === stage.layer && neuron === stage.neuron;
    group.classList.toggle("hand", inHand && neuron !== BIAS);
    if (neuron === BIAS) continue;
    const [symbolName, amount] = valueOf(column, neuron, number, sample);
    name.textContent = `${symbolName === "delta" ? "δ" : symbolName}${below(neuron + 1)}`;
    value.textContent = amount === undefined ? "" : brief(amount, digitsOf(amount));
    fit(value);
    group.classList.toggle("waiting", amount === undefined);
    if (target) writeTarget(target, `y${below(neuron + 1)} =`, brief(step.y[sample][neuron], 3));
  }
  for (const [key, edge] of edges) {
    const { w, b } = step.layers[edge.l - 1];
    const weight = edge.i === BIAS ? b[edge.j] : w[edge.i][edge.j];
    const isAtWork = atWork.has(key);
    edge.group.classList.toggle("work", isAtWork);
    edge.group.classList.toggle("negative", weight < 0);
    edge.line.style.strokeWidth = thickness(edge.l, weight);
    edge.group.setAttribute("aria-label", plain(describe(edge)));
    if (isAtWork) edge.group.setAttribute("tabindex", "0");
    else edge.group.removeAttribute("tabindex");
  }
  labelWeights(stage, atWork);
  showColumn(stage.layer);
}

/** Writes a target beside its neuron: in one line, or in two lines if the window is narrow. */
function writeTarget(target, name, value) {
  target.textContent = narrow.matches ? name : `${name} ${value}`;
  if (narrow.matches) make("tspan", { x: target.getAttribute("x"), dy: 16 }, target, value);
}

function thickness(l, weight) {
  const { w, b } = step.layers[l - 1];
  scales[l] ??= Math.max(...b.map(Math.abs), ...w.map((row) => Math.max(...row.map(Math.abs)))) || 1;
  return 0.75 + (2.75 * Math.abs(weight)) / scales[l];
}
const scales = [];

/** Returns the keys of the weights that a stage reads or changes. */
function weightsAtWork({ kind, layer, neuron }) {
  if (kind === "z" || kind === "update") return new Set([BIAS, ...visible(layer - 1)].map((i) => `${layer}:${i}:${neuron}`));
  if (kind === "dw") return new Set(visible(layer - 1).map((i) => `${layer}:${i}:${neuron}`));
  if (kind === "db") return new Set([`${layer}:${BIAS}:${neuron}`]);
  if (passesBack(kind, layer)) return new Set(visible(layer + 1).map((j) => `${layer + 1}:${neuron}:${j}`));
  return new Set();
}

/** Returns whether a stage computes the sum of w delta over the neurons of the next layer. */
function passesBack(kind, layer) {
  return layer < LAST && (kind === "dl_da" || (kind === "delta" && !step.stages.layers[layer - 1].dl_da));
}

/** Writes the numbers of the weights that the stage reads or changes beside the lines of these weights. */
function labelWeights(stage, atWork) {
  const net = document.getElementById("net");
  net.querySelectorAll(".label").forEach((label) => label.remove());
  const share = plan.isTight ? 0.5 : passesBack(stage.kind, stage.layer) ? 0.64 : 0.34;
  const biasShare = narrow.matches ? share : 0.2;
  for (const key of atWork) {
    const edge = edges.get(key);
    if (!edge) continue;
    const part = edge.i === BIAS ? biasShare : share;
    const [x1, y1, x2, y2] = ["x1", "y1", "x2", "y2"].map((name) => Number(edge.line.getAttribute(name)));
    const at = { x: x1 + part * (x2 - x1), y: y1 + part * (y2 - y1) + 4, class: "label" };
    make("text", at, net, brief(weightValue(stage.kind, edge), plan.isTight ? 3 : 4));
  }
}

function weightValue(kind, { l, i, j }) {
  const [w, b] = { dw: ["dw", "db"], db: ["dw", "db"], update: ["w_after", "b_after"] }[kind] ?? ["w", "b"];
  return i === BIAS ? step.layers[l - 1][b][j] : step.layers[l - 1][w][i][j];
}

/** Marks the two neurons that a weight connects, and describes the weight below the drawing. */
function showEnds(edge, on) {
  for (const key of edge.ends) nodes.get(key).group.classList.toggle("end", on);
  edge.group.classList.toggle("shown", on);
  document.getElementById("readout").innerHTML = on ? describe(edge) : "";
}

// The listeners are on the element around the drawing, because in Chromium an SVG element with focus listeners gets the focus.
for (const [event, on] of [["mouseover", true], ["focusin", true], ["mouseout", false], ["focusout", false]]) {
  document.getElementById("plan").addEventListener(event, ({ target }) => {
    const edge = edges.get(target.closest(".edge")?.dataset.key);
    if (edge) showEnds(edge, on);
  });
}

function describe({ l, i, j }) {
  const { number, sample } = state;
  const [name, value] = valueOf(l, j, number, sample);
  const to = `to neuron ${j + 1} of layer ${l}${value === undefined ? "" : `, ${indexed(name, j + 1)} = ${brief(value)}`}`;
  const layer = step.layers[l - 1];
  if (i === BIAS) return `${indexed("b", j + 1)} = ${shown(layer.b[j])}, the bias, ${to}`;
  const input = `from ${l === 1 ? `input ${i + 1}, ${indexed("x", i + 1)}` : `neuron ${i + 1} of layer ${l - 1}, ${indexed("a", i + 1)}`}`;
  const known = l === 1 || computedAt.a[l - 1][i] <= number;
  return `${indexed("w", pair(i, j))} = ${shown(layer.w[i][j])}, ${input}${known ? ` = ${brief(outputs(l - 1, sample)[i])}` : ""}, ${to}`;
}

function plain(markup) {
  return markup.replace(/<sub>/g, " ").replace(/<[^>]*>/g, "");
}
