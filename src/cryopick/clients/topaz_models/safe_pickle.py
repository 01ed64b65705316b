"""Restricted unpickler: reads a pickle as plain data without importing or calling anything.

A pickle is a program for a stack machine; Python's own unpickler lets it call any function. This
machine supports only the instructions in files of PyTorch. Classes and calls become inert
placeholders.

- `load`: read one pickle.
- `Name`, `CallPlaceholder`, `Stored`: placeholders for a name, for the result of a call, and for a
  stored array.
"""

import pickletools
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

__all__ = ["CallPlaceholder", "Name", "Stored", "load"]

MAX_INSTRUCTIONS = 100_000  # the largest detector has about 10 000
_PLAIN = {
    *("NONE", "NEWTRUE", "NEWFALSE", "EMPTY_TUPLE", "EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET"),
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINSTRING", "SHORT_BINSTRING"),
}
_EMPTY: dict[str, Callable[[], Any]] = {
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": list,
}


@dataclass(frozen=True)
class Name:
    """Name of a class or a function, which is not resolved."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class CallPlaceholder:
    """Placeholder for the result of a call, which is not executed.

    Attributes:
        by: Name of the called class or function.
        arguments: Arguments of the call.
        state: Attributes to set on the result.
        items: Items to put into the result, if it is a mapping.
    """

    by: Name
    arguments: tuple[Any, ...] = ()
    state: Any = None
    items: dict[Hashable, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stored:
    """Persistent id of an array that the file stores outside the pickle."""

    key: tuple[Any, ...]


_MARK = object()


def load(stream: BytesIO, is_allowed: Callable[[Name], bool]) -> Any:  # noqa: ANN401  # any data
    """Read one pickle from the current position of a stream.

    Args:
        stream: Stream in memory, so that it bounds all lengths in the pickle.
        is_allowed: Decides if a name may occur.

    Raises:
        ValueError: The pickle is not valid, or contains a name that is not allowed.
    """
    machine = _Machine(is_allowed)
    for count, (instruction, argument, _) in enumerate(pickletools.genops(stream)):
        if count >= MAX_INSTRUCTIONS:
            raise ValueError(f"more than {MAX_INSTRUCTIONS} instructions")
        if instruction.name == "STOP":
            return machine.stack.pop()
        machine.step(instruction.name, argument)
    raise ValueError("the pickle is truncated")


class _Machine:
    """Stack machine with the instructions that are not plain data."""

    def __init__(self, is_allowed: Callable[[Name], bool]) -> None:
        self.stack: list[Any] = []
        self.memory: dict[int, Any] = {}
        self.is_allowed = is_allowed

    def step(self, name: str, argument: Any) -> None:  # noqa: ANN401  # as the pickle has it
        """Execute one instruction."""
        if name in ("PROTO", "FRAME"):
            return
        if name in _PLAIN:
            make = _EMPTY.get(name)
            self.stack.append(make() if make else argument)
        elif name in _STEPS:
            _STEPS[name](self, argument)
        else:
            raise ValueError(f"the instruction {name}, which files of PyTorch do not contain")

    def pop_to_mark(self) -> list[Any]:
        """Remove and return all items on the stack since the last mark."""
        for index in range(len(self.stack) - 1, -1, -1):
            if self.stack[index] is _MARK:
                items = self.stack[index + 1 :]
                del self.stack[index:]
                return items
        raise ValueError("a mark is missing")

    def top(self, kind: type) -> Any:  # noqa: ANN401  # of that type
        """Return the top of the stack, which must have the given type."""
        if not isinstance(self.stack[-1], kind):
            raise ValueError(f"expected {kind.__name__}, found {type(self.stack[-1]).__name__}")
        return self.stack[-1]

    def name(self, module: str, name: str) -> None:
        requested = Name(module, name)
        if not self.is_allowed(requested):
            raise ValueError(f"it contains {requested}, which no detector needs")
        self.stack.append(requested)

    def put(self, pairs: list[Any]) -> None:
        """Put pairs of keys and values into the mapping on top."""
        mapping = self.stack[-1]
        items = mapping.items if isinstance(mapping, CallPlaceholder) else self.top(dict)
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if not isinstance(key, (str, int)):  # hashing a deep tuple would exhaust the C stack
                raise ValueError("a key is neither text nor a number")
            items[key] = value

    def call(self) -> None:
        arguments, by = self.stack.pop(), self.stack.pop()
        if not isinstance(by, Name) or not isinstance(arguments, tuple):
            raise ValueError("a call without a name")
        self.stack.append(CallPlaceholder(by, arguments))

    def build(self) -> None:
        state = self.stack.pop()
        result = self.stack[-1]
        if isinstance(result, CallPlaceholder):
            result.state = state


def _tuple(machine: _Machine, count: int) -> None:
    items = tuple(machine.stack[-count:])
    if len(items) < count:
        raise ValueError("the stack ends early")
    del machine.stack[-count:]
    machine.stack.append(items)


def _extend(machine: _Machine, items: list[Any]) -> None:
    machine.top(list).extend(items)


def _append(machine: _Machine) -> None:
    item = machine.stack.pop()
    machine.top(list).append(item)


def _set_item(machine: _Machine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.put([key, value])


def _stack_name(machine: _Machine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    if not isinstance(module, str) or not isinstance(name, str):  # str() of others may never end
        raise ValueError("a name that is not text")
    machine.name(module, name)


def _remember(machine: _Machine, index: int) -> None:
    machine.memory[index] = machine.stack[-1]


def _persistent(machine: _Machine) -> None:
    machine.stack.append(Stored(machine.top(tuple)))
    del machine.stack[-2]


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": lambda machine, _: machine.stack.append(_MARK),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.pop_to_mark())),
    "TUPLE1": lambda machine, _: _tuple(machine, 1),
    "TUPLE2": lambda machine, _: _tuple(machine, 2),
    "TUPLE3": lambda machine, _: _tuple(machine, 3),
    "APPEND": lambda machine, _: _append(machine),
    "APPENDS": lambda machine, _: _extend(machine, machine.pop_to_mark()),
    "ADDITEMS": lambda machine, _: _extend(machine, machine.pop_to_mark()),
    "SETITEM": lambda machine, _: _set_item(machine),
    "SETITEMS": lambda machine, _: machine.put(machine.pop_to_mark()),
    "BINPUT": _remember,
    "LONG_BINPUT": _remember,
    "MEMOIZE": lambda machine, _: _remember(machine, len(machine.memory)),
    "BINGET": lambda machine, index: machine.stack.append(machine.memory[index]),
    "LONG_BINGET": lambda machine, index: machine.stack.append(machine.memory[index]),
    "GLOBAL": lambda machine, names: machine.name(*names.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, _: _stack_name(machine),
    "REDUCE": lambda machine, _: machine.call(),
    "NEWOBJ": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.build(),
    "BINPERSID": lambda machine, _: _persistent(machine),
}
