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
  return controls.length;
};

// What has the focus now: null when the round is over, else the complaints about it.
look.focused = () => {
  const here = document.activeElement;
  if (!here || here === document.body || here === document.documentElement || look.visited.has(here)) return null;
  look.visited.add(here);
  look.left.delete(look.group(here));
  const found = [];
  if (look.before.get(here) === look.appearance(here)) found.push(`${look.name(here)} does not show that it has the focus`);
  const { left, right, top, bottom } = look.box(here);
  if (right <= 0 || bottom <= 0 || left >= innerWidth || top >= innerHeight)
    found.push(`${look.name(here)} is not on the screen when it has the focus`);
  return found;
};

look.unreached = () => [...look.left.values()].map((name) => `${name} is not reached by the tabulator`);
