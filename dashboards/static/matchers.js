// Matchers in one line of text: apart at spaces, a value with spaces in quotes.

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
