"""The command line beside Snakemake: one command a module, for what is no workflow."""
