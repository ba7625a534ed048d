"""``{{ … }}`` in the values of an inventory (``${…}`` is the business of :mod:`pigsty.tokens`).

Jinja2 runs in its sandbox with bounds on size and time; a value that is one expression keeps the
expression's type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, nodes
from jinja2 import TemplateError as JinjaError
from jinja2.compiler import Frame
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.nativetypes import NativeCodeGenerator, NativeEnvironment, NativeTemplate
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing
from jinja2.visitor import NodeTransformer

from pigsty.errors import TemplateError
from pigsty.template_bounds import (
    BOUNDED,
    BUDGET,
    JOINED,
    MAX_ROUNDS,
    MAX_TEXT,
    check_call,
    check_operation,
    refused,
)
from pigsty.template_filters import FILTERS, GLOBALS, TESTS

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
        result = _compile(text).render({_LOOKUP: lookup, BUDGET: [MAX_ROUNDS]})
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


class _Generator(NativeCodeGenerator):
    """Compiles constants as expressions: folded at compile time they would all become text."""

    def _output_child_to_const(
        self, node: nodes.Expr, frame: Frame, finalize: NativeCodeGenerator._FinalizeInfo
    ) -> Any:
        """Return the text between expressions; anything else is computed when it is rendered."""
        if not isinstance(node, nodes.TemplateData):
            raise nodes.Impossible
        return super()._output_child_to_const(node, frame, finalize)


class _Environment(ImmutableSandboxedEnvironment, NativeEnvironment):
    """jinja2's sandbox without changes to values, native types, bounds on size, no randomness."""

    context_class = _Context
    code_generator_class = _Generator
    intercepted_binops = frozenset(("*", "**", "%", "+"))

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """Parse a template, and let every loop and every ``~`` pass by the bounds."""
        tree = super()._parse(source, name, filename)
        return _Bounds().visit(tree)  # type: ignore[no-any-return]

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

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Refuse ``str.format``, whose widths know no bound, before jinja2 makes one of its own."""
        wrapped = super().wrap_str_format(value)
        return wrapped and refused(f"the method {wrapped.__name__}", "its widths know no bound")


class _Bounds(NodeTransformer):
    """Puts a filter that counts around what a loop runs over, and one that measures at ``~``."""

    def visit_For(self, node: nodes.For) -> nodes.For:
        """Count the rounds of a loop."""
        self.generic_visit(node)
        node.iter = self._filter(node.iter, BOUNDED)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        """Measure what ``~`` makes."""
        self.generic_visit(node)
        return self._filter(nodes.List(node.nodes, lineno=node.lineno), JOINED)

    @staticmethod
    def _filter(node: nodes.Node, name: str) -> nodes.Filter:
        """Return a filter around an expression."""
        return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


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
