// Where panels lie on the grid: apart from each other, and with no row left empty above them. Pure.
// A panel here is {id, x, y, w, h}: column and row of its corner, and how many of each it takes.
export const COLUMNS = 12;

export const overlap = (a, b) => a.id !== b.id && a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

/** The panels with one of them where it is wanted, as nearly as the others and the grid allow; the rest makes room. */
export function place(panels, wanted) {
  const moved = within(wanted);
  const before = panels.find((panel) => panel.id === moved.id);
  const others = exchange(panels.filter((panel) => panel.id !== moved.id), moved, before).sort(byRow);
  // What it has passed by half on its way down lies above it from now on.
  const above = others.filter((other) => overlap(other, moved) && before && before.y < other.y && moved.y + moved.h > other.y + other.h / 2);
  const order = [...above, moved, ...others.filter((other) => !above.includes(other))];
  const apart = [];
  for (const panel of order) apart.push(pushedDown(panel, apart));
  return settle(apart);
}

/** Whoever it is put upon takes the place that it left, if that is large enough and free. */
function exchange(others, moved, before) {
  const isMove = before && moved.w === before.w && moved.h === before.h;
  const hit = isMove && others.find((other) => overlap(other, moved) && other.w <= before.w && other.h <= before.h);
  const swapped = hit && { ...hit, x: before.x, y: before.y };
  if (!swapped || [moved, ...others].some((other) => overlap(other, swapped))) return others;
  return others.map((other) => (other === hit ? swapped : other));
}

/** Every panel as far up as it goes, in their order. */
export function settle(panels) {
  const settled = [];
  for (const panel of [...panels].sort(byRow)) {
    let y = panel.y;
    while (y > 0 && !settled.some((other) => overlap(other, { ...panel, y: y - 1 }))) y -= 1;
    settled.push({ ...pushedDown({ ...panel, y }, settled) });
  }
  return settled;
}

/** The first place from above that has room for so much. */
export function room(panels, w, h) {
  for (let y = 0; ; y += 1) {
    for (let x = 0; x + w <= COLUMNS; x += 1) {
      const found = { id: null, x, y, w, h };
      if (!panels.some((panel) => overlap(panel, found))) return { x, y };
    }
  }
}

export const rows = (panels) => Math.max(0, ...panels.map((panel) => panel.y + panel.h));

/** In the order in which people read. */
export const byRow = (a, b) => a.y - b.y || a.x - b.x;

function within(panel) {
  const w = Math.min(Math.max(panel.w, 1), COLUMNS);
  const h = Math.min(Math.max(panel.h, 1), 40);
  return { ...panel, w, h, x: Math.min(Math.max(panel.x, 0), COLUMNS - w), y: Math.max(panel.y, 0) };
}

function pushedDown(panel, others) {
  let y = panel.y;
  for (let hit; (hit = others.find((other) => overlap(other, { ...panel, y }))); ) y = hit.y + hit.h;
  return { ...panel, y };
}
