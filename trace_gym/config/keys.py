"""What keys are made of: their types, the groups that they come in, and the forms that lists of suites take.

Leaves out which keys there are (`sections.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

AtLeastOne = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0.0)]
Positive = Annotated[float, Field(gt=0.0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Listed = Field(strict=False)
"""A tuple in Python that is a list in TOML."""
Specs = Annotated[tuple[str, ...], Listed, BeforeValidator(lambda s: [s] if isinstance(s, str) else s)]
"""Suites by spec; one may stand alone."""


class Section(BaseModel):
    """A group of keys. Frozen; an unknown key, a wrong type, a NaN or an infinity is an error. A key that may
    be None is None when left out, since TOML has no word for it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Options(Section):
    """A part by `name`, and the options its constructor takes."""

    name: Annotated[str, Field(min_length=1)]
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("options")
    @classmethod
    def _spellable(cls, options: dict[str, Any]) -> dict[str, Any]:
        for name, value in options.items():
            _demand_toml(name, value)
        return options


def spelled_out(suites: object) -> object:
    """Suites as a list of tables, from any of the forms they may be given in; anything else as it came."""
    if isinstance(suites, Mapping):
        return [
            {"spec": spec, **(value if isinstance(value, Mapping) else {"share": value})}
            for spec, value in suites.items()
        ]
    if isinstance(suites, str):
        return [{"spec": suites}]
    if isinstance(suites, (list, tuple)):
        return [{"spec": suite} if isinstance(suite, str) else suite for suite in suites]
    return suites


def _demand_toml(name: str, value: object) -> None:
    """See that an option can be written down."""
    if isinstance(value, dict):
        for inner, item in value.items():
            _demand_toml(f"{name}.{inner}", item)
    elif isinstance(value, list):
        for item in value:
            _demand_toml(name, item)
    elif not isinstance(value, (bool, int, float, str)):
        allowed = "options are numbers, strings, booleans, lists and tables"
        raise ValueError(f"{name} is {type(value).__name__}; {allowed}")
