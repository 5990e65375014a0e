// The stages of the step, in the order in which they are computed: one stage per symbol of each neuron.

const PHASES = ["Forward", "Loss", "Backward", "Update"];
const LAST = step.layers.length;
const MOST_SHOWN = 6; // the largest number of visible neurons of a layer, and of terms of a sum over neurons
const MOST_SAMPLES = 3; // the largest number of terms of a sum over samples

/** A stage has a phase, the kind of its symbol, a layer (from 1, or 0 for a stage without a layer) and a neuron (from 0). */
const stages = [];
// For each layer and neuron: the number of the stage that computes z, of the stage that computes a, and so on.
const computedAt = { z: [], a: [], delta: [] };

function addStage(phase, kind, layer, neuron, listing) {
  if (kind in computedAt) (computedAt[kind][layer] ??= [])[neuron] = stages.length;
  stages.push({ phase, kind, layer, neuron, listing });
}

function addStages(phase, kind, layer, listing) {
  for (let j = 0; j < step.sizes[layer]; j++) addStage(phase, kind, layer, j, listing);
}

for (let l = 1; l <= LAST; l++) {
  const names = step.stages.layers[l - 1];
  if (names.a.endsWith("softmax")) {
    addStages(0, "z", l, step.stages.z);
    addStages(0, "a", l, names.a);
  } else {
    for (let j = 0; j < step.sizes[l]; j++) {
      addStage(0, "z", l, j, step.stages.z);
      addStage(0, "a", l, j, names.a);
    }
  }
}
addStages(1, "term", LAST, step.stages.term);
addStage(1, "loss of sample", LAST, undefined, step.stages.loss);
if (step.n > 1) addStage(1, "loss", LAST, undefined, step.stages.loss);
for (let l = LAST; l >= 1; l--) {
  const names = step.stages.layers[l - 1];
  if (names.dl_da) addStages(2, "dl_da", l, names.dl_da);
  addStages(2, "delta", l, names.delta);
  addStages(2, "dw", l, step.stages.dw);
  addStages(2, "db", l, step.stages.db);
}
for (let l = 1; l <= LAST; l++) addStages(3, "update", l, step.stages.update);

// The window of each column of the drawing: the number of its first visible neuron. Column 0 contains the inputs.
const first = step.sizes.map(() => 0);

function visible(column) {
  const count = Math.min(MOST_SHOWN, step.sizes[column]);
  return Array.from({ length: count }, (_, k) => first[column] + k);
}

/** Moves the window of a column only as far as necessary to show a neuron. Returns true if the window moved. */
function reveal(column, neuron) {
  const before = first[column];
  if (neuron < before) first[column] = neuron;
  if (neuron >= before + MOST_SHOWN) first[column] = neuron - MOST_SHOWN + 1;
  return first[column] !== before;
}

/** Moves the window of a column so that it begins with neuron `to`, or as near to it as the layer allows. */
function moveWindow(column, to) {
  first[column] = Math.max(0, Math.min(step.sizes[column] - MOST_SHOWN, to));
}

/** Returns the values that a column passes to the next layer: x for column 0, and a for all other columns. */
function outputs(column, sample) {
  return column === 0 ? step.x[sample] : step.layers[column - 1].a[sample];
}
