"""Rows of sessions as tables of pandas and polars, which are not dependencies."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from npc_lims.errors import MissingDependency
from npc_lims.model.rows import COLUMNS
from npc_lims.sessions.filter_values import YES_OR_NO

if TYPE_CHECKING:
    import pandas
    import polars

_NUMBERS = ("subject", "idx", "experiment_day")


def to_pandas(rows: Sequence[Mapping[str, Any]]) -> pandas.DataFrame:
    library: Any = _load("pandas")
    kinds = {
        **dict.fromkeys(COLUMNS, "string"),
        **dict.fromkeys(YES_OR_NO, "boolean"),
        **dict.fromkeys(_NUMBERS, "Int64"),
        "date": "datetime64[ns]",
    }
    del kinds["not_applicable"]  # lists
    frame: pandas.DataFrame = library.DataFrame(list(rows), columns=list(COLUMNS)).astype(kinds)
    return frame


def to_polars(rows: Sequence[Mapping[str, Any]]) -> polars.DataFrame:
    library: Any = _load("polars")
    kinds = {
        **dict.fromkeys(COLUMNS, library.String),
        **dict.fromkeys(YES_OR_NO, library.Boolean),
        **dict.fromkeys(_NUMBERS, library.Int64),
        "not_applicable": library.List(library.String),
    }
    frame: polars.DataFrame = library.DataFrame(list(rows), schema=kinds, orient="row")
    return frame.with_columns(library.col("date").str.to_date("%Y-%m-%d"))


def _load(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingDependency(f'to_{name}() needs {name}: pip install "npc_lims[{name}]"') from None
