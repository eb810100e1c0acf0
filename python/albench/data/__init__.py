"""Data sets: where they are, whether they are sound, and how nnU-Net gets them."""

from albench.data.case_check import Problem
from albench.data.dataset import Case, Dataset
from albench.data.images import Geometry, case_geometry
from albench.data.load import load_dataset
from albench.data.opening import CaseFacts
from albench.data.raw import write_nnunet_raw
from albench.data.registry import REGISTRY, DatasetEntry, get_entry, list_entries
from albench.data.verify import Verdict, examine, find_problems, verify_cases

__all__ = [
    "REGISTRY",
    "Case",
    "CaseFacts",
    "Dataset",
    "DatasetEntry",
    "Geometry",
    "Problem",
    "Verdict",
    "case_geometry",
    "examine",
    "find_problems",
    "get_entry",
    "list_entries",
    "load_dataset",
    "verify_cases",
    "write_nnunet_raw",
]
