// Expressions with variables, and legends with labels.

/** A value inside quotes: nothing in it can end them. */
export function quoted(value) {
  return value.replace(/[\\"]/g, "\\$&").replaceAll("\n", "\\n");
}

/** A value inside a quoted regular expression: it matches itself and nothing else. */
export function literal(value) {
  return quoted(value.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
}

/**
 * An expression with its variables filled in.
 * Behind =~ and !~ a value matches itself, and a choice of all (null) everything.
 */
export function filled(expr, chosen) {
  return expr.replace(/([=!][=~]?)\s*"((?:[^"\\]|\\.)*)"/g, (whole, operator, text) => {
    const regular = operator.endsWith("~");
    const made = text.replace(/\$(\w+)/g, (token, name) => {
      if (!(name in chosen)) return token;
      const value = chosen[name];
      if (value === null) return regular ? ".*" : "";
      return regular ? literal(value) : quoted(value);
    });
    return `${operator}"${made}"`;
  });
}

/** The name of a series: the legend with its labels, or the labels themselves. */
export function named(legend, labels) {
  if (legend) return legend.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => labels[name] ?? "").trim();
  return Object.entries(labels).filter(([name]) => name !== "__name__").map(([, value]) => value).join(" ");
}
