"""A published study beside one dataset: its tables, its own figures, and figures for a paper."""

from pathlib import Path

from refacebench.plot import style
from refacebench.report import figures, studies, tables
from refacebench.results import catalogue, studied
from refacebench.results.result import STUDY
from refacebench.run import log, prefixed


def main(snakemake):
    """Write tables and figures."""
    log.start(snakemake.log[0])
    p, out = snakemake.params, snakemake.output
    given = studied.read(snakemake.input, p)
    made = catalogue.compute(STUDY, given)
    seen = studies.view(given, made, p)
    tables.write(made, out.tables, seen, p.note)
    own = [Path(path).stem for path in out.get("figures", [])]
    figures.write(studies.drawn(seen, own), out.get("figures", []), p.note)
    stems = {Path(path).stem: Path(path).with_suffix("") for path in out.get("paper", [])}
    first = p.segmenters[0] if p.segmenters else None
    for name, drawn in studies.drawn(seen, list(stems), first).items():
        style.save_for_paper(drawn, stems[name], p.study["width_mm"], p.note)


if __name__ == "__main__":
    main(prefixed.job(snakemake))
