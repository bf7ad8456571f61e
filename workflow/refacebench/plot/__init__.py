"""The drawing kit that results share: look of the variants, rows of dots, slices, volumes, planes.

Every figure is a function ``draw(...) -> matplotlib.figure.Figure`` of tables (or arrays);
:func:`refacebench.plot.style.save` writes it.
"""
