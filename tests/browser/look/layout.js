// Nothing is wider than the page, and nothing is cut off outside of what scrolls.
look.layout = () => {
  const found = [];
  const page = document.scrollingElement;
  if (page.scrollWidth > page.clientWidth)
    found.push(`the page is ${page.scrollWidth} wide where ${page.clientWidth} are shown`);
  for (const element of look.all("body *"))
    if (!element.parentElement.closest("svg")) found.push(...look.cut(element, page.clientWidth));
  return found;
};

look.cut = (element, width) => {
  const box = look.box(element);
  const holder = look.holder(element);
  if (look.forReaders(element, holder)) return [];
  const found = look.ownText(element) && look.shortened(element) ? [`${look.name(element)} does not show all of its text`] : [];
  if (holder === null) {
    const away = box.right <= 0 || (box.left >= width && look.fixed(element)); // a drawer that is closed
    if (!away && (box.left < -1 || box.right > width + 1)) found.push(`${look.name(element)} sticks out of the page`);
  } else if (!look.scrolls(holder)) {
    const limits = look.box(holder);
    if (box.left < limits.left - 1 || box.right > limits.right + 1)
      found.push(`${look.name(element)} is cut off by ${look.name(holder)}`);
  }
  return found;
};

// The next element above that does not show what is wider than itself.
look.holder = (element) => {
  for (const each of look.ancestors(element)) {
    if (each === document.body || each === document.documentElement) return null;
    if (getComputedStyle(each).overflowX !== "visible") return each;
  }
  return null;
};

look.scrolls = (element) => ["auto", "scroll"].includes(getComputedStyle(element).overflowX);
look.fixed = (element) => [element, ...look.ancestors(element)].some((each) => getComputedStyle(each).position === "fixed");
look.ownText = (element) => [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());

look.shortened = (element) => {
  const { overflowX, overflowY } = getComputedStyle(element);
  const hides = (overflow) => ["hidden", "clip"].includes(overflow);
  return (
    (hides(overflowX) && element.scrollWidth > element.clientWidth + 1) ||
    (hides(overflowY) && element.scrollHeight > element.clientHeight + 2)
  );
};

// Text that only screen readers say is kept in a box of one pixel.
look.forReaders = (element, holder) =>
  [element, holder].some((each) => each && each.clientWidth <= 1 && each.clientHeight <= 1 && look.box(each).width <= 1.5);
