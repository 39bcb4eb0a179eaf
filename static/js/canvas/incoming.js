// A picture that is dropped or pasted anywhere on the page: `take(file)`, or `refuse(words)` if it is none.

const NO_PICTURE = "That is no picture.";

export function awaitPictures(mark, { take, refuse }) {
  document.addEventListener("paste", ({ clipboardData }) => {
    const file = clipboardData.types.includes("text/plain") ? null : pictureIn(clipboardData); // words may come with a picture of them
    if (file) take(file);
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    mark.dataset.over = "true";
  });
  document.addEventListener("dragleave", ({ relatedTarget }) => relatedTarget || delete mark.dataset.over);
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    delete mark.dataset.over;
    const file = pictureIn(event.dataTransfer);
    if (file) take(file);
    else refuse(NO_PICTURE);
  });
}

function pictureIn(carried) {
  return [...(carried?.files ?? [])].find(({ type }) => type.startsWith("image/"));
}
