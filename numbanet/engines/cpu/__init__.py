"""The fast rung on the CPU: whole epochs in one compiled call, their products in tiles that stay in registers."""
