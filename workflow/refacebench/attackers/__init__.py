"""Attackers: they try to name the person behind a scan; one file each.

The contract: :class:`refacebench.contracts.Attacker`.  An attack ends in
``results/attack/{dataset}/{attacker}/{variant}.npz``; see
:func:`refacebench.stages.attack.save_attack` for what is in it.
"""
