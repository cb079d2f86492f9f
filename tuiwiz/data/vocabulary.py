"""A model's tokenizer with tokens of the user's own added, as a folder of its own beside the untouched model."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tuiwiz.base import places
from tuiwiz.base.errors import InvalidError
from tuiwiz.base.hashes import cached_sha256
from tuiwiz.data.tokens import TOKENIZER_FILE

_COPIED = (
    "config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "generation_config.json",
)


def with_new_tokens(folder: Path, tokens: Sequence[str]) -> Path:
    """The folder whose tokenizer knows `tokens` besides those of `folder`; `folder` itself where there are none.

    They are ordinary tokens, not control tokens: each is one id wherever it stands in a text. Ids follow the last one
    of the vocabulary, in the order given. The folder is made once, in the cache, and holds no weights.

    Raises:
        InvalidError: the vocabulary has one of them already.
    """
    if not tokens:
        return folder
    from tokenizers import AddedToken, Tokenizer

    source = folder / TOKENIZER_FILE
    key = hashlib.sha256(msgspec.json.encode([cached_sha256(source), str(folder.resolve()), list(tokens)])).hexdigest()
    made = places.cache() / "tokenizers" / key[:32]
    if (made / TOKENIZER_FILE).is_file():
        return made
    backend = Tokenizer.from_file(str(source))
    for token in tokens:
        if backend.token_to_id(token) is not None:
            raise InvalidError(
                f"adapter.new_tokens: the vocabulary has {token!r} already",
                hint="name it in adapter.train_tokens: its embedding is trained then",
            )
    backend.add_tokens([AddedToken(token, normalized=False, special=False) for token in tokens])
    made.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=made.parent, prefix=".tmp-"))
    try:
        for name in _COPIED:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, temporary / name)
        backend.save(str(temporary / TOKENIZER_FILE))
        try:
            os.rename(temporary, made)
        except OSError:
            # Another process was faster: the same words come from the same key.
            if not (made / TOKENIZER_FILE).is_file():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return made
