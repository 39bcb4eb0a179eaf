// The hatching of the mask: a tint that lets the picture through and lines that show on light and dark pictures alike.

const PERIOD = 9; // stage pixels between two lines
const LINE = 1.8; // stage pixels
const SHADOW = 3; // stage pixels, the dark companion of a line
const SHADE = 0.35; // opacity
const TINT = 0.3; // opacity

/** A tile that repeats without seams, for a screen of `ratio` device pixels a stage pixel. */
export function hatchTile(color, ratio) {
  const side = Math.max(4, Math.round(PERIOD * ratio));
  const tile = document.createElement("canvas");
  tile.width = tile.height = side;
  const pen = tile.getContext("2d");
  pen.globalAlpha = TINT;
  pen.fillStyle = color;
  pen.fillRect(0, 0, side, side);
  pen.globalAlpha = SHADE;
  rule(pen, side, "black", SHADOW * ratio);
  pen.globalAlpha = 1;
  rule(pen, side, color, LINE * ratio);
  return tile;
}

function rule(pen, side, color, width) {
  pen.strokeStyle = color;
  pen.lineWidth = width;
  pen.beginPath();
  for (const offset of [-side, 0, side]) {
    pen.moveTo(offset - side, 2 * side);
    pen.lineTo(offset + 2 * side, -side);
  }
  pen.stroke();
}
