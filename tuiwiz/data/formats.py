"""The formats that are recognised, as data: which roles each has, and which column names usually play them."""

from __future__ import annotations

import msgspec


class Role(msgspec.Struct, frozen=True):
    """A part that a column plays in a format. `columns` are the usual names, the likeliest first, in lower case."""

    name: str
    columns: tuple[str, ...]
    required: bool = True


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """One format. `example` is one row as JSON; `serves` are the tasks that learn from it."""

    name: str
    about: str
    roles: tuple[Role, ...]
    example: str
    serves: tuple[str, ...]


_SYSTEM = Role("system", ("system", "system_prompt", "system_message"), False)
_TOOLS = Role("tools", ("tools", "functions"), False)
_ANSWERS = (
    "completion",
    "response",
    "answer",
    "output",
    "solution",
    "canonical_solution",
    "target",
    "reply",
    "answers",
    "generation",
    "summary",
)
_LABELS = ("label", "category", "intent", "class", "labels", "target", "sentiment", "topic", "emotion", "categories")
_TURNS = ("messages", "conversations", "conversation", "dialog", "dialogue", "chat", "turns", "chosen_messages")
_TEXTS = ("text", "sentence", "utterance", "content", "review", "tweet", "query", "title", "document", "comment")

FORMATS: tuple[Format, ...] = (
    Format(
        name="openai",
        about="Chats: a list of turns with role and content. Parts, tool calls and a weight per turn are read.",
        roles=(Role("messages", _TURNS), _TOOLS, _SYSTEM),
        example='{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]}',
        serves=("chat", "instruct"),
    ),
    Format(
        name="sharegpt",
        about="Chats: a list of turns with from (human, gpt, system, function_call, observation) and value.",
        roles=(Role("messages", ("conversations", *_TURNS)), _TOOLS, _SYSTEM),
        example='{"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello!"}]}',
        serves=("chat", "instruct"),
    ),
    Format(
        name="alpaca",
        about="An instruction, an optional input below it, an answer; optional history of [question, answer] pairs.",
        roles=(
            Role("instruction", ("instruction",)),
            Role("input", ("input", "context"), False),
            Role("output", ("output", "response", "answer", "completion", "target")),
            Role("history", ("history",), False),
            _SYSTEM,
        ),
        example='{"instruction": "Name a colour", "input": "", "output": "Blue"}',
        serves=("instruct", "chat"),
    ),
    Format(
        name="prompt-completion",
        about="A prompt and what follows it; question and answer columns are the same thing.",
        roles=(
            Role("prompt", ("prompt", "question", "query", "problem", "input", "source", "request")),
            Role("completion", _ANSWERS),
            _SYSTEM,
        ),
        example='{"question": "What is 2 + 2?", "answer": "4"}',
        serves=("instruct", "chat"),
    ),
    Format(
        name="text",
        about="Running text: the column text, or a plain text file. Every token is trained.",
        roles=(Role("text", ("text", "content", "document", "article", "body", "story")),),
        example='{"text": "It was a dark and stormy night."}',
        serves=("pretrain",),
    ),
    Format(
        name="classification",
        about="A text (or two) and one label, as a word or a whole number; also [text, label] pairs.",
        roles=(
            Role("text", (*_TEXTS, "sentence1", "premise", "question1")),
            Role("text_pair", ("text_pair", "text2", "sentence2", "hypothesis", "question2"), False),
            Role("label", _LABELS),
        ),
        example='{"text": "Where is my card?", "label": "card_arrival"}',
        serves=("classify",),
    ),
    Format(
        name="multi-label",
        about="A text and a list of labels.",
        roles=(Role("text", _TEXTS), Role("label", ("labels", "label", "categories", "tags", "topics"))),
        example='{"text": "Rain delays the final", "labels": ["weather", "sport"]}',
        serves=("classify",),
    ),
    Format(
        name="preference",
        about="A prompt or chat with a better and a worse answer.",
        roles=(
            Role("prompt", ("prompt", "question", "instruction", "query", "input"), False),
            Role("messages", _TURNS, False),
            Role("chosen", ("chosen", "preferred", "response_chosen", "chosen_response", "response_j")),
            Role("rejected", ("rejected", "dispreferred", "response_rejected", "rejected_response", "response_k")),
            _SYSTEM,
        ),
        example='{"prompt": "Say hello", "chosen": "Hello!", "rejected": "What?"}',
        serves=("dpo", "orpo", "simpo", "reward"),
    ),
    Format(
        name="kto",
        about="A prompt or chat with an answer and a verdict: true for good, false for bad.",
        roles=(
            Role("messages", _TURNS, False),
            Role("prompt", ("prompt", "question", "instruction"), False),
            Role("completion", _ANSWERS, False),
            Role("label", ("label", "kto_tag", "desirable", "is_good")),
        ),
        example='{"prompt": "Say hello", "completion": "Hello!", "label": true}',
        serves=("kto",),
    ),
    Format(
        name="reward",
        about="Two answers, the better one named, to train a reward model; read like preference.",
        roles=(
            Role("prompt", ("prompt", "question"), False),
            Role("messages", _TURNS, False),
            Role("chosen", ("chosen",)),
            Role("rejected", ("rejected",)),
        ),
        example='{"prompt": "Say hello", "chosen": "Hello!", "rejected": "What?"}',
        serves=("reward",),
    ),
)

BY_NAME: dict[str, Format] = {format.name: format for format in FORMATS}

SPEAKERS: dict[str, str] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "function_call": "call",
    "tool_call": "call",
    "observation": "tool",
    "tool": "tool",
    "function": "tool",
    "tool_response": "tool",
    "function_response": "tool",
}
"""Who speaks, by the names that data sets use; `call` is the assistant calling a tool."""
