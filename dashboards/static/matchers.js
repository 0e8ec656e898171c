// Matchers as text: apart at spaces, a value with spaces in quotes, values in the places of variables.

/** `node=$node device=~"a b"` apart at its spaces, but for those in quotes. */
export function matchers(text) {
  return text.match(/(?:"(?:[^"\\]|\\.)*"?|[^\s"])+/g) ?? [];
}

/** A matcher as it can stand beside others: in quotes where its value has a space. */
export function spaced(matcher) {
  const [, before, value] = /^([^=!~]*(?:=~|!~|!=|=))(.*)$/s.exec(matcher) ?? [];
  if (value === undefined || value.startsWith('"') || !/\s/.test(value)) return matcher;
  return `${before}"${value.replace(/[\\"]/g, "\\$&")}"`;
}

/** Matchers with what is chosen in the places of variables, as domain/dashboards.py does it; all leaves one out, several are a pattern. */
export function bound(match, values) {
  return match.flatMap((matcher) => {
    const [, label, operator, name] = /^\s*([\w.]+)\s*(=~|!~|!=|=)\s*"?\$([A-Za-z_]\w*)"?\s*$/.exec(matcher) ?? [];
    if (!name || !(name in values)) return [matcher];
    const chosen = [values[name]].flat().filter(Boolean);
    if (!chosen.length) return [];
    const isOne = chosen.length === 1;
    const text = isOne ? chosen[0] : chosen.map((one) => one.replace(/[\\.^$*+?()[\]{}|]/g, "\\$&")).join("|");
    const value = /^[^\s"]*$/.test(text) ? text : `"${text.replace(/[\\"]/g, "\\$&")}"`;
    return [`${label}${operator[0]}${isOne ? (operator[0] === "=" ? "" : "=") : "~"}${value}`];
  });
}
