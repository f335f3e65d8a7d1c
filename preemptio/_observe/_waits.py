"""waits: who waits for whom, as a tree to read and as a graph to draw.

Below each node stands what it waits for: other tasks, and the lock, event or queue; below a lock, who holds it, where
that can be known. So the bottom of the tree is what everything waits for. Nodes that wait for each other are a cycle:
it is shown by itself, first, because nobody in it will ever go on.

Invariant. No recursion: a chain of ten thousand tasks is a chain of ten thousand nodes. Below MAX_DEPTH a branch goes
on as a tree of its own, or the indentation alone would be gigabytes.

Context: as `dump`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from preemptio._core._mask import nopreempt
from preemptio._observe._edges import Edge
from preemptio._observe._snapshot import LOOKING, TIMEOUT, snapshots
from preemptio._observe._text import brackets, counted, quoted, together

MAX_DEPTH: Final = 40
"""Levels that are indented."""


class Node(NamedTuple):
    """One who waits, or is waited for."""

    name: str
    """A task's name; of a lock or the like ""."""
    state: str
    """What a task waits for; how a lock or the like stands."""
    age: float = 0.0
    """Seconds since a task last got the CPU."""

    def __str__(self) -> str:
        """Show it behind its number."""
        if self.name:
            return f" {quoted(self.name)} {brackets([self.state], [self.age])}"
        return f" ({self.state})" if self.state else ""


@dataclass(frozen=True, slots=True)
class Waits:
    """Who waits for whom, at one moment. Print it, or draw it: `dot()`, `mermaid()`."""

    nodes: Mapping[str, Node]
    """By what they are called: `G 12`, `asyncio.Lock 1`."""
    edges: tuple[Edge, ...]
    """Who waits, for whom, and how."""

    @property
    def cycles(self) -> list[list[str]]:
        """The nodes that wait for each other: each cycle once, its first node not repeated at the end."""
        return list(_cycles(_followers(self.edges)))

    def dot(self) -> str:
        """Return the graph in Graphviz's language: pipe it to `dot -Tsvg`. Cycles are red."""
        red = set(_pairs(self.cycles))
        lines = ["digraph waits {", "  rankdir=LR;", "  node [shape=box, fontname=monospace];"]
        lines += [
            f"  {_dot(node)} [label={_dot(label)}{', shape=ellipse' * (not _is_task(node))}];"
            for node, label in self._labels()
        ]
        lines += [
            f"  {_dot(one)} -> {_dot(other)} [label={_dot(how)}{', color=red' * ((one, other) in red)}];"
            for one, other, how in self.edges
        ]
        return "\n".join([*lines, "}"])

    def mermaid(self) -> str:
        """Return the graph as a Mermaid flowchart, for Markdown. Cycles are thick."""
        thick = set(_pairs(self.cycles))
        ids = {node: f"n{index}" for index, node in enumerate(self.nodes)}
        lines = ["flowchart LR"]
        for node, label in self._labels():
            left, right = ("[", "]") if _is_task(node) else ("([", "])")
            lines.append(f'  {ids[node]}{left}"{_mermaid(label)}"{right}')
        for one, other, how in self.edges:
            arrow = "==>" if (one, other) in thick else "-->"
            lines.append(f"  {ids[one]} {arrow}|{how}| {ids[other]}")
        return "\n".join(lines)

    def _labels(self) -> Iterator[tuple[str, str]]:
        return ((node, f"{node}{what}") for node, what in self.nodes.items())

    def __str__(self) -> str:
        """Lay it out as trees: below each node what it waits for. Tasks that wait for no other node are counted."""
        lines = [f"cycle: {' -> '.join([*each, each[0]])}" for each in self.cycles]
        lines += _trees(self)
        joined = {node for edge in self.edges for node in edge[:2]}
        others = sum(node not in joined for node in self.nodes)
        if others:
            ending = (
                "waits for no other, nor others for it" if others == 1 else "wait for no other, nor others for them"
            )
            lines.append(f"{counted(others, 'task')} {ending}")
        return "\n".join(lines)


def waits(*, loop: Any | None = None, timeout: float = TIMEOUT) -> Waits:
    """Show who waits for whom: tasks for tasks, by awaiting, gather, shield, wait or a task group; tasks for locks.

    Who holds an asyncio.Lock, a Semaphore or the lock of a Condition is known if he entered it by `async with`. Who
    would set an event, fill a queue or complete a plain future is not known, and not guessed.

    Args:
        loop: by default the loop that runs in this thread; where none does, every preemptio loop of the process.
        timeout: seconds to wait, in another thread, for a loop to answer. One that does not is read from outside.

    Returns:
        Waits: a frozen record, which keeps nothing alive.

    Raises:
        NotInstalledError: the loop has no runtime.

    Context: as `dump`.

    Example:
        >>> import asyncio, preemptio
        >>> async def main():
        ...     child = asyncio.create_task(asyncio.sleep(60), name="child")
        ...     both = asyncio.gather(child, asyncio.sleep(60))
        ...     parent = asyncio.create_task(asyncio.wait([child]), name="parent")
        ...     await asyncio.sleep(0)
        ...     print(preemptio.waits())
        ...     child.cancel(), parent.cancel(), both.cancel()
        >>> preemptio.run(main())
        G ... "parent" [gather]
        `-- wait G ... "child" [sleep]
        2 tasks wait for no other, nor others for them
    """
    nodes: dict[str, Node] = {}
    edges: list[Edge] = []
    with nopreempt(LOOKING):
        seen = snapshots(loop, timeout)
    for index, each in enumerate(seen):
        # Gs are numbered through; locks and tasks that are no Gs are not.
        mark = f" of loop {index + 1}" if len(seen) > 1 else ""
        rename = {
            node: node + mark for node in (*each.things, *(task.node for task in each.tasks if task.node[0] != "G"))
        }
        for task in each.tasks:
            nodes[rename.get(task.node, task.node)] = Node(task.name, task.state, task.age)
        for thing, state in each.things.items():
            nodes[rename[thing]] = Node("", state)
        edges += [Edge(rename.get(one, one), rename.get(other, other), how) for one, other, how in each.edges]
    return Waits(MappingProxyType(nodes), tuple(edges))


def _is_task(node: str) -> bool:
    return node.startswith(("G ", "task "))


def _followers(edges: tuple[Edge, ...]) -> dict[str, list[Edge]]:
    found: dict[str, list[Edge]] = {}
    for edge in edges:
        found.setdefault(edge.waiter, []).append(edge)
    return found


def _cycles(followers: dict[str, list[Edge]]) -> Iterator[list[str]]:
    """Yield cycles by a walk into the depth: one for each edge that leads back to where the walk has come from."""
    done: set[str] = set()
    for start in followers:
        path: list[str] = []
        at: dict[str, int] = {}
        todo = [(start, False)]
        while todo:
            node, left = todo.pop()
            if left:
                done.add(node)
                del at[path.pop()]
            elif node in at:
                yield path[at[node] :]
            elif node not in done:
                at[node] = len(path)
                path.append(node)
                todo.append((node, True))
                todo += [(edge.awaited, False) for edge in followers.get(node, ())]


def _pairs(cycles: list[list[str]]) -> Iterator[tuple[str, str]]:
    for each in cycles:
        yield from zip(each, [*each[1:], each[0]], strict=True)


def _trees(graph: Waits) -> Iterator[str]:
    """Yield lines: first from the nodes that nobody waits for, then from what only cycles lead to."""
    followers = _followers(graph.edges)
    awaited = {edge.awaited for edge in graph.edges}
    tops = [node for node in graph.nodes if node in followers and node not in awaited]
    rest = [node for node in graph.nodes if node in followers and node in awaited]
    crowds: dict[object, list[str]] = {}  # of those who wait for one and the same, in the same state
    for node in tops:
        below = followers[node]
        same = (below[0][1:], graph.nodes[node].state) if len(below) == 1 else node
        crowds.setdefault(same, []).append(node)
    todo = [*crowds.values(), *([node] for node in rest)]
    shown: set[str] = set()
    for crowd in todo:  # grows on the way
        if crowd[0] not in shown:
            yield from _tree(graph, followers, crowd, shown, todo)


def _tree(
    graph: Waits, followers: dict[str, list[Edge]], crowd: list[str], shown: set[str], deeper: list[list[str]]
) -> Iterator[str]:
    """Yield the lines of one tree. What is too deep is appended to `deeper`."""
    todo = [(crowd[0], _label(graph, crowd), "", 0)]
    while todo:
        node, line, indent, depth = todo.pop()
        below = followers.get(node, [])
        if below and node in shown:
            yield f"{line}: see above"
            continue
        if below and depth >= MAX_DEPTH:
            yield f"{line}: see below"
            deeper.append([node])
            continue
        shown.add(node)
        yield line
        for edge in reversed(below):
            corner, bar = ("`-- ", "    ") if edge is below[-1] else ("|-- ", "|   ")
            line = f"{indent}{corner}{edge.how} {_label(graph, [edge.awaited])}"
            todo.append((edge.awaited, line, indent + bar, depth + 1))


def _label(graph: Waits, crowd: list[str]) -> str:
    nodes = [graph.nodes[each] for each in crowd]
    if len(crowd) == 1:
        return f"{crowd[0]}{nodes[0]}"
    state = brackets([nodes[0].state], [each.age for each in nodes])
    return f"{together(crowd, [each.name for each in nodes])} {state}"


def _dot(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _mermaid(text: str) -> str:
    for char, name in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        text = text.replace(char, name)
    return text
