"""What trained refacing models share: pairs, slices, networks, the loop."""
