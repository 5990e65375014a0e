"""Writes networks in the file formats of other libraries to this folder, with their predictions: python tests/files/make.py

The script needs torch, keras (with the backend torch) and safetensors; the tests that read the files need only safetensors and
h5py.
"""

import json
import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

HERE = Path(__file__).parent


def main():
    x = np.random.default_rng(0).standard_normal((6, 4)).astype("f4")
    predictions = {"x": x.tolist()} | torch_files(x) | keras_files(x)
    (HERE / "predictions.json").write_text(json.dumps(predictions, indent=1) + "\n")


def torch_files(x):
    torch.manual_seed(0)
    # The names of modules 10 and 11 come after module 2 in numeric order, but not in alphabetic order.
    hidden = [module for _ in range(5) for module in (nn.Linear(5, 5), nn.Tanh())]
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), *hidden, nn.Linear(5, 3), nn.Softmax(dim=1))
    save_file(model.state_dict(), HERE / "torch.safetensors")
    torch.save(model.state_dict(), HERE / "torch.pt")
    with torch.no_grad():
        return {"torch": model(torch.from_numpy(x)).tolist()}


def keras_files(x):
    keras.utils.set_random_seed(0)
    sequential = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(6, bias_initializer="normal"),
            keras.layers.LeakyReLU(negative_slope=0.03),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(5, activation="tanh", use_bias=False),
            keras.layers.Dense(3, activation="softmax", bias_initializer="normal"),
        ]
    )
    sequential.compile("adam", "sparse_categorical_crossentropy")
    sequential.fit(x, np.arange(6) % 3, verbose=0)
    sequential.save(HERE / "sequential.keras")
    sequential.save_weights(HERE / "sequential.weights.h5")

    inputs = keras.Input((4,))
    last = keras.layers.Dense(1, activation="sigmoid", name="answer")
    first = keras.layers.Dense(6, activation=keras.layers.LeakyReLU(negative_slope=0.1))
    functional = keras.Model(inputs, last(keras.layers.ReLU()(keras.layers.Dense(6)(first(inputs)))))
    functional.save(HERE / "functional.keras")
    return {
        name: model.predict(x, verbose=0).tolist() for name, model in (("sequential", sequential), ("functional", functional))
    }


if __name__ == "__main__":
    main()
