"""External programs: described in YAML, found, run in folders of their own."""
