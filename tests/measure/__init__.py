"""Figures of the built binary: memory, start-up, durability. Not part of `make test`."""
