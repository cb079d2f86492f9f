"""Bundles, models, adapters and templates from strangers run no code and read no file that was not named."""

from __future__ import annotations

import ast
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest

import tuiwiz
from tests.support.processes import tuiwiz as command
from tests.support.processes import write_bundle
from tests.support.training import make_run, own_signals
from tuiwiz.base.errors import InvalidError, TuiwizError
from tuiwiz.bundle.read import parse_bundle
from tuiwiz.data.template import ChatTemplate
from tuiwiz.data.turns import RowError
from tuiwiz.executor import train

SOURCE = Path(tuiwiz.__file__).parent
FORBIDDEN = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_ATTRIBUTES = {
    ("torch", "load"),
    ("pickle", "load"),
    ("pickle", "loads"),
    ("os", "system"),
    ("os", "popen"),
    ("yaml", "load"),
    ("marshal", "loads"),
}


def calls(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_nothing_in_the_code_evaluates_unpickles_or_opens_a_shell(path: Path) -> None:
    for call in calls(ast.parse(path.read_text(encoding="utf-8"))):
        function = call.func
        if isinstance(function, ast.Name):
            assert function.id not in FORBIDDEN, (path, call.lineno)
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            assert (function.value.id, function.attr) not in FORBIDDEN_ATTRIBUTES, (path, call.lineno)
        for keyword in call.keywords:
            if keyword.arg in ("shell", "trust_remote_code", "weights_only"):
                assert isinstance(keyword.value, ast.Constant) and keyword.value.value is False, (path, call.lineno)


class Bomb:
    """Unpickled, it leaves a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.marker,))


def test_a_model_that_brings_code_of_its_own_is_not_asked_to_run_it(tmp_path: Path, tiny_model: Path) -> None:
    marker = tmp_path / "ran"
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    (model / "modeling_evil.py").write_text(f"open({str(marker)!r}, 'w')\nclass Evil: pass\n")
    config = json.loads((model / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoModelForCausalLM": "modeling_evil.Evil", "AutoConfig": "x.Y"}}
    (model / "config.json").write_text(json.dumps(config))
    done = command("run", write_bundle(tmp_path / "work", model), "--json")
    assert done.returncode == 3, done.stdout[-500:]
    assert not marker.exists() and "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["pytorch_model.bin", "adapter_model.bin"])
def test_pickles_are_never_opened(tmp_path: Path, tiny_model: Path, name: str) -> None:
    marker = tmp_path / "ran"
    source = tmp_path / "source"
    shutil.copytree(tiny_model, source)
    (source / "model.safetensors").unlink()
    (source / name).write_bytes(pickle.dumps(Bomb(marker)))
    changes: dict[str, Any] = {"model__source": str(source)}
    if name.startswith("adapter"):
        (source / "adapter_config.json").write_text(
            json.dumps({"peft_type": "LORA", "r": 4, "target_modules": ["q_proj"]})
        )
        changes = {"adapter__from": str(source)}
    run = make_run(tmp_path, tiny_model, **changes)
    with own_signals(), pytest.raises(InvalidError, match=r"weights|safetensors"):
        train.run(run.path)
    assert not marker.exists()


def test_a_tokenizer_s_template_stays_in_its_sandbox() -> None:
    attacks = (
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.__init__.__globals__ }}",
        "{{ raise_exception.__globals__['json'] }}",
        "{{ self.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{{ messages.append(1) }}",
        "{{ namespace.__class__ }}",
        "{% for i in range(999999999) %}x{% endfor %}",
        "{% include '/etc/passwd' %}",
        "{% import '/etc/passwd' as x %}",
    )
    for text in attacks:
        try:
            shown = ChatTemplate(text, name="evil", variables={}).render([{"role": "user", "content": "x"}])
        except (RowError, InvalidError):
            continue
        assert shown in ("", "[]") or "Undefined" in shown, (text, shown[:200])


HOSTILE = (
    "__import__('os').system('true')",
    "${HOME}",
    "$(touch ran)",
    "`touch ran`",
    "!!python/object/apply:os.system ['true']",
    "../../../../etc/passwd",
    "/dev/zero",
    "file:///etc/passwd",
    "http://127.0.0.1:9/evil",
    "git+https://127.0.0.1:9/evil",
    "\\\\server\\share",
    "x; touch ran",
)


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("key", ["model.source", "data.train", "data.template", "name"])
def test_values_are_values_and_never_executed_or_fetched(tmp_path: Path, key: str, value: str) -> None:
    from tuiwiz.wizard.preflight import preflight

    keys = {"task.kind": "instruct", "model.source": "m", "data.train": "d.jsonl", key: value}
    text = "\n".join(f"{name} = {json.dumps(one)}" for name, one in keys.items()) + "\nschedule.steps = 1\n"
    bundle, problems = parse_bundle(text)
    assert bundle is not None or not problems.ok
    if bundle is not None and value != "/dev/zero":
        try:
            report = preflight(bundle, tmp_path)
            assert report.problems
        except TuiwizError as error:
            assert error.message
    assert list(tmp_path.iterdir()) == [tmp_path / "home"] or not list(tmp_path.glob("ran"))


def test_a_bundle_has_no_key_that_names_code() -> None:
    for key in ("model.trust_remote_code", "model.code", "data.script", "callbacks", "task.module", "notify.url"):
        section, _, name = key.rpartition(".")
        text = (f"[{section}]\n" if section else "") + f"{name} = true\n"
        bundle, problems = parse_bundle(text)
        assert bundle is None and any("unknown key" in problem.message for problem in problems.errors), key
