// Lua for the eye: splits a script into pieces with a kind each. It judges nothing; the server's Lua does.

const WORDS = new Set(
  "and break do else elseif end false for function goto if in local nil not or repeat return then true until while".split(" "),
);
const CALLS = new Set(
  "gauge counter status log print param series processes facts http tcp tls file exec json".split(" "),
);
// In this order: long comments and texts, comments, texts, numbers, names; whatever is left is one character.
const PIECE =
  /--\[(=*)\[[^]*?(?:\]\1\]|$)|\[(=*)\[[^]*?(?:\]\2\]|$)|--[^\n]*|"(?:[^"\\\n]|\\[^])*"?|'(?:[^'\\\n]|\\[^])*'?|0[xX][\da-fA-F.]+(?:[pP][+-]?\d+)?|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|[A-Za-z_]\w*|\s+|[^]/g;

/** Pieces of a script, [kind, text]; together they are the script. Kind "" is nothing in particular. */
export function tokens(script) {
  const found = [];
  for (const [text] of script.matchAll(PIECE)) {
    const kind = kindOf(text);
    const last = found.at(-1);
    if (last && last[0] === kind) last[1] += text;
    else found.push([kind, text]);
  }
  return found;
}

function kindOf(text) {
  if (text.startsWith("--")) return "comment";
  if (/^(?:["']|\[=*\[)/.test(text)) return "text";
  if (/^\d/.test(text)) return "number";
  if (WORDS.has(text)) return "word";
  return CALLS.has(text) ? "call" : "";
}
