"""Training: one loop for every network, in steps that can be repeated bit for bit."""
