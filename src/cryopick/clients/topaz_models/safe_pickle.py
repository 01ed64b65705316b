"""A pickle read as plain data: nothing that it names is imported, and nothing is called.

A pickle is a program for a small stack machine, and running it with Python's own machine lets it
call anything. Here the machine has only the instructions that files of PyTorch use. Where the
program asks for a class or for a call, the answer is an inert note of what was asked for.

- `load`: the data of one pickle.
- `Name`, `Made`, `Stored`: notes of a name, of what a call was to make, and of a stored array.
"""

import pickletools
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

__all__ = ["Made", "Name", "Stored", "load"]

MAX_INSTRUCTIONS = 100_000  # the largest detector takes some 10 000
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
    """The name of a class or a function, which is not looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Made:
    """What a call or a class was to make.

    Attributes:
        by: What was to be called.
        arguments: With what.
        state: What was to become of its attributes.
        items: What was put into it, if it is a mapping.
    """

    by: Name
    arguments: tuple[Any, ...] = ()
    state: Any = None
    items: dict[Hashable, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stored:
    """A persistent id: what the file holds beside the pickle."""

    key: tuple[Any, ...]


_MARK = object()


def load(stream: BytesIO, is_allowed: Callable[[Name], bool]) -> Any:  # noqa: ANN401  # any data
    """Read one pickle from where a stream stands, and leave the stream behind it.

    Args:
        stream: In memory, so that it bounds all lengths that the pickle claims.
        is_allowed: Says of each name whether it may occur at all.

    Raises:
        ValueError: The pickle breaks the rules, or names what is not allowed.
    """
    machine = _Machine(is_allowed)
    for count, (instruction, argument, _) in enumerate(pickletools.genops(stream)):
        if count >= MAX_INSTRUCTIONS:
            raise ValueError(f"more than {MAX_INSTRUCTIONS} instructions")
        if instruction.name == "STOP":
            return machine.stack.pop()
        machine.step(instruction.name, argument)
    raise ValueError("the pickle has no end")


class _Machine:
    """The stack, the memory, and one method for each instruction that is not plain data."""

    def __init__(self, is_allowed: Callable[[Name], bool]) -> None:
        self.stack: list[Any] = []
        self.memory: dict[int, Any] = {}
        self.is_allowed = is_allowed

    def step(self, name: str, argument: Any) -> None:  # noqa: ANN401  # as the pickle has it
        """Carry out one instruction."""
        if name in ("PROTO", "FRAME"):
            return
        if name in _PLAIN:
            make = _EMPTY.get(name)
            self.stack.append(make() if make else argument)
        elif name in _STEPS:
            _STEPS[name](self, argument)
        else:
            raise ValueError(f"the instruction {name}, which no file of PyTorch has")

    def since_mark(self) -> list[Any]:
        """Take off all that was put on the stack since the last mark."""
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _MARK:
                items = self.stack[place + 1 :]
                del self.stack[place:]
                return items
        raise ValueError("a mark is missing")

    def top(self, kind: type) -> Any:  # noqa: ANN401  # of that kind
        """What is on top of the stack, which must be of a kind."""
        if not isinstance(self.stack[-1], kind):
            raise ValueError(f"{kind.__name__} was due, found {type(self.stack[-1]).__name__}")
        return self.stack[-1]

    def name(self, module: str, name: str) -> None:
        asked = Name(module, name)
        if not self.is_allowed(asked):
            raise ValueError(f"it asks for {asked}, which no detector needs")
        self.stack.append(asked)

    def put(self, pairs: list[Any]) -> None:
        """Put pairs of keys and values into the mapping on top."""
        mapping = self.stack[-1]
        items = mapping.items if isinstance(mapping, Made) else self.top(dict)
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if not isinstance(key, (str, int)):  # hashing a deep tuple would exhaust the C stack
                raise ValueError("a key is neither text nor a number")
            items[key] = value

    def call(self) -> None:
        arguments, by = self.stack.pop(), self.stack.pop()
        if not isinstance(by, Name) or not isinstance(arguments, tuple):
            raise ValueError("a call of what has no name")
        self.stack.append(Made(by, arguments))

    def build(self) -> None:
        state = self.stack.pop()
        made = self.stack[-1]
        if isinstance(made, Made):
            made.state = state


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
    machine.name(str(module), str(name))


def _remember(machine: _Machine, place: int) -> None:
    machine.memory[place] = machine.stack[-1]


def _persistent(machine: _Machine) -> None:
    machine.stack.append(Stored(machine.top(tuple)))
    del machine.stack[-2]


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": lambda machine, _: machine.stack.append(_MARK),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, _: _tuple(machine, 1),
    "TUPLE2": lambda machine, _: _tuple(machine, 2),
    "TUPLE3": lambda machine, _: _tuple(machine, 3),
    "APPEND": lambda machine, _: _append(machine),
    "APPENDS": lambda machine, _: _extend(machine, machine.since_mark()),
    "ADDITEMS": lambda machine, _: _extend(machine, machine.since_mark()),
    "SETITEM": lambda machine, _: _set_item(machine),
    "SETITEMS": lambda machine, _: machine.put(machine.since_mark()),
    "BINPUT": _remember,
    "LONG_BINPUT": _remember,
    "MEMOIZE": lambda machine, _: _remember(machine, len(machine.memory)),
    "BINGET": lambda machine, place: machine.stack.append(machine.memory[place]),
    "LONG_BINGET": lambda machine, place: machine.stack.append(machine.memory[place]),
    "GLOBAL": lambda machine, names: machine.name(*names.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, _: _stack_name(machine),
    "REDUCE": lambda machine, _: machine.call(),
    "NEWOBJ": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.build(),
    "BINPERSID": lambda machine, _: _persistent(machine),
}
