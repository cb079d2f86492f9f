"""Several optimizers behind the interface of one, for update rules that cover only some shapes of tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Joined:
    """Steps `parts` one after the other. Its state is that of all, parameters numbered through in their order."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self.parts = tuple(parts)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for part in self.parts for group in part.param_groups]

    @property
    def state(self) -> dict[Any, Any]:
        """State by parameter; a view for looking and for `forget`, not a place to add to."""
        return {key: value for part in self.parts for key, value in part.state.items()}

    def step(self) -> None:
        for part in self.parts:
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        for part in self.parts:
            part.zero_grad(set_to_none=set_to_none)

    def state_dict(self) -> dict[str, Any]:
        state: dict[int, Any] = {}
        groups: list[dict[str, Any]] = []
        start = 0
        for part in self.parts:
            one = part.state_dict()
            state |= {start + index: value for index, value in one["state"].items()}
            groups += [
                {**group, "params": [start + index for index in group["params"]]} for group in one["param_groups"]
            ]
            start += _count(part)
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        groups = list(saved["param_groups"])
        start = 0
        for part in self.parts:
            stop = start + _count(part)
            own, groups = groups[: len(part.param_groups)], groups[len(part.param_groups) :]
            part.load_state_dict(
                {
                    "state": {i - start: value for i, value in saved["state"].items() if start <= i < stop},
                    "param_groups": [{**group, "params": [i - start for i in group["params"]]} for group in own],
                }
            )
            start = stop


def _count(optimizer: Any) -> int:
    return sum(len(group["params"]) for group in optimizer.param_groups)
