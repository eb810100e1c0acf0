"""MITK's task list: image, segmentation to begin with, and where the result goes, for each case.

Format: MITK's documentation, "MITK Segmentation Task Lists", version 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class MitkTask:
    """One entry; paths are relative to the list's file.

    Attributes
    ----------
    description
        What is asked, in words.
    segmentation
        What is there to begin with.
    result
        Written by MITK.
    """

    name: str
    description: str
    image: str
    segmentation: str
    result: str


def task_list(title: str, tasks: Sequence[MitkTask]) -> dict[str, Any]:
    """Return the content of ``mitk-tasks.json``."""
    return {
        "FileFormat": "MITK Segmentation Task List",
        "Version": 1,
        "Name": title,
        "Tasks": [
            {
                "Name": task.name,
                "Description": task.description,
                "Image": task.image,
                "Segmentation": task.segmentation,
                "Result": task.result,
            }
            for task in tasks
        ],
    }
