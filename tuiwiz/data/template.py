"""Chat templates: the model's own, named ones, or a Jinja file, rendered in a sandbox as transformers renders them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from tuiwiz.base.errors import InvalidError
from tuiwiz.base.places import expanded
from tuiwiz.base.problems import nearest
from tuiwiz.base.text import clean_line
from tuiwiz.data.turns import RowError
from tuiwiz.data.types import Message

NAMED: dict[str, str] = {
    # For base models: no control tokens are needed but the end of sequence, and generation stops at it.
    "instruction": (
        "{{ bos_token }}{% for message in messages %}"
        "{% if not loop.first %}{{ '\\n\\n' }}{% endif %}"
        "{% if message['role'] == 'system' %}{{ message['content'] }}"
        "{% elif message['role'] == 'assistant' %}{{ '### Response:\\n' + message['content'] + eos_token }}"
        "{% elif message['role'] == 'tool' %}{{ '### Result:\\n' + message['content'] }}"
        "{% else %}{{ '### Instruction:\\n' + message['content'] }}{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}{{ '\\n\\n### Response:\\n' }}{% endif %}"
    ),
    "chatml": (
        "{% for message in messages %}"
        "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    ),
    "plain": (
        "{{ bos_token }}{% for message in messages %}{{ message['content'] }}"
        "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}"
        "{% if not loop.last or add_generation_prompt %}{{ '\\n' }}{% endif %}{% endfor %}"
    ),
}
"""Templates of our own, by the name that `data.template` takes."""

DEFAULT = "instruction"
"""The named template for models that bring none."""


class ChatTemplate:
    """A compiled template. `name` is where it came from; `text` is its Jinja source, to be saved beside the model.

    Args:
        variables: what the template sees besides the messages: `bos_token`, `eos_token` and so on.
    """

    def __init__(self, text: str, *, name: str, variables: dict[str, Any]) -> None:
        self.text = text
        self.name = name
        self._variables = variables
        self._render = _compiled(text)

    @property
    def knows_tools(self) -> bool:
        return "tools" in self.text

    @property
    def knows_tool_calls(self) -> bool:
        return "tool_calls" in self.text

    def render(self, messages: Sequence[Message], *, tools: list[Any] | None = None, prompt: bool = False) -> str:
        """The chat as text; with `prompt`, up to where an answer would start.

        Raises:
            RowError: the template rejects these turns.
        """
        import jinja2

        try:
            return self._render(
                messages=messages, tools=tools, documents=None, add_generation_prompt=prompt, **self._variables
            )
        except (jinja2.TemplateError, TypeError, LookupError, ValueError, AttributeError, ArithmeticError) as error:
            reason = clean_line(str(error), 160)
            hint = "the model's chat template does not allow these turns; data.template names another"
            raise RowError(f"the chat template refuses the row: {reason}", hint=hint) from None
        except RecursionError:
            raise RowError("is nested too deeply for the chat template") from None


@lru_cache(maxsize=8)
def _compiled(text: str) -> Callable[..., str]:
    """Raises InvalidError where the template is not valid Jinja."""
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _generation_blocks()]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = lambda format: datetime.now().strftime(format)
    try:
        template = environment.from_string(text)
    except jinja2.TemplateSyntaxError as error:
        message = f"the chat template is not valid Jinja: {clean_line(str(error), 120)} (line {error.lineno})"
        raise InvalidError(message, hint="data.template = 'chatml' or a file of your own replaces it") from None
    # Jinja chains the environment's names to the template's; one dictionary halves the time of a rendering.
    template.globals = dict(template.globals)
    return template.render


def _tojson(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    # Jinja's own filter escapes HTML characters, which models were not trained on.
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise(message: str) -> None:
    import jinja2

    raise jinja2.TemplateError(message)


def _generation_blocks() -> Any:
    """`{% generation %}` blocks, which some templates put around answers, render as what is inside them."""
    from jinja2 import nodes
    from jinja2.ext import Extension
    from jinja2.parser import Parser

    class Generation(Extension):
        tags = {"generation"}

        def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body, lineno=line)

    return Generation


def load_template(choice: str, folder: Path | None, config: dict[str, Any], variables: dict[str, Any]) -> ChatTemplate:
    """The template that `data.template` asks for: `model`, a name of `NAMED`, or the path of a Jinja file.

    Raises:
        InvalidError: there is no such template, or it is not valid Jinja.
    """
    if choice == "model":
        text = own_template(folder, config)
        name = "the model's own" if text else DEFAULT
        return ChatTemplate(text or NAMED[DEFAULT], name=name, variables=variables)
    if choice in NAMED:
        return ChatTemplate(NAMED[choice], name=choice, variables=variables)
    path = expanded(choice)
    if path.is_file():
        try:
            return ChatTemplate(path.read_text(encoding="utf-8"), name=path.name, variables=variables)
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidError(f"{path}: the chat template cannot be read: {error}") from None
    close = nearest(choice, ["model", *NAMED])
    hint = f"did you mean {close}?" if close else f"known: model, {', '.join(NAMED)}, or the path of a Jinja file"
    raise InvalidError(f"there is no chat template '{clean_line(choice, 60)}'", hint=hint)


def own_template(folder: Path | None, config: dict[str, Any]) -> str:
    """The Jinja source of the template that the model folder brings; empty where it brings none."""
    if folder is None:
        return ""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    found = config.get("chat_template")
    if found is None and (folder / "chat_template.json").is_file():
        try:
            found = msgspec.json.decode((folder / "chat_template.json").read_bytes()).get("chat_template")
        except (msgspec.DecodeError, AttributeError):
            found = None
    if isinstance(found, list):
        named = {entry.get("name"): entry.get("template") for entry in found if isinstance(entry, dict)}
        found = named.get("default") or next(iter(named.values()), None)
    return found if isinstance(found, str) else ""
