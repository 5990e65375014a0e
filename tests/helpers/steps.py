"""Creates traces (all values of a training step) of small networks, and reads the web pages that show such traces."""

import json
from html.parser import HTMLParser

import numpy as np

from numbanet import Network
from tests.helpers.networks import PAIRS

RATE = 0.25
# A network for each combination of an output activation and a loss; the hidden layers have all activations.
HIDDEN = ["identity", "sigmoid", "tanh", "relu", "leaky_relu", "softmax"]
NETWORKS = {f"{loss}-{output}": (HIDDEN[number % len(HIDDEN)], output, loss) for number, (output, loss) in enumerate(PAIRS)}


def mazur():
    """Returns the trace of the network and sample in Matt Mazur's "A Step by Step Backpropagation Example" (2015).

    In Mazur's example, the loss is 1/2 SSE, and the learning rate is 0.5. The traced network uses SSE, so its loss, error terms
    and gradients are twice those in the example. If its learning rate is 0.25, its updates equal those in the example.
    """
    net = Network([2, 2, 2], ["sigmoid", "sigmoid"], "sse", dtype="float64", kernels="reference")
    net.set_parameters([([[0.15, 0.25], [0.2, 0.3]], [0.35, 0.35]), ([[0.4, 0.5], [0.45, 0.55]], [0.6, 0.6])])
    return net.trace([[0.05, 0.1]], [[0.01, 0.99]])


def traced(name, n=2, dtype="float64"):
    """Returns the trace (all values) of a training step on n random samples, by NETWORKS[name] with random parameters."""
    hidden, output, loss = NETWORKS[name]
    net = Network([3, 4, 3], [hidden, output], loss, dtype=dtype, seed=1, kernels="reference")
    random = np.random.default_rng(2)
    net.set_parameters([(random.normal(0, 1, w.shape), random.normal(0, 1, b.shape)) for w, b in net.parameters()])
    y = random.dirichlet(np.ones(3), n) if loss in ("bce", "cce") else random.normal(0, 1, (n, 3))
    return net.trace(random.normal(0, 1, (n, 3)), y)


class Content(HTMLParser):
    """Collects the text of each script in an HTML page by the script's id, and all attributes that contain an address."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.addresses, self.inside = {}, [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.inside = found.get("id", "") if tag == "script" else None
        self.addresses += [found[name] for name in ("src", "href", "action") if name in found]

    def handle_data(self, data):
        if self.inside is not None:
            self.scripts[self.inside] = self.scripts.get(self.inside, "") + data

    def handle_endtag(self, tag):
        self.inside = None


def content_of(path):
    """Returns the values that the page in the file `path` contains as JSON."""
    return json.loads(Content(path.read_text("utf-8")).scripts["content"])
