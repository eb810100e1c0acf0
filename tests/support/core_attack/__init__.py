"""Attacks on the selection core: `python -m tests.support.core_attack [GROUP...]` prints what came of each group.

They are run by tests/unit/core/test_attack.py, and by `.ci/attack` on a build with sanitizers.
"""
