"""The house as its imports make it: rooms (packages), the arrows between them, and their picture.

`python -m tests.architecture` (`make rooms`) draws docs/rooms.svg anew; a test checks that it is still true.
Imports are read from the source, wherever they stand, those for type checkers too.
"""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from tests.paths import ROOT

PACKAGES = ("orchestrator", "search_spaces", "trainables")
PICTURE = ROOT / "docs" / "rooms.svg"
_FILLS = {"orchestrator": "#E3EEF7", "search_spaces": "#FBEBD3", "trainables": "#E2F2E6"}
_WAYS_IN = {
    "orchestrator": "the commands",
    "search_spaces": "one a variant",
    "trainables": "train, trainable",
}
_WIDE, _HIGH, _LANE, _GAP, _DOWN, _MARGIN = 150, 44, 20, 24, 74, 20

Graph = Mapping[str, frozenset[str]]


def sources(root: Path, *folders: str) -> list[Path]:
    """The Python files of these folders, in order."""
    return sorted(path for folder in folders for path in (root / folder).rglob("*.py"))


def module_name(path: Path, root: Path) -> str:
    """`orchestrator.spec.file` of the file; a package's name of its `__init__.py`."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def _tree(path: Path, changed: float) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(path: Path, root: Path) -> Iterator[tuple[int, str]]:
    """Each imported name, as `(line, "package.module.name")`, and each `optuna.<name>` in use."""
    package = path.relative_to(root).parent.parts
    for node in ast.walk(_tree(path, path.stat().st_mtime)):
        match node:
            case ast.Import():
                yield from ((node.lineno, alias.name) for alias in node.names)
            case ast.ImportFrom():
                above = package[: len(package) - node.level + 1] if node.level else ()
                base = ".".join([*above, *([node.module] if node.module else [])])
                yield from ((node.lineno, f"{base}.{alias.name}".lstrip(".")) for alias in node.names)
            case ast.Call(
                func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name
            case ast.Attribute(value=ast.Name(id="optuna")):
                yield node.lineno, f"optuna.{node.attr}"


def modules(root: Path) -> dict[str, Path]:
    """The product's modules by name."""
    return {module_name(path, root): path for path in sources(root, *PACKAGES)}


def files(root: Path) -> Graph:
    """Which modules each module imports."""
    known = modules(root)

    def found(imported: str) -> str | None:
        while imported and imported not in known:
            imported = imported.rpartition(".")[0]
        return imported or None

    return {
        name: frozenset(
            target for _, imported in imports(path, root) if (target := found(imported)) and target != name
        )
        for name, path in known.items()
    }


def room_of(module: str, path: Path) -> str:
    """The package that the module stands in; a package's own `__init__.py` stands in it."""
    return module if path.name == "__init__.py" else module.rpartition(".")[0]


def rooms(root: Path) -> Graph:
    """Which rooms each room imports."""
    known = modules(root)
    found: dict[str, set[str]] = {room_of(name, path): set() for name, path in known.items()}
    for name, targets in files(root).items():
        here = room_of(name, known[name])
        found[here] |= {room_of(target, known[target]) for target in targets} - {here}
    return {room: frozenset(others) for room, others in found.items()}


def below(graph: Graph, start: str) -> frozenset[str]:
    """All that `start` reaches, itself if it stands in a circle."""
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += graph[name]
    return frozenset(seen)


def circles(graph: Graph) -> list[str]:
    """What stands in a circle."""
    return sorted(name for name in graph if name in below(graph, name))


def essential(graph: Graph) -> Graph:
    """The graph without the arrows that others imply: a room may import all that is below it."""
    under = {name: below(graph, name) for name in graph}
    return {
        name: frozenset(
            one for one in targets if not any(one in under[other] for other in targets if other != one)
        )
        for name, targets in graph.items()
    }


# -- the picture -----------------------------------------------------------------------------------


def svg(graph: Graph) -> str:
    """The essential arrows of a graph without circles, every room beneath all that import it."""
    depth = _depths(graph)
    chains = [_chain(name, other, depth) for name in sorted(graph) for other in sorted(graph[name])]
    spots = _spots(depth, chains)
    width = max(x for x, _ in spots.values()) + _WIDE / 2 + _MARGIN
    height = max(y for _, y in spots.values()) + _HIGH + _MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}"'
        ' font-family="Helvetica, Arial, sans-serif" font-size="14">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"'
        ' orient="auto"><path d="M0 0 8 4 0 8z" fill="#555"/></marker></defs>',
        f'<rect width="{width:g}" height="{height:g}" fill="white"/>',
        *(_arrow([spots[stop] for stop in chain]) for chain in chains),
        *(_box(name, *spots[name]) for name in sorted(graph)),
    ]
    return "\n".join([*lines, "</svg>\n"])


def _depths(graph: Graph) -> dict[str, int]:
    """Of each room: one more than the deepest that imports it; what nothing imports stands right above its
    highest import."""
    depth: dict[str, int] = {}
    waiting = sorted(graph)
    while waiting:
        free = [name for name in waiting if not any(name in graph[other] for other in waiting)]
        for name in free:
            depth[name] = 1 + max((depth[one] for one, others in graph.items() if name in others), default=-1)
        waiting = [name for name in waiting if name not in free]
    for name in graph:
        if depth[name] == 0 and graph[name]:
            depth[name] = min(depth[other] for other in graph[name]) - 1
    return depth


def _chain(name: str, other: str, depth: Mapping[str, int]) -> list[str]:
    """The stops of an arrow: its ends, and a place in each row that it crosses."""
    return [name, *(f"{name}>{other}>{row}" for row in range(depth[name] + 1, depth[other])), other]


def _spots(depth: Mapping[str, int], chains: list[list[str]]) -> dict[str, tuple[float, float]]:
    """The middle of the upper edge of each stop; in a row, stops stand below what leads to them."""
    rows: dict[int, set[str]] = {}
    above: dict[str, list[str]] = {}
    for name, row in depth.items():
        rows.setdefault(row, set()).add(name)
    for first, *stops in chains:
        for stop, row in zip(stops, range(depth[first] + 1, 99), strict=False):
            rows[row].add(stop)
            above.setdefault(stop, []).append(first)
            first = stop
    middle: dict[str, float] = {}
    for row in sorted(rows):

        def wanted(stop: str) -> tuple[float, str]:
            tops = [middle[top] for top in above.get(stop, ())]
            return (sum(tops) / len(tops) if tops else PACKAGES.index(stop.partition(".")[0]), stop)

        order = sorted(rows[row], key=wanted)
        widths = [_WIDE if stop in depth else _LANE for stop in order]
        x = -(sum(widths) + _GAP * (len(widths) - 1)) / 2
        for stop, width in zip(order, widths, strict=True):
            middle[stop] = x + width / 2
            x += width + _GAP
    left = min(middle[name] for name in depth) - _WIDE / 2 - _MARGIN
    return {
        stop: (middle[stop] - left, row * _DOWN + _MARGIN) for row, stops in rows.items() for stop in stops
    }


def _arrow(stops: list[tuple[float, float]]) -> str:
    (x, y), *others = stops
    y += _HIGH
    path = f"M{x:g} {y:g}"
    for index, (u, v) in enumerate(others):
        bend = (v - y) / 2
        path += f"C{x:g} {y + bend:g} {u:g} {v - bend:g} {u:g} {v:g}"
        x, y = u, v
        if index < len(others) - 1:
            y += _HIGH
            path += f"V{y:g}"
    return f'<path d="{path}" fill="none" stroke="#555" marker-end="url(#tip)"/>'


def _box(name: str, x: float, y: float) -> str:
    package, _, room = name.partition(".")
    head = f'<text x="{x:g}" y="{y + 17:g}" text-anchor="middle" fill="#777" font-size="11">{package}</text>'
    body = f'<text x="{x:g}" y="{y + 35:g}" text-anchor="middle">{room or _WAYS_IN[package]}</text>'
    return (
        f'<rect x="{x - _WIDE / 2:g}" y="{y:g}" width="{_WIDE}" height="{_HIGH}" rx="7"'
        f' fill="{_FILLS[package]}" stroke="#999"/>{head}{body}'
    )


if __name__ == "__main__":
    PICTURE.write_text(svg(essential(rooms(ROOT))), encoding="utf-8")
