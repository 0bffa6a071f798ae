"""The check of a `Params` class when its plugin is registered, long before a user runs it."""

from __future__ import annotations

from pydantic import BaseModel, PydanticUserError, ValidationError

from ganprobe.errors import PluginError
from ganprobe.params.declaration import declared, flag_name
from ganprobe.params.model import Params
from ganprobe.params.schema import schema_of

__all__ = ["check_params"]


def check_params(params: object, analysis: str = "") -> None:
    """Raise `PluginError` unless each parameter can be a flag, a form's field and JSON.

    Args:
        params: what an analysis gives as its `Params`.
        analysis: whose they are, for the message.

    Example:
        >>> class Odd(Params):
        ...     weights: dict[str, float] = {}
        >>> check_params(Odd, "odd")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        ganprobe.errors.PluginError: analysis odd: parameter 'weights' of type dict[str, float] ...
    """
    of = f"analysis {analysis}: " if analysis else ""
    if not (isinstance(params, type) and issubclass(params, Params)):
        raise PluginError(f"{of}Params is to be a subclass of ganprobe.Params, got {params!r}")
    try:
        _check_names(params)
        _check_defaults(params)
        schema_of(params)
    except PluginError as error:
        raise PluginError(f"{of}{error}") from error
    except PydanticUserError as error:
        raise PluginError(f"{of}{str(error).splitlines()[0]}") from error


def _check_names(params: type[Params]) -> None:
    flags: dict[str, str] = {}
    for name, one in declared(params).items():
        if hasattr(BaseModel, name) or name in vars(Params):
            raise PluginError(f"a parameter cannot be called {name!r}: Params needs it")
        if one.field.alias or one.field.validation_alias:
            raise PluginError(f"parameter {name!r} has an alias; its flag is made of its name")
        own = [flag_name(name), *([f"no-{flag_name(name)}"] if one.is_switch else [])]
        for flag in own:
            if flag in flags:
                raise PluginError(f"the parameters {flags[flag]!r} and {name!r} are both --{flag}")
            flags[flag] = name


def _check_defaults(params: type[Params]) -> None:
    """A default that does not fit would be told to a user, who did not choose it."""
    try:
        params.model_validate({})
    except ValidationError as error:
        for fault in error.errors():
            if fault["loc"] and fault["type"] != "missing":
                name = str(fault["loc"][0])
                given = params.model_fields[name].get_default(call_default_factory=True)
                raise PluginError(
                    f"the default {given!r} of parameter {name!r} does not fit: {fault['msg']}"
                ) from error
