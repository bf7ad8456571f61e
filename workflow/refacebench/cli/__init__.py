"""The command line beside Snakemake: one command a module, for before and after a run."""
