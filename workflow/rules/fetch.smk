# Bring public data sets from the network; only for datasets with the option `download`.
#
# Inputs:
#   none but the config
# Outputs:
#   results/fetch/{dataset}.txt        says that all is there; the files lie in the user's folder


import time


rule fetch:
    """Download and unpack what a data set consists of; goes on where it was interrupted."""
    output:
        "results/fetch/{dataset}.txt",
    log:
        "results/logs/fetch/{dataset}.log",
    wildcard_constraints:
        dataset=graph.alternatives(RUN.to_fetch),
    conda:
        "../../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=1440,
    params:
        dataset="{dataset}",
        entry=lambda w: RUN.entry("datasets", w.dataset),
        missing=lambda w: RUN.to_fetch[w.dataset],
        # Whoever deleted the files wants them again, whatever was said before.
        asked=time.time(),
    script:
        "../scripts/fetch.py"
