"""XTuner's dataset map functions and what takes their place here. A data table; a test carries every row out."""

from __future__ import annotations

from typing import Any

import msgspec


class Counterpart(msgspec.Struct, frozen=True, kw_only=True):
    """`mapping` is empty where the columns are recognised without one. `row` is a row as the map function takes it."""

    name: str
    format: str
    row: dict[str, Any]
    mapping: dict[str, str] = {}
    note: str = ""


_TURNS = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello!"}]
_IMAGES = "only the text of the turns is read: images are not trained on"
_SYSTEM = "data.system holds the text that the function puts in front"

COUNTERPARTS: tuple[Counterpart, ...] = (
    Counterpart(name="alpaca", format="alpaca", row={"instruction": "Name a colour", "input": "", "output": "Blue"}),
    Counterpart(
        name="alpaca_zh",
        format="alpaca",
        row={"instruction_zh": "说一种颜色", "input_zh": "", "output_zh": "蓝色"},
        mapping={"instruction": "instruction_zh", "input": "input_zh", "output": "output_zh"},
    ),
    Counterpart(
        name="arxiv",
        format="prompt-completion",
        row={"abstract": "We show that …", "title": "On showing"},
        mapping={"prompt": "abstract", "completion": "title"},
        note=_SYSTEM,
    ),
    Counterpart(
        name="code_alpaca", format="prompt-completion", row={"prompt": "Add two numbers", "completion": "a + b"}
    ),
    Counterpart(
        name="colors",
        format="prompt-completion",
        row={"description": "Sky: a light blue", "color": "#87ceeb"},
        mapping={"prompt": "description", "completion": "color"},
        note=f"{_SYSTEM}; the words before the colon stay in the prompt",
    ),
    Counterpart(
        name="crime_kg_assitan", format="prompt-completion", row={"input": "May I?", "output": "No."}, note=_SYSTEM
    ),
    Counterpart(name="default", format="prompt-completion", row={"input": "Hi", "output": "Hello!"}),
    Counterpart(
        name="law_reference",
        format="prompt-completion",
        row={"reference": ["§ 1"], "question": "May I?", "answer": "No."},
        note=_SYSTEM,
    ),
    Counterpart(
        name="llava_image_only",
        format="sharegpt",
        row={"image": "a.jpg", "conversations": _TURNS},
        note=_IMAGES,
    ),
    Counterpart(name="llava", format="sharegpt", row={"image": "a.jpg", "conversations": _TURNS}, note=_IMAGES),
    Counterpart(
        name="medical",
        format="alpaca",
        row={"instruction": "What helps?", "input": "a cold", "output": "Rest."},
        note=_SYSTEM,
    ),
    Counterpart(
        name="msagent_react",
        format="sharegpt",
        row={"conversations": "[{'from': 'user', 'value': 'Hi'}, {'from': 'assistant', 'value': 'Hello!'}]"},
        note="lists that were written as Python text are read, never run",
    ),
    Counterpart(
        name="oasst1",
        format="openai",
        row={"text": "### Human: Hi### Assistant: Hello!### Human: Bye### Assistant: Goodbye!"},
        mapping={"messages": "text"},
        note="a transcript; recognised without a mapping, too",
    ),
    Counterpart(
        name="openai",
        format="openai",
        row={"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]},
    ),
    Counterpart(
        name="openorca",
        format="prompt-completion",
        row={"system_prompt": "Be brief.", "question": "2 + 2?", "response": "4"},
    ),
    Counterpart(name="pretrain", format="text", row={"text": "It was a dark and stormy night."}),
    Counterpart(
        name="sql",
        format="prompt-completion",
        row={"context": "CREATE TABLE t (a INT)", "question": "How many rows?", "answer": "SELECT COUNT(*) FROM t"},
        mapping={"prompt": "{context}\\n{question}", "completion": "answer"},
        note=_SYSTEM,
    ),
    Counterpart(name="stack_exchange", format="prompt-completion", row={"question": "Why?", "response": "Because."}),
    Counterpart(name="tiny_codes", format="prompt-completion", row={"prompt": "Print 1", "response": "print(1)"}),
    Counterpart(name="wizardlm", format="sharegpt", row={"conversations": _TURNS}),
)
