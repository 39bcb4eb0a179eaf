// Makes the file of a mask in a thread of its own: bytes in, a PNG out, or null where there is no memory for it.

const OPAQUE = 0xff000000; // of a pixel as one number; browsers run on little-endian machines alone
const GREY = 0x010101;

addEventListener("message", async ({ data: { width, height, bytes, answer } }) => {
  answer.postMessage(await png(width, height, bytes).catch(() => null));
});

async function png(width, height, bytes) {
  const pixels = new ImageData(width, height);
  const greys = new Uint32Array(pixels.data.buffer);
  for (let at = 0; at < bytes.length; at++) greys[at] = OPAQUE | (bytes[at] * GREY); // a quarter of the stores
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}
