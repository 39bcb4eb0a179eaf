// The hatching of the mask: a tint that lets the picture through, and light lines beside dark ones, of which one shows on
// any picture, whatever its colours.

const PERIOD = 9; // stage pixels between two lines
const LINE = 1.6; // stage pixels
const LIGHT = "#fff7ef";
const DARK = "#1d130c";
const SHADE = 0.8; // opacity of the dark line
const TINT = 0.3; // opacity

/** A tile that repeats without seams, for a screen of `ratio` device pixels a stage pixel. */
export function hatchTile(color, ratio) {
  const [tile, pen, side] = blank(ratio);
  pen.globalAlpha = TINT;
  pen.fillStyle = color;
  pen.fillRect(0, 0, side, side);
  pen.globalAlpha = SHADE;
  rule(pen, side, DARK, LINE * ratio, LINE * ratio * Math.SQRT2);
  pen.globalAlpha = 1;
  rule(pen, side, LIGHT, LINE * ratio, 0);
  return tile;
}

/** The same for the rim of a mask: dashes of light and dark, nothing between them. */
export function dashTile(ratio) {
  const [tile, pen, side] = blank(ratio);
  pen.fillStyle = DARK;
  pen.fillRect(0, 0, side, side);
  rule(pen, side, LIGHT, side / 2 / Math.SQRT2, 0);
  return tile;
}

function blank(ratio) {
  const side = Math.max(4, Math.round(PERIOD * ratio));
  const tile = document.createElement("canvas");
  tile.width = tile.height = side;
  return [tile, tile.getContext("2d"), side];
}

function rule(pen, side, color, width, shift) {
  pen.strokeStyle = color;
  pen.lineWidth = width;
  pen.beginPath();
  for (const offset of [-side, 0, side]) {
    pen.moveTo(offset - side + shift, 2 * side);
    pen.lineTo(offset + 2 * side + shift, -side);
  }
  pen.stroke();
}
