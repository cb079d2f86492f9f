"""Keys of the user's own: `[keys]` in config.toml maps the id of a binding to keys, such as `"run.pause" = "p"`."""

from __future__ import annotations

import tomllib

from tuiwiz.base import places
from tuiwiz.base.problems import nearest
from tuiwiz.base.text import clean_line
from tuiwiz.ui import keys

TABLES = (keys.APP, keys.HOME, keys.RUN, keys.WIZARD, keys.COMPARE, keys.STUDY, keys.HELP)


def own_keys() -> tuple[dict[str, str], list[str]]:
    """Binding id -> keys separated by commas, and what is wrong with the file, in sentences."""
    path = places.config_file()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("keys", {})
    except FileNotFoundError:
        return {}, []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        return {}, [clean_line(f"{path} cannot be read: {error}", 200)]
    if not isinstance(table, dict):
        return {}, [f"{path}: keys is no table"]
    known = {key.id for table_of_keys in TABLES for key in table_of_keys if key.keys}
    found: dict[str, str] = {}
    wrong: list[str] = []
    for name, value in table.items():
        if name not in known:
            close = nearest(name, sorted(known))
            wrong.append(clean_line(f"{path}: no key is called {name}" + (f"; did you mean {close}?" if close else "")))
        elif not isinstance(value, str) or not value.strip():
            wrong.append(clean_line(f"{path}: {name} must be a key's name, such as p or ctrl+p"))
        else:
            found[name] = ",".join(part.strip() for part in value.split(","))
    return found, wrong
