"""al-bench: active learning with nnU-Net, as a benchmark and as a tool."""

from importlib.metadata import version

__version__ = version("al-bench")
