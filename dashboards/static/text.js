// Words of a text panel as elements: headings, lists, quotes, code, bold, italics and links, as in Markdown.
// Elements are made one by one, so that nothing a text holds is ever read as HTML.
const BLOCKS = [
  [/^(#{1,3})\s+(.*)$/, ([, marks, words]) => ({ kind: `h${marks.length + 1}`, words })],
  [/^\s*[-*]\s+(.*)$/, ([, words]) => ({ kind: "ul", words })],
  [/^\s*\d+[.)]\s+(.*)$/, ([, words]) => ({ kind: "ol", words })],
  [/^>\s?(.*)$/, ([, words]) => ({ kind: "blockquote", words })],
  [/^(?:-{3,}|\*{3,})\s*$/, () => ({ kind: "hr", words: "" })],
];
const SPAN = /`([^`]+)`|\*\*(.+?)\*\*|\*(.+?)\*|\[([^\]]+)\]\(([^()\s]+)\)|(https?:\/\/[^\s<>()]+)/;
const DEEPEST = 8;

/** Fill an element with a text. */
export function write(element, text) {
  element.replaceChildren();
  let open = null; // the block that the next line may go on
  for (const { kind, words } of blocks(text)) {
    if (kind === "blank") open = null;
    else if (kind === "ul" || kind === "ol") {
      if (open?.localName !== kind) open = element.appendChild(document.createElement(kind));
      spans(open.appendChild(document.createElement("li")), words);
    } else if (kind === "pre" || kind === "hr" || kind.startsWith("h")) {
      const block = element.appendChild(document.createElement(kind));
      if (kind === "pre") block.textContent = words;
      else if (kind !== "hr") spans(block, words);
      open = null;
    } else if (open?.localName === kind) {
      open.append(document.createElement("br"));
      spans(open, words);
    } else {
      open = element.appendChild(document.createElement(kind));
      spans(open, words);
    }
  }
}

function* blocks(text) {
  let code = null;
  for (const line of text.split("\n")) {
    if (line.startsWith("```")) {
      if (code) yield { kind: "pre", words: code.join("\n") };
      code = code ? null : [];
    } else if (code) code.push(line);
    else if (!line.trim()) yield { kind: "blank", words: "" };
    else {
      const [pattern, made] = BLOCKS.find(([form]) => form.test(line)) ?? [];
      yield pattern ? made(pattern.exec(line)) : { kind: "p", words: line.trim() };
    }
  }
  if (code) yield { kind: "pre", words: code.join("\n") };
}

function spans(element, words, depth = 0) {
  let rest = words;
  for (let found; depth < DEEPEST && (found = SPAN.exec(rest)); rest = rest.slice(found.index + found[0].length)) {
    element.append(rest.slice(0, found.index));
    const [, code, bold, italic, words, address, plain] = found;
    if (code) element.appendChild(document.createElement("code")).textContent = code;
    else if (bold) spans(element.appendChild(document.createElement("b")), bold, depth + 1);
    else if (italic) spans(element.appendChild(document.createElement("i")), italic, depth + 1);
    else element.append(link(address ?? plain, words ?? plain));
  }
  element.append(rest);
}

/** To pages of ours and by http and mail; any other scheme stays words. */
function link(address, words) {
  if (!/^(https?:\/\/|mailto:|\/(?!\/)|#)/i.test(address)) return words;
  const element = document.createElement("a");
  element.href = address;
  element.textContent = words;
  if (/^https?:/i.test(address)) Object.assign(element, { target: "_blank", rel: "noopener noreferrer" });
  return element;
}
