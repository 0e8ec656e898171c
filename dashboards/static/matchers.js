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

/** Matchers with what is chosen in the places of variables, as domain/dashboards.py does it; all leaves one out. */
export function bound(match, values) {
  return match.flatMap((matcher) => {
    const [, label, operator, name] = /^\s*([\w.]+)\s*(=~|!~|!=|=)\s*"?\$([A-Za-z_]\w*)"?\s*$/.exec(matcher) ?? [];
    if (!name || !(name in values)) return [matcher];
    const value = /^[^\s"]*$/.test(values[name]) ? values[name] : `"${values[name].replace(/[\\"]/g, "\\$&")}"`;
    return values[name] ? [`${label}${operator.startsWith("=") ? "=" : "!="}${value}`] : [];
  });
}
