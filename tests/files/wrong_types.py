# pyright: reportUnnecessaryTypeIgnoreComment=error
"""Calls with wrong types, which test the annotations: if pyright finds no error in a marked line, it reports the mark."""

import numpy as np

import numbanet
from numbanet import Network

x, y = np.zeros((4, 2)), np.zeros(4, int)
net = Network([2, 2], "identity", "cce")

net.fit(x, y, epochs="3")  # pyright: ignore[reportArgumentType]
net.fit(x, y, epoch=3)  # pyright: ignore[reportCallIssue]
net.fit(x, y, epochs=3, batch_size="32")  # pyright: ignore[reportArgumentType]
net.fit(x, y, epochs=3, optimizer=numbanet.Adam)  # pyright: ignore[reportArgumentType]
net.fit(x, y, epochs=3, checkpoint=3)  # pyright: ignore[reportArgumentType]
Network(3, "identity", "cce")  # pyright: ignore[reportArgumentType]
Network([2, 2], "identity", 3)  # pyright: ignore[reportArgumentType]
Network([2, 2], "identity", "cce", "float64")  # pyright: ignore[reportCallIssue]
numbanet.Adam(beta_1="0.9")  # pyright: ignore[reportArgumentType]
net.predict()  # pyright: ignore[reportCallIssue]
print(net.predict(x).losses)  # pyright: ignore[reportAttributeAccessIssue]
net.evaluate(x, y)["loss"].upper()  # pyright: ignore[reportAttributeAccessIssue]
net.save(3)  # pyright: ignore[reportArgumentType]
net.to(0)  # pyright: ignore[reportArgumentType]
