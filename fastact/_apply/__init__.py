"""The command ``python -m fastact apply``: an operator over a .npy file of any size, block by block."""
