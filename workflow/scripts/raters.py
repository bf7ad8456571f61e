"""Rates of identification from the answer files of human raters."""

from pathlib import Path

from refacebench import captions, kit, raters
from refacebench.run import log
from refacebench.statistics import columns, latex
from refacebench.statistics.settings import Settings


def main(snakemake):
    """Read all answer files of the config's folder and write the tables."""
    log.start(snakemake.log[0])
    p = snakemake.params
    given = kit.options(snakemake.config)["answers"]
    folder = Path(given) / snakemake.wildcards.dataset
    if not given or not folder.is_dir():
        raise FileNotFoundError(
            "raters: put the answer files into a folder for each dataset and name the folder "
            f"above them in the config (privacy.kit.answers); looked for {folder}"
        )
    paths = [path for path in sorted(folder.iterdir()) if path.is_file()]
    if not paths:
        raise FileNotFoundError(f"raters: no answer file in {folder}")
    settings = Settings.from_config(snakemake.config)
    out = Path(snakemake.output[0]).parent
    print(raters.write(paths, snakemake.input.key, out, settings), flush=True)
    table = columns.read(out / "raters.tsv")
    caption = captions.raters({"raters": table}, settings)
    latex.write_latex(table, f"{p.note} {caption}".strip(), out / "raters.tex", label="raters")


if __name__ == "__main__":
    main(snakemake)
