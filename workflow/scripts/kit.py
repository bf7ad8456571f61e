"""The page with questions for human raters, and its key; only for public faces."""

import pandas as pd

from refacebench import files, kit, manifest, vocabulary
from refacebench.figures.slices import PUBLIC
from refacebench.head import rendering
from refacebench.run import log
from refacebench.run import paths as paths_


def shown(paths, controls) -> pd.DataFrame:
    """Return what can be shown: one row a rendered scan and variant.

    The pictures of controls are made from the originals'.
    """
    tables = [
        manifest.read(path).assign(variant=paths_.manifest_place(path).variant) for path in paths
    ]
    table = pd.concat(tables, ignore_index=True)
    table = table[table["status"] == vocabulary.OK]
    measured = table[(table["variant"] == "original") & (table["role"] == "measured")]
    return pd.concat([table, *(measured.assign(variant=c) for c in controls)], ignore_index=True)


def picture(row, options, blur_mm):
    """Return the picture of a row: one view under one light."""
    found = rendering.read(row["views_path"])
    if row["variant"] in vocabulary.PICTURE_CONTROLS:
        found = rendering.control(found, row["variant"], blur_mm)
    views, lights = found.views.shape[:2]
    if options["view"] >= views or options["light"] >= lights:
        raise ValueError(
            f"privacy.kit: view {options['view']}, light {options['light']}: only {views} views "
            f"and {lights} lights were rendered"
        )
    return found.views[options["view"], options["light"]]


def main(snakemake):
    """Write the page and the key."""
    log.start(snakemake.log[0])
    p = snakemake.params
    dataset = snakemake.wildcards.dataset
    if p.faces != PUBLIC:
        raise ValueError(f"kit: the faces of dataset {dataset} are not public")
    options = kit.options(snakemake.config)
    rendered = {paths_.manifest_place(path).variant: None for path in snakemake.input}
    asked = list(options["variants"]) or list(rendered)
    table = shown(snakemake.input, [v for v in asked if v in vocabulary.PICTURE_CONTROLS])
    # Originals of every session are asked with; only the measured ones are chosen from.
    choice = table[(table["variant"] != "original") | (table["role"] == "measured")]
    questions = kit.questions(
        choice,
        asked,
        originals=table[table["variant"] == "original"],
        count=options["questions"],
        choices=options["options"],
        block=options["block"],
        seed=snakemake.config["seed"],
    )
    used = kit.used(questions)
    rows = {(row["variant"], row["scan"]): row for row in table.to_dict("records")}
    blur_mm = rendering.check_options(snakemake.config.get("rendering"))["blur_mm"]
    page = kit.page(
        questions,
        {place: picture(rows[place], options, blur_mm) for place in used},
        dataset=dataset,
        faces=p.faces,
        seed=snakemake.config["seed"],
        note=p.note,
    )
    manifest.write(questions, snakemake.output.key)
    files.write_text(page, snakemake.output.page)


if __name__ == "__main__":
    main(snakemake)
