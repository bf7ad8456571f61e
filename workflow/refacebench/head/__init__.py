"""Heads: brain, template, face, pose, surface, and what they look like."""
