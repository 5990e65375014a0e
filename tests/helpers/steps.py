"""Traces of small networks, for the tests of the page of a training step, and functions that read such a page."""

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
    """Returns the network and the sample of Matt Mazur's A Step by Step Backpropagation Example (2015).

    Mazur's loss is 1/2 SSE, and his learning rate is 0.5. With SSE and half of Mazur's learning rate, the update is the same,
    but the loss, the error terms and the gradients are twice as large.
    """
    net = Network([2, 2, 2], ["sigmoid", "sigmoid"], "sse", dtype="float64", kernels="reference")
    net.set_parameters([([[0.15, 0.25], [0.2, 0.3]], [0.35, 0.35]), ([[0.4, 0.5], [0.45, 0.55]], [0.6, 0.6])])
    return net.trace([[0.05, 0.1]], [[0.01, 0.99]])


def traced(name, n=2, dtype="float64"):
    """Returns the trace of the network `name` of NETWORKS, with random parameters, for n random samples."""
    hidden, output, loss = NETWORKS[name]
    net = Network([3, 4, 3], [hidden, output], loss, dtype=dtype, seed=1, kernels="reference")
    random = np.random.default_rng(2)
    net.set_parameters([(random.normal(0, 1, w.shape), random.normal(0, 1, b.shape)) for w, b in net.parameters()])
    y = random.dirichlet(np.ones(3), n) if loss in ("bce", "cce") else random.normal(0, 1, (n, 3))
    return net.trace(random.normal(0, 1, (n, 3)), y)


class Content(HTMLParser):
    """Reads an HTML page: the text of each script by its id, and all attributes that contain an address."""

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
    """Returns the data of the page in the file `path`."""
    return json.loads(Content(path.read_text("utf-8")).scripts["content"])
