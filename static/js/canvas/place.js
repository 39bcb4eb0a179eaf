// Where an event happened on an element, in its own CSS pixels from its corner; right also where the page is zoomed.

export function zoomOf(element) {
  return element.offsetWidth ? element.getBoundingClientRect().width / element.offsetWidth : 1;
}

export function placeOf(event, element) {
  const box = element.getBoundingClientRect();
  const zoom = zoomOf(element);
  return { x: (event.clientX - box.left) / zoom, y: (event.clientY - box.top) / zoom };
}
