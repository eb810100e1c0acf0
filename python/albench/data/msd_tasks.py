"""The ten tasks of the Medical Segmentation Decathlon: what sets them apart is in this table, the rest is shared."""

from __future__ import annotations

from typing import NamedTuple

MIRROR = "https://msd-for-monai.s3-us-west-2.amazonaws.com"
"""The decathlon's bucket in the AWS Open Data registry."""

CITATION = "Antonelli et al., Nat Commun 13:4128, 2022"
LICENCE = "CC-BY-SA 4.0"
CHECKSUM_SOURCE = "MONAI, monai/apps/datasets.py, DecathlonDataset.md5"


class MsdTask(NamedTuple):
    """One task.

    Attributes
    ----------
    number
        Of the task, and of nnU-Net's data set by custom.
    size_mb
        Of the archive, rounded; what the server says is what counts when downloading.
    md5
        Of the archive at `MIRROR`; see `CHECKSUM_SOURCE`.
    n_cases
        Labelled ones.
    """

    number: int
    folder: str
    name: str
    title: str
    modality: str
    labels: tuple[str, ...]
    n_cases: int
    size_mb: int
    md5: str
    notes: str


TASKS = (
    MsdTask(
        1,
        "Task01_BrainTumour",
        "brats",
        "Brain tumours",
        "MRI",
        ("edema", "non-enhancing tumor", "enhancing tumour"),
        484,
        7100,
        "240a19d752f0d9e9101544901065d872",
        "484 volumes of four channels (FLAIR, T1w, T1gd, T2w) in one 4D file each, skull-stripped",
    ),
    MsdTask(
        2,
        "Task02_Heart",
        "heart",
        "Heart",
        "MRI",
        ("left atrium",),
        20,
        435,
        "06ee59366e1e5124267b774dbd654057",
        "20 volumes: few cases to test on, so differences between strategies need many seeds",
    ),
    MsdTask(
        3,
        "Task03_Liver",
        "liver",
        "Liver and tumours",
        "CT",
        ("liver", "cancer"),
        131,
        27000,
        "a90ec6c4aa7f6a3d087205e23d4e6397",
        "131 CT volumes; tumours are rare and of low contrast",
    ),
    MsdTask(
        4,
        "Task04_Hippocampus",
        "hippocampus",
        "Hippocampus",
        "MRI",
        ("Anterior", "Posterior"),
        260,
        28,
        "9d24dba78a72977dbd1d2e110310f31b",
        "260 small volumes; intensities are raw and differ by orders of magnitude between cases",
    ),
    MsdTask(
        5,
        "Task05_Prostate",
        "prostate",
        "Prostate",
        "MRI",
        ("PZ", "TZ"),
        32,
        229,
        "35138f08b1efaef89d7424d2bcc928db",
        "32 volumes of two channels (T2, ADC) in one 4D file each; about 20 thick slices a case",
    ),
    MsdTask(
        6,
        "Task06_Lung",
        "lung",
        "Lung tumours",
        "CT",
        ("cancer",),
        63,
        8500,
        "8afd997733c7fc0432f71255ba4e52dc",
        "63 CT volumes; one small target in a large image, so most slices hold no foreground",
    ),
    MsdTask(
        7,
        "Task07_Pancreas",
        "pancreas",
        "Pancreas and tumours",
        "CT",
        ("pancreas", "cancer"),
        281,
        11500,
        "4f7080cfca169fa8066d17ce6eb061e4",
        "281 portal-venous CT volumes",
    ),
    MsdTask(
        8,
        "Task08_HepaticVessel",
        "hepatic-vessel",
        "Hepatic vessels and tumours",
        "CT",
        ("Vessel", "Tumour"),
        303,
        8700,
        "641d79e80ec66453921d997fbf12a29c",
        "303 CT volumes; vessels are thin, and Dice of thin structures is harsh",
    ),
    MsdTask(
        9,
        "Task09_Spleen",
        "spleen",
        "Spleen",
        "CT",
        ("spleen",),
        41,
        1500,
        "410d4a301da4e5b2f6f86ec3ddba524e",
        "41 portal-venous CT volumes",
    ),
    MsdTask(
        10,
        "Task10_Colon",
        "colon",
        "Colon cancer primaries",
        "CT",
        ("colon cancer primaries",),
        126,
        5800,
        "bad7a188931dc2f6acf72b08eb6202d0",
        "126 CT volumes; the hardest of the decathlon: its best entries stayed below a Dice of 0.6",
    ),
)
