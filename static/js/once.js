// `[data-once="name"]` is shown because the address says so; the name is taken out of it, so that a reload shows it no more.

const shown = document.querySelector("[data-once]");

if (shown) {
  const address = new URL(location);
  address.searchParams.delete(shown.dataset.once);
  history.replaceState(history.state, "", address);
}
