"""All that a reader of the model may skip: judging it, showing it, timing it, comparing it, teaching it."""
