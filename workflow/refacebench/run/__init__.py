"""The run: config, plan, batches, failures, logs.  Knows no method by name."""
