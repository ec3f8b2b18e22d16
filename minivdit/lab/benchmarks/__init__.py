"""What the package costs in time and memory, measured beside the same model in plain PyTorch."""
