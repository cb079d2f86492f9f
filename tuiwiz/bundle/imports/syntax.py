"""Values out of a Python configuration: its syntax tree is read, nothing in it is ever executed.

Understood are constants, lists, tuples, tables, `dict(...)` calls, arithmetic of numbers, joined texts, names assigned
before, parts of tables, changes of a part (`model.lora.r = 8`, `model.update(...)`), values of other files that lie
near (`_base_`, `with read_base()`), and names of imported things, which stay words.
"""

from __future__ import annotations

import ast
import copy
import operator
from collections.abc import Callable
from typing import Any

from tuiwiz.base.errors import InvalidError

DEEPEST = 40
DEEPEST_BASE = 6
LARGEST_NUMBER = 1e15
LONGEST_TEXT = 10_000
MOST_ITEMS = 1000
BASE = "_base_"
_SIGNS: dict[type[ast.operator], Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}
Base = Callable[[str], "tuple[str, Base] | None"]
"""The text of a file by its relative name, and where that one's own names lead; None where it is not here."""


class Unknown(str):
    """Something that only running the file would tell; its text is kept for the report."""


def assignments(text: str, base: Base | None = None) -> tuple[dict[str, Any], list[str]]:
    """Every name that the file sets at its top level with its value, as far as reading can tell; and what it cannot.

    Raises:
        InvalidError: it is no Python.
    """
    reader = _Reader(base, 0)
    reader.read(text)
    return reader.known, reader.unread


class _Reader:
    def __init__(self, base: Base | None, depth: int) -> None:
        self.known: dict[str, Any] = {}
        self.unread: list[str] = []
        self.base = base
        self.depth = depth

    def read(self, text: str) -> None:
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise InvalidError(f"no valid Python: {error}") from error
        for node in tree.body:
            try:
                self._statement(node)
            except RecursionError as error:
                raise InvalidError(f"no valid Python: line {node.lineno} is nested too deeply") from error

    def _statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Assign):
            value = self.value(node.value)
            for target in node.targets:
                self._assign(target, value)
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:
                self._assign(node.target, self.value(node.value))
        elif isinstance(node, ast.AugAssign):
            read = ast.copy_location(ast.BinOp(left=_as_read(node.target), op=node.op, right=node.value), node)
            self._assign(node.target, self.value(read))
        elif isinstance(node, ast.With):
            for inner in node.body:
                if isinstance(inner, ast.ImportFrom):
                    self._import(inner)
                elif not isinstance(inner, ast.Import | ast.Pass):
                    self._unread(inner)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            self._call(node.value)
        elif not isinstance(node, ast.Import | ast.ImportFrom | ast.Pass | ast.Expr):
            self._unread(node)

    def _unread(self, node: ast.stmt) -> None:
        self.unread.append(f"line {node.lineno}: {ast.unparse(node).splitlines()[0][:80]}")

    def _assign(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Name):
            if target.id == BASE:
                self._bases(value)
            else:
                merged = self._merged(self.known.get(target.id), value)
                self.known[target.id] = merged
        elif isinstance(target, ast.Tuple | ast.List) and isinstance(value, list) and len(value) == len(target.elts):
            for one, part in zip(target.elts, value, strict=True):
                self._assign(one, part)
        elif isinstance(target, ast.Attribute | ast.Subscript):
            whole, key = self.value(target.value), _part(target)
            listed = isinstance(whole, list) and isinstance(key, int) and -len(whole) <= key < len(whole)
            if listed or (isinstance(whole, dict) and isinstance(key, str)):
                whole[key] = value
            else:
                self.unread.append(f"line {target.lineno}: {ast.unparse(target)[:80]}")
        else:
            self.unread.append(f"line {target.lineno}: {ast.unparse(target)[:80]}")

    def _merged(self, old: Any, new: Any) -> Any:
        """A table over one of a `_base_` file changes its parts; `_delete_` replaces it."""
        if not isinstance(new, dict):
            return new
        fresh = new.pop("_delete_", False) is True
        if fresh or not isinstance(old, dict) or not self.known.get(BASE):
            return new
        return {**old, **{key: self._merged(old.get(key), value) for key, value in new.items()}}

    def _call(self, node: ast.Call) -> None:
        """`table.update(...)`, `list.append(...)`; other calls are left unread."""
        if isinstance(node.func, ast.Attribute):
            whole = self.value(node.func.value)
            if node.func.attr == "update" and isinstance(whole, dict):
                for change in [self.value(one) for one in node.args] + [self._keywords(node)]:
                    whole.update(change if isinstance(change, dict) else {})
                return
            if node.func.attr in ("append", "extend") and isinstance(whole, list) and node.args:
                added = self.value(node.args[0])
                whole += (added if isinstance(added, list) and node.func.attr == "extend" else [added])[:MOST_ITEMS]
                return
        self.unread.append(f"line {node.lineno}: {ast.unparse(node)[:80]}")

    def _bases(self, value: Any) -> None:
        for name in value if isinstance(value, list) else [value]:
            known = self._other(str(name))
            for key, one in (known or {}).items():
                self.known[key] = self._merged(self.known.get(key), one)
        self.known[BASE] = True

    def _import(self, node: ast.ImportFrom) -> None:
        """`from .folder.name import *` under `read_base()`."""
        path = "../" * (node.level - 1) + (node.module or "").replace(".", "/") + ".py"
        known = self._other(path if node.level else node.module or "")
        for alias in node.names if known is not None else []:
            if alias.name == "*":
                self.known |= known or {}
            elif alias.name in (known or {}):
                self.known[alias.asname or alias.name] = (known or {})[alias.name]
        self.known.setdefault(BASE, False)

    def _other(self, name: str) -> dict[str, Any] | None:
        found = self.base(name) if self.base is not None and self.depth < DEEPEST_BASE else None
        if found is None:
            self.unread.append(f"{name}: a file that is not here")
            return None
        text, base = found
        reader = _Reader(base, self.depth + 1)
        reader.read(text)
        self.unread += [f"{name} {one}" for one in reader.unread]
        reader.known.pop(BASE, None)
        return copy.deepcopy(reader.known)

    def value(self, node: ast.expr, depth: int = 0) -> Any:
        if depth > DEEPEST:
            return Unknown("nested too deeply")
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return self.known.get(node.id, Unknown(node.id))
            case ast.List() | ast.Tuple() | ast.Set():
                return [self.value(one, depth + 1) for one in node.elts[:MOST_ITEMS]]
            case ast.Dict():
                return self._table(node, depth)
            case ast.Call():
                return self._called(node, depth)
            case ast.Attribute() | ast.Subscript():
                return self._part_of(node, depth)
            case ast.UnaryOp(op=ast.USub()):
                value = self.value(node.operand, depth + 1)
                return -value if isinstance(value, int | float) else Unknown(ast.unparse(node)[:200])
            case ast.BinOp() if type(node.op) in _SIGNS:
                return self._arithmetic(node, depth)
            case ast.JoinedStr():
                parts = [
                    self.value(one.value if isinstance(one, ast.FormattedValue) else one, depth + 1)
                    for one in node.values
                ]
                if any(isinstance(one, Unknown | list | dict) for one in parts):
                    return Unknown(ast.unparse(node)[:200])
                return "".join(str(one) for one in parts)[:LONGEST_TEXT]
        return Unknown(ast.unparse(node)[:200])

    def _table(self, node: ast.Dict, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            one = self.value(value, depth + 1)
            if key is not None:
                found[str(self.value(key, depth + 1))] = one
            elif isinstance(one, dict):
                found |= one
        return found

    def _keywords(self, node: ast.Call, depth: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for one in node.keywords:
            value = self.value(one.value, depth + 1)
            if one.arg is not None:
                found[one.arg] = value
            elif isinstance(value, dict):
                found |= value
        return found

    def _called(self, node: ast.Call, depth: int) -> Any:
        name = ast.unparse(node.func) if isinstance(node.func, ast.Name | ast.Attribute) else ""
        if name == "dict":
            given = self.value(node.args[0], depth + 1) if node.args else {}
            return {**(given if isinstance(given, dict) else {}), **self._keywords(node, depth)}
        parts = [self.value(one, depth + 1) for one in node.args]
        if name in ("copy.deepcopy", "deepcopy") and parts:
            return copy.deepcopy(parts[0])
        if name in ("os.path.join", "osp.join", "path.join") and all(type(one) is str for one in parts):
            return "/".join(part.rstrip("/") for part in parts[:20])[:LONGEST_TEXT]
        if name in ("int", "float", "str") and len(parts) == 1 and isinstance(parts[0], int | float):
            return {"int": int, "float": float, "str": str}[name](parts[0])
        return Unknown(ast.unparse(node)[:200])

    def _part_of(self, node: ast.Attribute | ast.Subscript, depth: int) -> Any:
        whole, key = self.value(node.value, depth + 1), _part(node)
        if isinstance(whole, dict) and key in whole:
            return whole[key]
        if isinstance(whole, list) and isinstance(key, int) and -len(whole) <= key < len(whole):
            return whole[key]
        return Unknown(ast.unparse(node)[:200])

    def _arithmetic(self, node: ast.BinOp, depth: int) -> Any:
        left, right = self.value(node.left, depth + 1), self.value(node.right, depth + 1)
        both = all(isinstance(one, int | float) and abs(one) < LARGEST_NUMBER for one in (left, right))
        if both and not (right == 0 and isinstance(node.op, ast.Div | ast.FloorDiv)):
            return _SIGNS[type(node.op)](left, right)
        if isinstance(node.op, ast.Add) and isinstance(left, list) and isinstance(right, list):
            return (left + right)[:MOST_ITEMS]
        if isinstance(node.op, ast.Add) and type(left) is str and type(right) is str:
            return (left + right)[:LONGEST_TEXT]
        return Unknown("a value that only running the file would tell")


def _as_read(target: ast.expr) -> ast.expr:
    read = copy.deepcopy(target)
    if isinstance(read, ast.Name | ast.Attribute | ast.Subscript):
        read.ctx = ast.Load()
    return read


def _part(node: ast.Attribute | ast.Subscript) -> Any:
    """The name or index of the part: constants only."""
    if isinstance(node, ast.Attribute):
        return node.attr
    index = node.slice
    if isinstance(index, ast.UnaryOp) and isinstance(index.op, ast.USub) and isinstance(index.operand, ast.Constant):
        return -index.operand.value if isinstance(index.operand.value, int) else None
    return index.value if isinstance(index, ast.Constant) else None
