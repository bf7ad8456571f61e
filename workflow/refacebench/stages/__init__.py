"""The stages: what happens to one scan on its way, one file a stage."""
