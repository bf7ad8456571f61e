"""Delete files of one variant that everything has looked at."""

from refacebench import files
from refacebench.run import dropped, keeping, log, prefixed, records


def main(snakemake):
    """Delete them, leave a note on each, and say how many went."""
    log.start(snakemake.log[0])
    p = snakemake.params
    spared = {*keeping.examples(p.lists), *keeping.unfinished(snakemake.input)}
    gone = 0
    for made, columns in p.files.items():
        gone += dropped.drop(made, columns, spared)
        if "changed_path" in columns or "+" in made and "path" in columns:
            dropped.drop_sidecars(made)
    for made in (*p.files, *snakemake.input):
        if made.endswith(".tsv"):
            records.pack(made)
    files.write_text(f"{gone} files deleted\n", snakemake.output[0])


if __name__ == "__main__":
    main(prefixed.job(snakemake))
