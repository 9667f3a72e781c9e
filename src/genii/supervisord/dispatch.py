"""From a call's name and parameters to a method of the interface, and the namespace ``system``."""

# ruff: noqa: N802 -- the names of the methods are the interface
from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

from genii.supervisord.faults import Fault
from genii.supervisord.service import Mood

if TYPE_CHECKING:
    from collections.abc import Callable

    from genii.supervisord.service import Service

__all__ = ["Dispatcher"]

_MOST_CALLS = 10_000
_ALWAYS = ("sendRemoteCommEvent",)
"""Methods that are answered even while everything is being stopped."""
_NAMES = {"str": "string", "int": "int", "bool": "boolean", "Struct": "struct"}


class _Method(NamedTuple):
    """A method as callers see it."""

    call: Callable[..., Any]
    parameters: tuple[tuple[str, str], ...]
    """Name and type of each."""
    required: int
    returns: str
    help: str


class Dispatcher:
    """All namespaces of one server."""

    def __init__(self, service: Service, namespaces: dict[str, object]) -> None:
        self._service = service
        self._methods: dict[str, _Method] = {}
        self._foreign: set[str] = set()
        """Namespaces of plugins: their methods check their parameters themselves."""
        for namespace, instance in {"system": self._system(), **namespaces}.items():
            for name in dir(type(instance)):
                member = getattr(instance, name)
                # Only bound public methods, so that nobody walks on from there to anything else (CVE-2017-11610).
                if not name.startswith("_") and inspect.ismethod(member) and name != "check_configuration":
                    self._methods[f"{namespace}.{name}"] = _describe(member)
            if not type(instance).__module__.startswith("genii."):
                self._foreign.add(namespace)

    def _system(self) -> _System:
        return _System(self, self._methods)

    def call(self, name: str, params: list[Any]) -> Any:
        """Call a method; returns its result or an awaitable of it.

        Raises:
            Fault: there is no such method, or it refuses.
        """
        method = self._methods.get(name)
        if method is None:
            raise Fault("UNKNOWN_METHOD")
        namespace, _, short = name.partition(".")
        if namespace == "supervisor" and self._service.mood is not Mood.RUNNING and short not in _ALWAYS:
            raise Fault("SHUTDOWN_STATE")
        if namespace in self._foreign:
            return method.call(*params)
        return method.call(*_checked(method, params))


def _describe(call: Callable[..., Any]) -> _Method:
    signature = inspect.signature(call)
    parameters = tuple(
        (name, _NAMES.get(str(parameter.annotation).partition("[")[0], "array"))
        for name, parameter in signature.parameters.items()
    )
    required = sum(parameter.default is inspect.Parameter.empty for parameter in signature.parameters.values())
    returned = str(signature.return_annotation)
    returns = _NAMES.get(returned.partition(" ")[0], "array")
    text = inspect.getdoc(call) or ""
    lines = [text, "", *(f"@param {kind} {name}" for name, kind in parameters), f"@return {returns} result"]
    return _Method(call, parameters, required, returns, "\n".join(lines))


def _checked(method: _Method, params: list[Any]) -> list[Any]:
    """Return the parameters with the types that the method has."""
    if not method.required <= len(params) <= len(method.parameters):
        raise Fault("INCORRECT_PARAMETERS")
    return [_converted(value, kind) for value, (_, kind) in zip(params, method.parameters, strict=False)]


def _converted(value: Any, kind: str) -> Any:
    if kind == "int" and isinstance(value, int | str) and not isinstance(value, bool):
        try:
            return int(value)
        except ValueError:
            raise Fault("INCORRECT_PARAMETERS", repr(value)[:80]) from None
    if kind == "boolean" and isinstance(value, int | str):
        return value not in (0, "", "0", "false", "False")
    if kind == "string" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    wanted: type | None = {"string": str, "array": list, "struct": dict}.get(kind)
    if wanted is None or not isinstance(value, wanted):
        raise Fault("INCORRECT_PARAMETERS", repr(value)[:80])
    return value


class _System:
    """The methods of the namespace ``system``."""

    def __init__(self, dispatcher: Dispatcher, methods: dict[str, _Method]) -> None:
        self._dispatcher = dispatcher
        self._methods = methods

    def listMethods(self) -> list[str]:
        """Return an array listing the available method names."""
        return sorted(self._methods)

    def methodHelp(self, name: str) -> str:
        """Return a string showing the method's documentation."""
        return self._method(name).help

    def methodSignature(self, name: str) -> list[str]:
        """Return an array describing the method signature in the form [rtype, ptype, ptype...]."""
        method = self._method(name)
        return [method.returns, *(kind for _, kind in method.parameters)]

    def _method(self, name: str) -> _Method:
        method = self._methods.get(name)
        if method is None:
            raise Fault("SIGNATURE_UNSUPPORTED")
        return method

    async def multicall(self, calls: list[Any]) -> list[Any]:
        """Process an array of calls, structs of methodName and params, in order; return an array of results."""
        if len(calls) > _MOST_CALLS:
            raise Fault("INCORRECT_PARAMETERS", f"more than {_MOST_CALLS} calls")
        return [await self._one(call) for call in calls]

    async def _one(self, call: Any) -> Any:
        try:
            struct = call if isinstance(call, dict) else {}
            name, params = struct.get("methodName"), struct.get("params", [])
            if not isinstance(name, str) or not isinstance(params, list):
                raise Fault("INCORRECT_PARAMETERS", "No methodName")
            if name == "system.multicall":
                raise Fault("INCORRECT_PARAMETERS", "Recursive system.multicall forbidden")
            result = self._dispatcher.call(name, params)
            return await result if inspect.isawaitable(result) else result
        except Fault as fault:
            return {"faultCode": fault.number, "faultString": fault.text}
