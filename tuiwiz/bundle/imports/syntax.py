"""Values out of a Python configuration: its syntax tree is read, nothing in it is ever executed.

Understood are constants, lists, tuples, tables, `dict(...)` calls, arithmetic of numbers, names assigned before, and
names of imported things, which stay words.
"""

from __future__ import annotations

import ast
import operator
from typing import Any

from tuiwiz.base.errors import InvalidError

DEEPEST = 40
LARGEST_NUMBER = 1e15
_SIGNS: dict[type[ast.operator], Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}


class Unknown(str):
    """Something that only running the file would tell; its text is kept for the report."""


def assignments(text: str) -> dict[str, Any]:
    """Every name that the file sets at its top level, with its value as far as reading can tell.

    Raises:
        InvalidError: it is no Python.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InvalidError(f"no valid Python: {error}") from error
    found: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = _value(node.value, found, 0)
        elif isinstance(node, ast.With):
            # `with read_base(): from ... import *`: the values lie in other files.
            found["_base_"] = [ast.unparse(one)[:200] for one in node.body]
    return found


def _value(node: ast.expr, known: dict[str, Any], depth: int) -> Any:
    if depth > DEEPEST:
        return Unknown("nested too deeply")
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return known.get(node.id, Unknown(node.id))
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return [_value(one, known, depth + 1) for one in node.elts[:1000]]
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {str(_value(k, known, depth + 1)): _value(v, known, depth + 1) for k, v in pairs if k is not None}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        return {one.arg: _value(one.value, known, depth + 1) for one in node.keywords if one.arg is not None}
    if isinstance(node, ast.Attribute):
        return Unknown(ast.unparse(node)[:200])
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _value(node.operand, known, depth + 1)
        return -value if isinstance(value, int | float) else Unknown(ast.unparse(node)[:200])
    if isinstance(node, ast.BinOp) and type(node.op) in _SIGNS:
        return _arithmetic(node, known, depth)
    return Unknown(ast.unparse(node)[:200])


def _arithmetic(node: ast.BinOp, known: dict[str, Any], depth: int) -> Any:
    left, right = _value(node.left, known, depth + 1), _value(node.right, known, depth + 1)
    both = all(isinstance(one, int | float) and abs(one) < LARGEST_NUMBER for one in (left, right))
    if both and not (right == 0 and isinstance(node.op, ast.Div | ast.FloorDiv)):
        return _SIGNS[type(node.op)](left, right)
    if isinstance(node.op, ast.Add) and isinstance(left, list) and isinstance(right, list):
        return (left + right)[:1000]
    return Unknown("a value that only running the file would tell")
