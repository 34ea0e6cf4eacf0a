"""Where the shared files are: beside this package in the workspace, or where SHARED_KERNEL_DIR says."""

import os
from pathlib import Path


def shared_folder() -> Path:
    beside = Path(__file__).resolve().parents[2]
    if (beside / "metrics.json").is_file():
        return beside
    named = os.environ.get("SHARED_KERNEL_DIR")
    if named and (Path(named) / "metrics.json").is_file():
        return Path(named)
    raise FileNotFoundError(
        f"metrics.json and schemas/ of shared-kernel are not in `{beside}`; set SHARED_KERNEL_DIR to their folder"
    )
