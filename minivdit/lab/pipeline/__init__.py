"""A preset trained from start to end, what that will cost, and what the weights that come of it are."""
