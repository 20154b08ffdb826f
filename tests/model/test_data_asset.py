"""What the name, tags and metadata of a data asset tell."""

from __future__ import annotations

import pytest

from tests.builders import RAW_NAME, data_asset


@pytest.mark.parametrize(
    ("name", "is_sorted"),
    [
        (RAW_NAME, False),
        (f"{RAW_NAME}_sorted_2023-07-11_13-07-32", True),
        (f"{RAW_NAME}_unsorted_units_2023-07-11_13-07-32", False),
        (f"{RAW_NAME.replace('ecephys', 'behavior')}_sorted_2023-07-11_13-07-32", False),
    ],
)
def test_a_sorting_result_is_named_so_after_its_recording(name: str, is_sorted: bool) -> None:
    assert data_asset(name).is_sorted == is_sorted


def test_a_sorting_result_that_is_tagged_as_raw_is_no_raw_data() -> None:
    assert data_asset(tags=["raw"]).is_raw
    assert not data_asset(f"{RAW_NAME}_sorted_2023-07-11_13-07-32", tags=["raw"]).is_raw
