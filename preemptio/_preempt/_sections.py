"""Where a restartable function must not be left: read from its source when it is decorated.

Problem. A function that is begun again is left by an exception, so its `try` and `with` statements are in the way: a
`finally` may be half done, a context manager entered twice, and `except BaseException` would catch what is not meant
for it. And its last statement, which may have an effect, must run once. A frame only says at which instruction it is.

What does not work. The exception table alone: it does not cover jumps reliably, nor what a `with` or a `finally` does
on its regular way out. Lines alone: statements share them. Stack depths: `if` and `while` leave none.

What we do. The source gives the spans of those statements, and each instruction has the position of what it was
compiled from. A jump back has that of the statement before it, so there where it leads to counts as well.
What can only be meant to stop the restart is refused, with what to write instead.

Invariants. In doubt an instruction is one that must not be left: without source, every one of them.

Context: at decoration, once for each function.
"""

from __future__ import annotations

import ast
import dis
import inspect
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Final, NamedTuple

_SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_GUARDS: Final = (ast.Try, ast.TryStar, ast.With)
_LOOPS: Final = (ast.For, ast.While)

Place = tuple[int, int]
"""A line, and a column in bytes."""


class Span(NamedTuple):
    """What a statement takes up of the source; the end is not in it."""

    start: Place
    end: Place

    def has(self, line: int, column: int | None) -> bool:
        """Report whether something begins in it; where columns are not kept, anywhere on its lines."""
        if column is None:
            return self.start[0] <= line <= self.end[0]
        return self.start <= (line, column) < self.end


def held_offsets(fn: FunctionType) -> frozenset[int]:
    """Return the offsets of the instructions of a function at which it must not be left.

    Raises:
        ValueError: a statement in it would stop the restart.
    """
    code = fn.__code__
    node = _definition(fn)
    if node is None:
        return frozenset(range(0, len(code.co_code), 2))
    _refuse(fn, node)
    spans = [_span(each) for each in _own_statements(node) if isinstance(each, _GUARDS)]
    spans.append(_span(node.body[-1]))
    instructions = list(dis.get_instructions(code))
    ends = [each.offset for each in instructions[1:]] + [len(code.co_code)]
    inside = {each.offset: _is_in(spans, each.positions) for each in instructions}
    held: set[int] = set()
    for each, end in zip(instructions, ends, strict=True):
        if inside[each.offset] and not ("JUMP_BACKWARD" in each.opname and not inside[each.argval]):
            held.update(range(each.offset, end, 2))  # with its caches: a frame that calls may stand at one
    return frozenset(held)


def _is_in(spans: list[Span], at: dis.Positions | None) -> bool:
    if at is None or at.lineno is None:
        return True
    line, column = at.lineno, at.col_offset
    return any(span.has(line, column) for span in spans)


def _span(node: ast.stmt) -> Span:
    return Span((node.lineno, node.col_offset), (node.end_lineno or node.lineno, node.end_col_offset or 0))


def _definition(fn: FunctionType) -> ast.FunctionDef | None:
    """Return the function's syntax tree, with the positions that its code has; None if it is not found."""
    try:
        lines, first = inspect.getsourcelines(fn)
        indented = lines[0][:1].isspace()
        tree = ast.parse("".join(["if True:\n", *lines] if indented else lines))
    except (OSError, TypeError, SyntaxError, ValueError, IndexError):
        return None
    ast.increment_lineno(tree, first - 1 - indented)
    body = tree.body
    if indented and body and isinstance(body[0], ast.If):
        body = body[0].body
    node = body[0] if len(body) == 1 else None
    if not isinstance(node, ast.FunctionDef) or node.name != fn.__name__ or not _agree(fn.__code__, node, first):
        return None
    return node


def _agree(code: CodeType, node: ast.FunctionDef, first: int) -> bool:
    """Report whether the lines of the code are those of the definition: the file may have changed since."""
    lines = {line for _, _, line in code.co_lines() if line is not None}
    return all(first <= line <= (node.end_lineno or 0) for line in lines) and node.body[-1].lineno in lines


def _own_statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Yield the statements of a function, those of inner functions and classes apart."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child
        if not isinstance(child, _SCOPES):
            yield from _own_statements(child)


def _refuse(fn: FunctionType, node: ast.FunctionDef) -> None:
    """Raise ValueError for what can only be meant to stop every exception, and so the restart."""
    for each in _own_statements(node):
        if isinstance(each, (ast.Try, ast.TryStar)):
            for handler in each.handlers:
                if handler.type is None or _names_base(handler.type):
                    what = "a bare `except:`" if handler.type is None else f"`except {ast.unparse(handler.type)}:`"
                    raise _refusal(fn, handler.lineno, f"{what} would catch the restart; write `except Exception:`")
            for line, word in (leave for last in each.finalbody for leave in _leaves(last)):
                raise _refusal(fn, line, f"`{word}` in `finally` would drop the restart; put it behind the `finally`")
        elif isinstance(each, ast.With):
            for item in each.items:
                if _suppresses_all(item.context_expr):
                    what = f"`with {ast.unparse(item.context_expr)}` would suppress the restart"
                    raise _refusal(fn, each.lineno, f"{what}; write suppress(Exception)")


def _refusal(fn: FunctionType, line: int, what: str) -> ValueError:
    return ValueError(
        f"restartable: {fn.__qualname__}, line {line}: {what}, put it around the call of {fn.__name__}(), "
        "or use @preemptio.nopreempt('why')"
    )


def _names_base(node: ast.expr) -> bool:
    if isinstance(node, ast.Tuple):
        return any(_names_base(each) for each in node.elts)
    return _name(node) in {"BaseException", "BaseExceptionGroup"}


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _suppresses_all(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and _name(node.func) == "suppress" and any(map(_names_base, node.args))


def _leaves(node: ast.AST, *, in_loop: bool = False) -> Iterator[tuple[int, str]]:
    """Yield the places at which a statement is left by `return`, or by `break` or `continue` of a loop around it."""
    if isinstance(node, ast.Return):
        yield node.lineno, "return"
    elif isinstance(node, (ast.Break, ast.Continue)):
        if not in_loop:
            yield node.lineno, type(node).__name__.lower()
    elif not isinstance(node, _SCOPES):
        repeated = node.body if isinstance(node, _LOOPS) else []
        for child in ast.iter_child_nodes(node):
            yield from _leaves(child, in_loop=in_loop or child in repeated)
