// Rectangles `{x, y, width, height}` and what is done with them. Plain values; null is no rectangle.

export function rect(x, y, width, height) {
  return { x, y, width, height };
}

/** The rectangle with these two corners, in whichever order they come. */
export function spanning(a, b) {
  return rect(Math.min(a.x, b.x), Math.min(a.y, b.y), Math.abs(a.x - b.x), Math.abs(a.y - b.y));
}

/** The smallest rectangle that holds both. */
export function union(a, b) {
  if (!a || !b) return a ?? b;
  const [x, y] = [Math.min(a.x, b.x), Math.min(a.y, b.y)];
  return rect(x, y, Math.max(a.x + a.width, b.x + b.width) - x, Math.max(a.y + a.height, b.y + b.height) - y);
}

/** What both have in common, null if nothing. */
export function overlap(a, b) {
  const [x, y] = [Math.max(a.x, b.x), Math.max(a.y, b.y)];
  const width = Math.min(a.x + a.width, b.x + b.width) - x;
  const height = Math.min(a.y + a.height, b.y + b.height) - y;
  return width > 0 && height > 0 ? rect(x, y, width, height) : null;
}

/** The whole pixels that a rectangle touches. */
export function whole(a) {
  const [x, y] = [Math.floor(a.x), Math.floor(a.y)];
  return rect(x, y, Math.ceil(a.x + a.width) - x, Math.ceil(a.y + a.height) - y);
}

export function isSame(a, b) {
  return a.x === b.x && a.y === b.y && a.width === b.width && a.height === b.height;
}
