// Whoever has no mouse gets everywhere, and sees where they are.
look.CONTROLS = "a[href], button, input, select, textarea, summary, [tabindex], [contenteditable=true]";
look.SHOWN = ["outlineStyle", "outlineWidth", "outlineColor", "boxShadow", "backgroundColor", "borderColor", "textDecoration"];

look.reachable = (control) =>
  !control.disabled && control.tabIndex >= 0 && !control.closest("[inert]") && control.type !== "hidden";

// Of radio buttons with one name the tabulator reaches one.
look.group = (control) => (control.type === "radio" && control.name ? `radio ${control.name}` : control);

look.appearance = (element) => {
  const shown = [element, ...(element.labels ?? [])].map((each) => getComputedStyle(each));
  return shown.flatMap((style) => look.SHOWN.map((name) => style[name])).join(" ");
};

look.controls = () => {
  const controls = look.all(look.CONTROLS).filter(look.reachable);
  look.before = new Map(controls.map((control) => [control, look.appearance(control)]));
  look.left = new Map(controls.map((control) => [look.group(control), look.name(control)]));
  look.visited = new Set();
  look.lost = [];
  look.round = false;
  document.addEventListener("focusin", (event) => look.arrive(event.target));
  return look.left.size;
};

look.arrive = (here) => {
  if (look.visited.has(here)) {
    look.round = true;
    return;
  }
  look.visited.add(here);
  look.left.delete(look.group(here));
  if (look.before.get(here) === look.appearance(here)) look.lost.push(`${look.name(here)} does not show that it has the focus`);
  const { left, right } = look.box(here); // the browser scrolls up and down by itself
  if (right <= 0 || left >= innerWidth) look.lost.push(`${look.name(here)} is not on the screen when it has the focus`);
};

// How many controls are still to come.
look.ahead = () => (look.round ? 0 : look.left.size);

look.walked = () => [...look.lost, ...[...look.left.values()].map((name) => `${name} is not reached by the tabulator`)];
