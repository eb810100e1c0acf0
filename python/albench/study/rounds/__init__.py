"""The steps of a round, a file each; every one is a stage, or several, and is skipped where it is finished."""
