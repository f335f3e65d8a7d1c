"""@checkpointed: checkpoints written into a function by the decorator.

Problem. Where there is no tick (another thread's loop, Windows, `asyncpreemptoff`) a computing function gives way only
where it says so, and few people like to say so in every loop.

What we do. The function is compiled anew from its source, with a call of `checkpoint()` in its prologue and at the
back edge of each of its loops: at the end of the body and before each `continue`. Not at the start of the body:
`while queue: queue.pop()` must not give way between the question and the act. So straight-line code stays as atomic
as under the tick. Functions inside it are left alone; decorate them too if they compute.

What does not work. Rewriting bytecode: jumps, exception tables and line tables have another format in each release.

The new code object takes the old function's globals, closure cells, defaults and name. To give it the same free
variables it is compiled inside a factory function that has them as parameters, and inside a class of the same name
where it was a method, for private names; neither is ever run, only the code object is taken out.

Context: decoration time, anywhere.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable
from types import CellType, CodeType, FunctionType
from typing import Any, Final, TypeVar

from preemptio._core._guard import checkpoint

F = TypeVar("F", bound=Callable[..., Any])
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
Loop = ast.For | ast.AsyncFor | ast.While

_HOOK: Final = "_preemptio_checkpoint"
_SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def checkpointed(fn: F) -> F:
    """Compile a function anew with a checkpoint at its entry and at the back edge of each of its loops.

    Args:
        fn: a function with source: plain, `async def`, generator or method. Put this decorator closest to the `def`.

    Returns:
        A function of the same name, signature and closure.

    Raises:
        TypeError: `fn` is not a function written in Python, is a lambda, or is decorated already.
        ValueError: its source cannot be found (a prompt, exec).

    Example:
        >>> import preemptio, statistics
        >>> mean = preemptio.checkpointed(statistics.mean)
        >>> mean([1, 2, 3])
        2
    """
    if not isinstance(fn, FunctionType):
        msg = f"checkpointed takes a Python function, not {fn!r}; put it closest to the `def`, below other decorators"
        raise TypeError(msg)
    if hasattr(fn, "__wrapped__"):
        msg = f"checkpointed must be closest to the `def`: {fn.__qualname__} was wrapped by another decorator before"
        raise TypeError(msg)
    node = _definition(fn)
    node.decorator_list = []
    _insert(node)
    code = _compile(fn, node)
    new = FunctionType(code, fn.__globals__, fn.__name__, fn.__defaults__, _closure(fn, code))
    new.__kwdefaults__ = fn.__kwdefaults__
    functools.update_wrapper(new, fn)
    del new.__dict__["__wrapped__"]
    return new  # type: ignore[return-value]  # a function like the one that was given


def _definition(fn: FunctionType) -> FunctionNode:
    if fn.__code__.co_name == "<lambda>":
        msg = "checkpointed takes a function made by `def`, not a lambda: it has no loops to give way in"
        raise TypeError(msg)
    try:
        lines, first = inspect.getsourcelines(fn)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError) as exc:
        msg = f"checkpointed needs the source of {fn.__qualname__}; call preemptio.checkpoint() in its loops instead"
        raise ValueError(msg) from exc
    node = tree.body[0] if tree.body else None
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or node.name != fn.__code__.co_name:
        msg = f"checkpointed does not find the `def` of {fn.__qualname__}; call preemptio.checkpoint() in its loops"
        raise ValueError(msg)
    ast.increment_lineno(tree, first - 1)
    return node


def _call(at: ast.stmt) -> ast.stmt:
    call = ast.Expr(ast.Call(ast.Name(_HOOK, ast.Load()), [], []))
    return ast.fix_missing_locations(ast.copy_location(call, at))


def _insert(function: FunctionNode) -> None:
    body = function.body
    after_docstring = 1 if ast.get_docstring(function, clean=False) is not None else 0
    _BackEdges().visit_body(body)
    body.insert(after_docstring, _call(body[-1] if after_docstring == len(body) else body[after_docstring]))


class _BackEdges(ast.NodeTransformer):
    """Adds a call at the end of each loop's body and before each `continue`; leaves inner scopes alone."""

    def visit_body(self, body: list[ast.stmt]) -> None:
        """Rewrite a list of statements in place."""
        body[:] = [new for old in body for new in self._statements(old)]

    def _statements(self, node: ast.stmt) -> list[ast.stmt]:
        new = self.visit(node)
        return new if isinstance(new, list) else [new]

    def visit(self, node: ast.AST) -> Any:
        """Leave inner scopes alone; a nested statement list is handled by generic_visit."""
        if isinstance(node, _SCOPES):
            return node
        node = self.generic_visit(node)
        if isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
            node.body.append(_call(node.body[-1]))
        elif isinstance(node, ast.Continue):
            return [_call(node), node]
        return node


def _compile(fn: FunctionType, node: FunctionNode) -> CodeType:
    """Compile the definition in scopes that give it the free variables and the private names of the old one."""
    inner: ast.stmt = node
    owner = fn.__qualname__.rpartition(".")[0].rpartition(".")[2]
    if owner and owner != "<locals>":
        inner = ast.ClassDef(owner, [], [], [node], [])
        if hasattr(inner, "type_params"):
            inner.type_params = []
    names = [_HOOK, *fn.__code__.co_freevars]
    factory = ast.parse(f"def _factory({', '.join(names)}): pass").body[0]
    assert isinstance(factory, ast.FunctionDef)
    factory.body = [inner]
    module = ast.fix_missing_locations(ast.Module([ast.copy_location(factory, node)], []))
    compiled = compile(module, fn.__code__.co_filename, "exec", dont_inherit=True, flags=_future_flags(fn))
    found = _find(compiled, node.name)
    return found.replace(co_qualname=fn.__code__.co_qualname)


def _future_flags(fn: FunctionType) -> int:
    return fn.__code__.co_flags & 0x1FF0000  # the flags of `from __future__ import ...` in the function's module


def _find(code: CodeType, name: str) -> CodeType:
    for const in code.co_consts:
        if isinstance(const, CodeType):
            if const.co_name == name and _HOOK in const.co_freevars:
                return const
            try:
                return _find(const, name)
            except LookupError:
                continue
    raise LookupError(name)


def _closure(fn: FunctionType, code: CodeType) -> tuple[CellType, ...]:
    old = dict(zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True))
    return tuple(CellType(checkpoint) if name == _HOOK else old[name] for name in code.co_freevars)
