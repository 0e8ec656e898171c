// Whether two values would be the same JSON, whatever the order of their keys.
export const same = (a, b) => canonical(a) === canonical(b);

const canonical = (value) => JSON.stringify(value, (_, part) => (isObject(part) ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))) : part));
const isObject = (part) => part !== null && typeof part === "object" && !Array.isArray(part);
