"""One production stack, removed before another comes up: two of them are too much for two processors."""
