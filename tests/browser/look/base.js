// What all looks need: which elements are seen, their boxes, and what to call them. Every look returns complaints.
const look = {};

look.name = (element) => {
  const id = element.id ? `#${element.id}` : "";
  const names = [...element.classList].slice(0, 2).map((name) => `.${name}`).join("");
  const text = (element.textContent ?? "").replace(/\s+/g, " ").trim().slice(0, 40);
  return `<${element.localName}${id}${names}>${text && ` "${text}"`}`;
};

look.box = (element) => element.getBoundingClientRect();

look.seen = (element) => {
  const shown = element.checkVisibility({ opacityProperty: true, visibilityProperty: true, contentVisibilityAuto: false });
  const { width, height } = look.box(element);
  return shown && (width > 0 || height > 0);
};

look.all = (selector, root = document) => [...root.querySelectorAll(selector)].filter(look.seen);

look.ancestors = function* (element) {
  for (let each = element.parentElement; each; each = each.parentElement) yield each;
};

// A drawing of its own, not one within another: what people see as one picture.
look.drawings = () => look.all("svg").filter((svg) => !svg.parentElement.closest("svg"));

// Said by nobody: hidden from readers, or the icon of a control, which has a name of its own.
look.decoration = (element) => Boolean(element.closest("[aria-hidden=true], a, button, label, summary"));
