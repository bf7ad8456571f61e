# The key of the pseudonyms that shared files name people by; only with `pseudonyms: true`.
#
# Inputs:
#   none
# Outputs:
#   results/pseudonyms/made.txt                  what the key is known by
#   results/pseudonyms/key                       made once; no rule's output, so never deleted


rule pseudonyms:
    """Make the key, once."""
    output:
        "results/pseudonyms/made.txt",
    log:
        "results/logs/pseudonyms.log",
    conda:
        "../../envs/statistics.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=10,
    script:
        "../scripts/pseudonyms.py"
