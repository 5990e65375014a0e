"""The fast rung on the CPU: whole epochs in one compiled call."""
