// The panel of a stage: the current symbol with its numbers written out, its curve, and the code that computes the symbol.

const TIMES = " · ";

/**
 * Writes a sum over the neurons of a column, in symbols and in numbers. The terms of visible neurons are written out; all other
 * terms are replaced by their sum.
 */
function sumOver(column, symbols, numbers, term) {
  const seen = visible(column), hidden = step.sizes[column] - seen.length;
  const all = Array.from({ length: step.sizes[column] }, (_, k) => k);
  const rest = all.filter((k) => !seen.includes(k)).reduce((total, k) => total + term(k), 0);
  return {
    symbols: added([...seen.map(symbols), ...(hidden ? ["…"] : [])]),
    numbers: added([...seen.map(numbers), ...(hidden ? [restOf(rest, hidden, "terms")] : [])]),
  };
}

/** Writes a sum over samples. The terms of the first samples are written out; all other terms are replaced by their sum. */
function sumOverSamples(numbers, term) {
  const all = Array.from({ length: step.n }, (_, s) => s), hidden = Math.max(0, step.n - MOST_SAMPLES);
  const rest = all.slice(MOST_SAMPLES).reduce((total, s) => total + term(s), 0);
  return added([...all.slice(0, MOST_SAMPLES).map(numbers), ...(hidden ? [restOf(rest, hidden, "samples")] : [])]);
}

function restOf(sum, count, noun) {
  return `${brief(sum, 7)} <small>(${count} more ${noun})</small>`;
}

function productOf(left, right) {
  return `${shown(left)}${TIMES}${factor(right)}`;
}

/** Writes the value that a stage computes; attributes contain the value's symbol, layer, neurons and sample. */
function result(value, symbolName, facts) {
  const marks = Object.entries(facts).map(([key, number]) => ` data-${key}="${number}"`).join("");
  return `<output class="result" data-symbol="${symbolName}"${marks}>${shown(value)}</output>`;
}

const ACTIVATIONS = {
  identity: (z) => shown(z),
  sigmoid: (z) => fraction("1", `1 + ${power(shown(-z))}`),
  tanh: (z) => `${fraction("2", `1 + ${power(`−2${TIMES}${factor(z)}`)}`)} − 1`,
  relu: (z) => `max(0, ${shown(z)})`,
  leaky_relu: (z) => (z > 0 ? shown(z) : `${shown(step.epsilon)}${TIMES}${factor(z)}`),
};

const SLOPES = {
  identity: () => "1",
  sigmoid: (z, a, slope) => `${shown(a)} (1 − ${factor(a)}) = ${shown(slope)}`,
  tanh: (z, a, slope) => `1 − ${factor(a)}² = ${shown(slope)}`,
  relu: (z) => (z > 0 ? "1, because z > 0" : "0, because z ≤ 0"),
  leaky_relu: (z, a, slope) => `${shown(slope)}, because ${z > 0 ? "z > 0" : "z ≤ 0"}`,
};

const HAS_SHARE = step.n > 1 && step.loss_name !== "sse"; // whether each term of the loss contains the factor 1/n

// The terms of the losses, in symbols or in numbers; share is the factor 1/n and a dot.
const TERMS = {
  sse: (share, y, yHat) => `(${y} − ${yHat})²`,
  mse: (share, y, yHat) => `${share}(${y} − ${yHat})²`,
  bce: (share, y, yHat) => `−${share}[${y} log ${yHat} + (1 − ${y}) log(1 − ${yHat})]`,
  cce: (share, y, yHat) => `−${share}${y} log ${yHat}`,
};

/** Each function returns the parts of the panel for one kind of stage; l is the layer, j the neuron and s the sample. */
const PANELS = {
  z(l, j, s) {
    const layer = step.layers[l - 1], x = outputs(l - 1, s);
    const sum = sumOver(l - 1, (i) => indexed("w", pair(i, j)) + indexed("x", i + 1), (i) => productOf(layer.w[i][j], x[i]),
      (i) => layer.w[i][j] * x[i]);
    return {
      lines: [`${sum.symbols} + ${symbol("b", j + 1)}`, sum.numbers + plus(shown(layer.b[j]))],
      value: layer.z[s][j],
      note: l === 1 ? "" : `The inputs x are the activations a of layer ${l - 1}.`,
    };
  },

  a(l, j, s) {
    const layer = step.layers[l - 1], z = layer.z[s][j], value = layer.a[s][j];
    const curve = { layer, z, a: value, shift: layer.shift?.[s][j] ?? 0 };
    if (layer.activation !== "softmax") return { lines: [`φ(${indexed("z", j + 1)})`, ACTIVATIONS[layer.activation](z)], value, curve };
    const terms = visible(l).map((k) => power(shown(layer.z[s][k])));
    const symbols = fraction(power(indexed("z", j + 1)), `∑<sub><i>k</i></sub> ${power("<i>z</i><sub><i>k</i></sub>")}`);
    return {
      lines: [symbols, fraction(power(shown(z)), added([...terms, ...(step.sizes[l] > MOST_SHOWN ? ["…"] : [])]))], value, curve,
      note: "The curve shows how a changes with z of this neuron if the other neurons keep their z.",
    };
  },

  term(l, i, s) {
    const write = TERMS[step.loss_name], yHat = step.layers[l - 1].a[s][i];
    const symbols = ["y", step.loss_name === "cce" ? "a" : "y_hat"].map((name) => indexed(name, i + 1));
    const [shareInSymbols, share] = ["<i>n</i>", step.n].map((n) => (HAS_SHARE ? `1/${n}${TIMES}` : ""));
    return {
      lines: [write(shareInSymbols, ...symbols), write(share, shown(step.y[s][i]), factor(yHat))],
      value: step.terms[s][i],
      note: HAS_SHARE ? `<i>n</i> = ${step.n} is the number of samples in the batch.` : "",
    };
  },

  "loss of sample"(l, j, s) {
    const sum = sumOfTerms(l, s);
    return { lines: [sum.symbols, sum.numbers], value: step.losses[s] };
  },

  loss(l) {
    const seen = step.losses.slice(0, MOST_SAMPLES), hidden = step.n - seen.length;
    const ofSamples = seen.map((value, s) => ({
      name: lossOfSample(s), numbers: sumOfTerms(l, s).numbers, output: result(value, "L_s", { layer: l, sample: s + 1 }),
    }));
    return {
      ofSamples,
      lines: [
        `∑<sub><i>s</i></sub> ${symbol("L", "<i>s</i>")}`,
        added([...seen.map((_, s) => lossOfSample(s)), ...(hidden ? ["…"] : [])]),
        sumOverSamples((s) => shown(step.losses[s]), (s) => step.losses[s]),
      ],
      value: step.loss,
      note: [
        HAS_SHARE ? "The terms contain the factor 1/<i>n</i> already." : "",
        hidden ? "The stage before this one shows the loss of each other sample, if you choose the sample above." : "",
      ].join(" "),
    };
  },

  dl_da(l, j, s) {
    const layer = step.layers[l - 1], value = layer.dl_da[s][j];
    if (l === LAST) {
      const two = step.loss_name === "mse" && step.n > 1 ? `−2/${step.n}` : "−2";
      return { lines: [`${two} (${shown(step.y[s][j])} − ${factor(layer.a[s][j])})`], value };
    }
    const sum = errorsBehind(l, j, s);
    return { lines: [sum.symbols, sum.numbers], value };
  },

  delta(l, j, s) {
    const layer = step.layers[l - 1], value = layer.delta[s][j], way = step.stages.layers[l - 1].delta;
    if (way === "delta softmax") return { lines: throughSoftmax(layer, l, j, s), value };
    if (way === "delta logit") return { lines: throughLogit(layer, l, j, s), value };
    const z = layer.z[s][j], a = layer.a[s][j];
    if (way === "delta short") {
      const share = step.n > 1 ? `1/${step.n}${TIMES}` : "";
      const symbols = `${share}(${indexed("a", j + 1)} − ${indexed("y", j + 1)})`;
      return { lines: [symbols, `${share}(${shown(a)} − ${factor(step.y[s][j])})`], value };
    }
    const slope = layer.da_dz[s][j], daDz = symbol("da_dz", j + 1, l < LAST ? l : undefined), product = productOf(layer.dl_da[s][j], slope);
    const parts = { value, curve: { layer, z, a, shift: 0, slope } };
    parts.note = `${daDz} = ${SLOPES[layer.activation](z, a, slope)}. This is the slope of the curve at ${indexed("z", j + 1)}.`;
    if (l === LAST) return { ...parts, lines: [`${symbol("dl_da", j + 1)}${TIMES}${daDz}`, product] };
    const sum = errorsBehind(l, j, s);
    return { ...parts, lines: [`(${sum.symbols})${TIMES}${daDz}`, `(${sum.numbers})${TIMES}${factor(slope)}`, product] };
  },

  dw(l, j) {
    const layer = step.layers[l - 1], x = (i, s) => outputs(l - 1, s)[i], delta = (s) => layer.delta[s][j];
    const rows = visible(l - 1).map((i) => ({
      name: symbol("dw", pair(i, j)),
      numbers: sumOverSamples((s) => productOf(delta(s), x(i, s)), (s) => delta(s) * x(i, s)),
      output: result(layer.dw[i][j], "dw", { layer: l, input: i + 1, neuron: j + 1 }),
    }));
    const sigma = step.n > 1 ? "∑<sub><i>s</i></sub> " : "";
    const note = `Each row is the gradient of a weight into this neuron${step.n > 1 ? ": a sum over the samples s" : ""}.`;
    return { lines: [`${sigma}${indexed("delta", j + 1)}${TIMES}${indexed("x", "<i>i</i>")}`], rows, column: l - 1, note };
  },

  db(l, j) {
    const delta = (s) => step.layers[l - 1].delta[s][j];
    const sigma = step.n > 1 ? "∑<sub><i>s</i></sub> " : "";
    return { lines: [`${sigma}${indexed("delta", j + 1)}`, sumOverSamples((s) => shown(delta(s)), delta)], value: step.layers[l - 1].db[j] };
  },

  update(l, j) {
    const layer = step.layers[l - 1], eta = shown(step.learning_rate);
    const row = (name, before, gradient, output) => ({ name, before: shown(before), numbers: `− ${eta}${TIMES}${factor(gradient)}`, output });
    const rows = visible(l - 1).map((i) => row(symbol("w", pair(i, j)), layer.w[i][j], layer.dw[i][j],
      result(layer.w_after[i][j], "w_after", { layer: l, input: i + 1, neuron: j + 1 })));
    const bias = row(symbol("b", j + 1), layer.b[j], layer.db[j], result(layer.b_after[j], "b_after", { layer: l, neuron: j + 1 }));
    return { lines: [], rows: [...rows, bias], column: l - 1, note: "The gradients are computed from the whole batch." };
  },
};

/** Writes the loss of a sample as the sum of its terms. */
function sumOfTerms(l, s) {
  return sumOver(l, (i) => symbol("L", i + 1), (i) => shown(step.terms[s][i]), (i) => step.terms[s][i]);
}

function lossOfSample(s) {
  return symbol("L", `<i>s</i> = ${s + 1}`);
}

/** Writes the sum of w delta over the neurons of the next layer, which is dL/da. */
function errorsBehind(l, i, s) {
  const { w, delta } = step.layers[l];
  return sumOver(l + 1, (j) => indexed("w", pair(i, j), l + 1) + indexed("delta", j + 1, l + 1), (j) => productOf(w[i][j], delta[s][j]),
    (j) => w[i][j] * delta[s][j]);
}

/** Writes delta of a softmax neuron: the sum of dL/da_i da_i/dz_j over the neurons i of its layer. */
function throughSoftmax(layer, l, j, s) {
  const a = layer.a[s], errors = layer.dl_da[s], same = (i) => (i === j ? 1 : 0);
  const slope = (i) => fraction(`∂${indexed("a", i + 1)}`, `∂${indexed("z", j + 1)}`);
  const sum = sumOver(l, (i) => `${symbol("dl_da", i + 1)}${slope(i)}`,
    (i) => `${shown(errors[i])}${TIMES}${factor(a[i])} (${same(i)} − ${factor(a[j])})`, (i) => errors[i] * a[i] * (same(i) - a[j]));
  return [sum.symbols, sum.numbers];
}

/** Writes delta of a softmax neuron with the loss BCE: the sum of dL/du_i du_i/dz_j over the neurons i of its layer. */
function throughLogit(layer, l, j, s) {
  const a = layer.a[s], y = step.y[s], exponent = (i) => layer.z[s][j] - layer.shift[s][i];
  const error = (i) => `(${shown(a[i])} − ${factor(y[i])})${step.n > 1 ? `/${step.n}` : ""}`;
  const symbols = (i) => fraction("∂<i>L</i>", `∂${indexed("u", i + 1)}`) + fraction(`∂${indexed("u", i + 1)}`, `∂${indexed("z", j + 1)}`);
  const sum = sumOver(l, symbols, (i) => `${error(i)}${TIMES}${i === j ? "1" : `(−${power(brief(exponent(i), 7))})`}`,
    (i) => ((a[i] - y[i]) / step.n) * (i === j ? 1 : -Math.exp(exponent(i))));
  return [sum.symbols, sum.numbers];
}

const TITLES = {
  z: "pre-activation", a: "activation", term: "term of the loss", "loss of sample": "loss of the sample", loss: "loss of the batch",
  dl_da: "dL/da", delta: "error term", dw: "weight gradients", db: "bias gradient", update: "new weights and bias",
};

/** Returns the title of a stage as plain text. */
function titleOf({ phase, kind, layer, neuron }) {
  const title = kind === "loss of sample" && step.n === 1 ? "loss" : TITLES[kind];
  const place = neuron === undefined ? "" : kind === "term" ? `, output ${neuron + 1}` : `, neuron ${neuron + 1} of layer ${layer}`;
  return `${PHASES[phase]}: ${title}${place}`;
}

/** Returns the symbol that a stage computes. */
function headOf({ kind, layer, neuron }, sample) {
  if (kind === "term") return symbol("L", neuron + 1);
  if (kind === "loss" || (kind === "loss of sample" && step.n === 1)) return symbol("L");
  if (kind === "loss of sample") return lossOfSample(sample);
  if (kind === "dw") return symbol("dw", `<i>i</i>${neuron + 1}`, layer);
  if (kind === "update") return "";
  return symbol(kind, neuron + 1, layer);
}

const SYMBOL_OF = { "loss of sample": "L_s", loss: "L", term: "L_i" };

/** Fills the panel of the current symbol. */
function showSymbol(stage, sample) {
  const { kind, layer, neuron } = stage;
  const parts = PANELS[kind](layer, neuron, sample), head = headOf(stage, sample);
  const facts = { layer, ...(neuron === undefined ? {} : { neuron: neuron + 1 }), sample: sample + 1 };
  const lines = parts.lines.map((line) => `<div class="step"><span class="equals">=</span><span>${line}</span></div>`);
  const last = parts.value === undefined ? "" : `<div class="step"><span class="equals">=</span>${result(parts.value, SYMBOL_OF[kind] ?? kind, facts)}</div>`;
  const formulas = step.listings[stage.listing].formulas.map(formula);
  document.getElementById("spoken").textContent = `${titleOf(stage)}${parts.value === undefined ? "" : `: ${shown(parts.value)}`}`;
  document.getElementById("symbol").innerHTML = `
    <h2>${escaped(titleOf(stage))}</h2>
    <div class="sheet"><h3>The sheet</h3>${formulas.join("")}</div>
    ${parts.ofSamples ? tableOf({ rows: parts.ofSamples }) : ""}
    ${head ? `<div class="written"><div>${head}</div><div>${lines.join("")}${last}</div></div>` : ""}
    ${parts.rows ? tableOf(parts) : ""}
    ${parts.note ? `<p class="note">${parts.note}</p>` : ""}
    ${parts.curve ? curveOf(parts.curve, neuron) : ""}`;
}

/** Writes a row of the sheet. Some rows contain only the form in which the loop computes the formula. */
function formula({ title, html, computed_as: computedAs }) {
  const name = title ? `<span class="title">${escaped(title)}</span>` : "";
  const computed = computedAs ? `<span class="computed">computed as ${computedAs}</span>` : "";
  return html ? `<p class="formula">${name}${html}</p>${computed && `<p class="formula">${computed}</p>`}` : `<p class="formula">${name}${computed}</p>`;
}

function tableOf({ rows, column }) {
  const before = rows[0].before === undefined ? "" : "<th scope='col'>before</th>";
  const body = rows.map((row) => `<tr><th scope="row">${row.name}</th>${before ? `<td>${row.before}</td>` : ""}<td>${row.numbers}</td><td>${row.output}</td></tr>`);
  const hidden = column === undefined ? 0 : step.sizes[column] - visible(column).length;
  const more = hidden ? `<p class="note">${hidden} more weights: move the window of ${column ? `layer ${column}` : "the inputs"} in the drawing.</p>` : "";
  return `<div class="wide"><table><thead><tr><th scope="col">symbol</th>${before}<th scope="col">${before ? "change" : "numbers"}</th><th scope="col">${before ? "after" : "result"}</th></tr></thead><tbody>${body.join("")}</tbody></table></div>${more}`;
}

// The curve of an activation, with the neuron's point and, in the backward phase, the tangent whose slope is da/dz.

const BOX = { width: 430, height: 210, left: 56, right: 16, top: 16, bottom: 34 };

function curveOf({ layer, z, a, shift, slope }, neuron) {
  const [zs, as] = layer.curve, low = Math.min(0, ...as), high = Math.max(0, ...as), gap = 0.06 * (high - low || 1);
  const [from, to] = [zs[0] + shift, zs[zs.length - 1] + shift];
  const x = (value) => BOX.left + ((value - from) / (to - from)) * (BOX.width - BOX.left - BOX.right);
  const y = (value) => BOX.height - BOX.bottom - ((value - low + gap) / (high - low + 2 * gap)) * (BOX.height - BOX.top - BOX.bottom);
  const points = zs.map((value, k) => `${x(value + shift).toFixed(1)},${y(as[k]).toFixed(1)}`).join(" ");
  const mark = slope === undefined ? `a${below(neuron + 1)} = ${brief(a)}` : `slope ${brief(slope)}`;
  const bottom = y(low - gap), left = x(from), isLow = y(a) > bottom - 30 && x(z) > BOX.width / 3;
  const ticks = [from, (from + to) / 2, to].map((value) => `<text x="${x(value)}" y="${bottom + 16}" text-anchor="middle">${brief(value, 3)}</text>`);
  const heights = [low, high].map((value) => `<text x="${left - 8}" y="${y(value) + 4}" text-anchor="end">${brief(value, 3)}</text>`);
  const words = `${layer.activation.replace("_", " ")}: the point z ${brief(z)}, a ${brief(a)}${slope === undefined ? "" : `, and the tangent of slope ${brief(slope)}`}`;
  return `<svg class="curve" viewBox="0 0 ${BOX.width} ${BOX.height}" role="img" aria-label="${escaped(words)}">
    <path class="axis" d="M${left} ${BOX.top}V${bottom}H${BOX.width - BOX.right}"/>
    <line class="axis" x1="${left}" x2="${BOX.width - BOX.right}" y1="${y(0)}" y2="${y(0)}"/>${ticks.join("")}${heights.join("")}
    <polyline points="${points}"/>
    <path class="drop" d="M${x(z)} ${bottom}V${y(a)}H${left}"/>
    ${slope === undefined ? "" : tangent(x, y, z, a, slope)}
    <circle cx="${x(z)}" cy="${y(a)}" r="5"/>
    <text class="mark" x="${x(z) + (isLow ? -10 : 10)}" y="${y(a) + (isLow ? -10 : 22)}" text-anchor="${isLow ? "end" : "start"}">${mark}</text>
    <text x="${BOX.width - BOX.right}" y="${bottom + 30}" text-anchor="end">z${below(neuron + 1)} = ${brief(z)}</text>
    <text x="${left}" y="${bottom + 30}">a = φ(z), ${layer.activation.replace("_", " ")}</text></svg>`;
}

/** Draws a tangent that is 120 units long. */
function tangent(x, y, z, a, slope) {
  const [dx, dy] = [x(z + 1) - x(z), y(a + slope) - y(a)];
  const scale = 60 / Math.hypot(dx, dy);
  return `<line class="tangent" x1="${x(z) - scale * dx}" y1="${y(a) - scale * dy}" x2="${x(z) + scale * dx}" y2="${y(a) + scale * dy}"/>`;
}

// The code

function showCode(stage, sample) {
  const { sources } = step.listings[stage.listing];
  const { kind, layer, neuron } = stage;
  const where = kind === "update" ? "The loop runs over the vector of all weights and biases."
    : kind === "loss" ? "The loop computes the loss of every sample; their sum is the loss of the batch."
    : `Indices in code begin with 0: here${["dw", "db"].includes(kind) ? "" : ` s = ${sample}`}${neuron === undefined ? "" : `${["dw", "db"].includes(kind) ? "" : ","} ${passesBack(kind, layer) || kind === "term" || (kind === "dl_da") ? "i" : "j"} = ${neuron}`}.`;
  const figures = sources.map(({ name, lines, marked, quiet }) => {
    const body = lines
      ? lines.map((line, k) => codeLine(line, marked.includes(k), k === quiet)).join("")
      : "The source code is not installed.";
    return `<figure><figcaption>numbanet.${name}</figcaption><pre tabindex="0"><code>${body}</code></pre></figure>`;
  });
  document.getElementById("code").innerHTML = `<h3>The code <span class="where">${where}</span></h3><div class="sources">${figures.join("")}</div>`;
}

/** Writes a line of code. If the line is too long, it continues with a larger indentation. */
function codeLine(line, isMarked, isDocstring) {
  const classes = `line${isMarked ? " marked" : ""}${isDocstring ? " docstring" : ""}`;
  const indent = line.search(/\S|$/) + 8;
  return `<span class="${classes}" style="--indent: ${indent}ch"><span class="gutter">${isMarked ? "▶" : " "}</span>${escaped(line)}</span>`;
}
