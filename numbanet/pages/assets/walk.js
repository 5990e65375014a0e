// The walk: which stage and which sample the page shows, and the controls that change them.

const state = { number: 0, sample: 0 };
const slider = document.getElementById("slider");

function redraw() {
  draw();
  render();
}

function render() {
  const stage = stages[state.number], title = titleOf(stage);
  paint(state.number, state.sample);
  showSymbol(stage, state.sample);
  showCode(stage, state.sample);
  slider.value = state.number;
  slider.setAttribute("aria-valuetext", `stage ${state.number + 1} of ${stages.length}, ${title}`);
  document.getElementById("count").textContent = `stage ${state.number + 1} of ${stages.length}`;
  document.getElementById("previous").disabled = state.number === 0;
  document.getElementById("next").disabled = state.number === stages.length - 1;
  for (const [k, button] of [...document.getElementById("phases").children].entries()) {
    if (k === stage.phase) button.setAttribute("aria-current", "step");
    else button.removeAttribute("aria-current");
  }
}

/** Shows a stage, and moves the windows of wide layers so that the neuron of the stage is visible. */
function go(number) {
  state.number = Math.max(0, Math.min(stages.length - 1, number));
  const { layer, neuron } = stages[state.number];
  if (neuron !== undefined && reveal(layer, neuron)) redraw();
  else render();
}

const MOVES = { ArrowLeft: () => state.number - 1, ArrowRight: () => state.number + 1, Home: () => 0, End: () => stages.length - 1 };

document.addEventListener("keydown", (event) => {
  const isControl = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
  if (isControl || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || !(event.key in MOVES)) return;
  event.preventDefault();
  go(MOVES[event.key]());
});
document.getElementById("previous").addEventListener("click", () => go(state.number - 1));
document.getElementById("next").addEventListener("click", () => go(state.number + 1));
slider.max = stages.length - 1;
slider.addEventListener("input", () => go(Number(slider.value)));

document.getElementById("phases").append(
  ...PHASES.map((name, phase) => {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", textContent: name });
    button.addEventListener("click", () => go(stages.findIndex((stage) => stage.phase === phase)));
    return button;
  }),
);

const select = document.getElementById("sample");
select.append(...step.x.map((_, s) => new Option(`${s + 1} of ${step.n}`, s)));
select.addEventListener("change", () => {
  state.sample = Number(select.value);
  render();
});
document.getElementById("samples").hidden = step.n === 1;

narrow.addEventListener("change", redraw);

const LOSSES = { sse: "SSE", mse: "MSE", bce: "BCE", cce: "CCE" };
document.getElementById("network").textContent =
  `A network of ${step.sizes.join("-")} neurons · ${step.layers.map((layer) => layer.activation.replace("_", " ")).join(", ")} · ` +
  `loss ${LOSSES[step.loss_name]} · learning rate η = ${shown(step.learning_rate)} · ${step.n} sample${step.n === 1 ? "" : "s"} · ${step.dtype}`;
redraw();
