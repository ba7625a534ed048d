"""``${…}`` and ``{{ … }}`` in the values of an inventory.

Tokens in ``${…}`` are replaced only where Pigsty replaces them (``TOKENS``): anywhere else, in a
crontab line say, they belong to somebody else. Jinja2 runs in its sandbox with bounds on size and
time; a value that is one expression keeps the expression's type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template
from jinja2 import TemplateError as JinjaError
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.nativetypes import NativeCodeGenerator, NativeEnvironment, NativeTemplate
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment
from jinja2.utils import missing

from pigsty.errors import TemplateError
from pigsty.template_filters import FILTERS, GLOBALS, MAX_TEXT, TESTS, check_call, check_operation

#: Looks a variable up for a template; raises KeyError when nothing has that name.
Lookup = Callable[[str], Any]
_LOOKUP = "__lookup__"
#: What a filter raises when its input doesn't suit it.
_FAILURES = (ArithmeticError, LookupError, TypeError, ValueError, AttributeError)


def has_template(text: str) -> bool:
    """Return whether a string holds a template."""
    return "{{" in text or "{%" in text


def render(value: Any, lookup: Lookup, path: str = "", line: int | None = None) -> Any:
    """Render every template within plain data.

    Args:
        value: plain data.
        lookup: how a template finds a variable.
        path: dotted path of the value in the file, for errors.
        line: its line.

    Raises:
        TemplateError: bad syntax, an unknown name, or something that the sandbox refuses.
    """
    if isinstance(value, str):
        return _render_text(value, lookup, path, line) if has_template(value) else value
    if isinstance(value, list):
        return [render(item, lookup, f"{path}[{i}]", line) for i, item in enumerate(value)]
    if isinstance(value, dict):
        return {
            render(key, lookup, path, line): render(item, lookup, f"{path}.{key}", line)
            for key, item in value.items()
        }
    return value


def needs_rendering(value: Any) -> bool:
    """Return whether plain data holds a template anywhere."""
    if isinstance(value, str):
        return has_template(value)
    if isinstance(value, list):
        return any(needs_rendering(item) for item in value)
    if isinstance(value, dict):
        return any(needs_rendering(key) or needs_rendering(v) for key, v in value.items())
    return False


def _render_text(text: str, lookup: Lookup, path: str, line: int | None) -> Any:
    """Render one string."""
    try:
        result = _compile(text).render({_LOOKUP: lookup})
        if isinstance(result, StrictUndefined):
            result._fail_with_undefined_error()
        return plain(result)
    except TemplateError:
        raise
    except UndefinedError as error:
        raise TemplateError(
            f"the template {_short(text)} names something unknown: {error}",
            path=path,
            line=line,
            hint="define the variable, or give it a default: {{ name | default('…') }}",
        ) from error
    except SecurityError as error:
        raise TemplateError(
            f"the template {_short(text)} is refused: {error}", path=path, line=line
        ) from error
    except (JinjaError, *_FAILURES) as error:
        raise TemplateError(
            f"the template {_short(text)} can't be rendered: {error}", path=path, line=line
        ) from error
    except (RecursionError, MemoryError) as error:
        raise TemplateError(
            f"the template {_short(text)} never ends", path=path, line=line
        ) from error


def plain(value: Any) -> Any:
    """Return what a template made as plain data: mappings as dict, sequences as list."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Iterable):
        items = []
        for item in value:
            items.append(plain(item))
            if len(items) > MAX_TEXT:
                raise SecurityError("it makes too many items")
        return items
    return value


def _short(text: str) -> str:
    """Return a text as a message shows it."""
    return repr(text if len(text) <= 60 else text[:57] + "…")


class _Context(Context):
    """Finds what a template names when it names it, and nothing before."""

    def resolve_or_missing(self, key: str) -> Any:
        """Return the value of a name, or jinja2's mark for a missing one."""
        found = super().resolve_or_missing(key)
        if found is missing:
            try:
                return self.parent[_LOOKUP](key)
            except KeyError:
                return missing
        return found


class _Environment(SandboxedEnvironment, NativeEnvironment):
    """jinja2's sandbox, native types, bounds on size, and no randomness."""

    context_class = _Context
    code_generator_class = NativeCodeGenerator
    intercepted_binops = frozenset(("*", "**", "%", "+"))

    @staticmethod
    def concat(values: Iterable[Any]) -> Any:
        """Join the parts of a template; a single part keeps its type."""
        parts: list[Any] = []
        size = 0
        for part in values:
            parts.append(part)
            size += len(part) if isinstance(part, str) else 1
            if size > MAX_TEXT:
                raise SecurityError("its text is too long")
        if len(parts) == 1:
            return parts[0]
        return "".join(str(part) for part in parts)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute an operator after a look at how large the result would be."""
        check_operation(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call something after a look at how large the result would be."""
        check_call(__obj, args)
        return super().call(__context, __obj, *args, **kwargs)


def _environment() -> _Environment:
    """Return the one environment."""
    environment = _Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    environment.filters = dict(FILTERS)
    environment.tests.update(TESTS)
    environment.globals = dict(GLOBALS)
    return environment


class _Template(NativeTemplate):
    """A compiled template."""

    environment_class = _Environment


_Environment.template_class = _Template
_ENVIRONMENT = _environment()


@lru_cache(maxsize=4096)
def _compile(text: str) -> Template:
    """Return the compiled template of a text."""
    return _ENVIRONMENT.from_string(text)


_VERSION = {"${pg_version}": "pg_version"}
#: Which tokens are replaced in which parameters: parameter -> token -> variable. ``${admin_ip}`` is
#: replaced everywhere.
TOKENS: Mapping[str, Mapping[str, str]] = {
    "pg_packages": _VERSION,
    "pg_extensions": _VERSION,
    "repo_packages": _VERSION,
    "repo_extra_packages": _VERSION,
    "pgbackrest_repo": {"${pg_cluster}": "pg_cluster"},
    "minio_node": {"${minio_cluster}": "minio_cluster", "${minio_seq}": "minio_seq"},
}
_USERS: Mapping[str, str] = {
    "${dbsu}": "pg_dbsu",
    "${repl}": "pg_replication_username",
    "${monitor}": "pg_monitor_username",
    "${admin}": "pg_admin_username",
}
_HBA = frozenset(("pg_hba_rules", "pg_default_hba_rules", "pgb_hba_rules", "pgb_default_hba_rules"))


def substitute(name: str, value: Any, ip: str, lookup: Lookup) -> Any:
    """Replace the ``${…}`` tokens that Pigsty replaces in one parameter.

    Args:
        name: the parameter.
        value: plain data; it isn't changed.
        ip: address of the host.
        lookup: how the token's variable is found.
    """
    if not _has_token(value):
        return value
    if name in _HBA:
        value = [_hba_user(rule, lookup) for rule in value] if isinstance(value, list) else value
    if name == "pg_listen" and isinstance(value, str):
        value = _listen(value, ip, lookup)
    for token, variable in {"${admin_ip}": "admin_ip", **TOKENS.get(name, {})}.items():
        value = _replace(value, token, variable, lookup)
    return value


def _has_token(value: Any) -> bool:
    """Return whether plain data holds a token anywhere."""
    if isinstance(value, str):
        return "${" in value
    if isinstance(value, list):
        return any(_has_token(item) for item in value)
    if isinstance(value, dict):
        return any(_has_token(item) for item in value.values())
    return False


def _replace(value: Any, token: str, variable: str, lookup: Lookup) -> Any:
    """Replace one token in every string of plain data."""
    if isinstance(value, str):
        if token not in value:
            return value
        found = lookup(variable)
        return value if found is None else value.replace(token, str(found))
    if isinstance(value, list):
        return [_replace(item, token, variable, lookup) for item in value]
    if isinstance(value, dict):
        return {key: _replace(item, token, variable, lookup) for key, item in value.items()}
    return value


def _hba_user(rule: Any, lookup: Lookup) -> Any:
    """Replace the token that is the whole ``user`` of an HBA rule."""
    if isinstance(rule, dict) and rule.get("user") in _USERS:
        return {**rule, "user": lookup(_USERS[rule["user"]])}
    return rule


def _listen(value: str, ip: str, lookup: Lookup) -> str:
    """Replace the addresses of ``pg_listen``; ``${vip}`` goes away where there is no VIP."""
    vip = str(lookup("pg_vip_address") or "").partition("/")[0]
    if not lookup("pg_vip_enabled") or vip.startswith("127.0.0."):
        vip = ""
    parts = (part.strip() for part in value.split(","))
    replaced = (
        part.replace("${ip}", ip).replace("${lo}", "127.0.0.1").replace("${vip}", vip)
        for part in parts
    )
    return ",".join(dict.fromkeys(part for part in replaced if part))
