"""The report: one self-contained HTML page from the tables and figures, and the tables as LaTeX.

What stands in it is declared by the results; every number comes from their tables.
"""
