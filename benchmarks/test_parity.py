"""Our trainer learns what nnU-Net's own learns, as fast; short, so that only gross differences show."""

from __future__ import annotations

import pytest
from parity import Parity, protocol
from scoring import ARCHIVE, data_folder

pytestmark = [pytest.mark.ratio, pytest.mark.filterwarnings("ignore")]


def test_all_labels_give_the_dice_of_nnunets_own_trainer(tmp_path):
    data = data_folder()
    if data is None:
        pytest.skip(f"no {ARCHIVE} in the folder that ALBENCH_DATA names")
    parity = Parity.make(data, tmp_path, 20, 10, protocol(mirroring=False, lr=0.05, momentum=0.9))
    dice, speed = parity.plain(300, 0)
    our_dice, our_speed = parity.ours(300, 0)
    assert dice > 0.7
    # 0.82, 0.81 against 0.81, 0.81 in two seeds each: training noise of 300 iterations is below 0.02.
    assert our_dice > dice - 0.06
    assert our_speed > 0.6 * speed
