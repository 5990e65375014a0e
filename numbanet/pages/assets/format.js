"use strict";

// Numbers, and symbols in the notation of the sheet, as HTML. Indices of neurons and layers begin with 1, as on the sheet.

const step = JSON.parse(document.getElementById("content").textContent);

const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** Returns a number as text, with all its digits, a real minus sign, and a power of ten instead of the letter e. */
function shown(value) {
  const [mantissa, exponent] = String(value).replace("-", "−").split("e");
  if (exponent === undefined) return mantissa;
  const power = String(Math.abs(Number(exponent.replace("−", "-")))).replace(/\d/g, (digit) => SUPERSCRIPTS[digit]);
  return `${mantissa} × 10${/^[-−]/.test(exponent) ? "⁻" : ""}${power}`;
}

/** Returns a number with a few significant digits, for the drawing. */
function brief(value, digits = 4) {
  return shown(Number(value.toPrecision(digits)));
}

/** Returns a number as text to follow an operator; negative numbers and powers of ten are in parentheses. */
function factor(value) {
  const text = shown(value);
  return value < 0 || text.includes("×") ? `(${text})` : text;
}

/** Returns a plus sign and a term. If the term begins with a minus sign, returns this minus sign and the rest of the term. */
function plus(term) {
  return term.startsWith("−") ? ` − ${unbroken(term.slice(1))}` : ` + ${unbroken(term)}`;
}

function added([term, ...others]) {
  return unbroken(term) + others.map(plus).join("");
}

/** Returns HTML that the browser does not break into lines. */
function unbroken(html) {
  return `<span class="nowrap">${html}</span>`;
}

const BASES = { delta: "δ", y_hat: "ŷ" };
// For each derivative of the loss, by its name in a trace: the symbol below the fraction bar.
const DERIVATIVES = { dw: "w", db: "b", dl_da: "a" };

/** Returns a symbol with an index, and with its layer in parentheses as a superscript. */
function indexed(name, index, layer) {
  const below = index === undefined ? "" : `<sub>${index}</sub>`;
  const above = layer === undefined ? "" : `<sup>(${layer})</sup>`;
  const indices = below && above ? `<span class="stack">${above}${below}</span>` : below + above;
  return unbroken(`<i>${BASES[name] ?? name}</i>${indices}`);
}

function fraction(over, under) {
  return `<span class="fraction"><span>${over}</span><span class="bar">/</span><span>${under}</span></span>`;
}

/** Returns a symbol of the trace, such as "z" or "dw". */
function symbol(name, index, layer) {
  if (name === "da_dz") return fraction(`d${indexed("a", index, layer)}`, `d${indexed("z", index, layer)}`);
  return name in DERIVATIVES ? fraction("∂<i>L</i>", `∂${indexed(DERIVATIVES[name], index, layer)}`) : indexed(name, index, layer);
}

/** Returns e to the power of a number or of a symbol. */
function power(exponent) {
  return unbroken(`<i>e</i><sup>${exponent}</sup>`);
}

/** Returns the index of the weight from neuron i to neuron j; a comma separates indices of more than one digit. */
function pair(i, j) {
  return i < 9 && j < 9 ? `${i + 1}${j + 1}` : `${i + 1},${j + 1}`;
}

const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

function escaped(text) {
  return text.replace(/[&<>"]/g, (character) => ESCAPES[character]);
}
