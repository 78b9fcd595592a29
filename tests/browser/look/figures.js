// A figure shows its data: marks inside of its frame, and text that can be read.
look.SMALLEST = 9; // points of the screen, for text in a drawing

look.figures = async () => {
  const found = [];
  for (const svg of look.drawings()) {
    if (look.decoration(svg)) continue;
    found.push(...look.told(svg), ...look.drawn(svg), ...look.legible(svg), ...look.apart(svg));
  }
  for (const figure of look.all("figure")) found.push(...look.complete(figure));
  for (const image of look.all("img")) found.push(...(await look.legibleFile(image)));
  return found;
};

// What it is called, for those who do not see it.
look.told = (svg) => {
  const label = svg.getAttribute("aria-label") || svg.querySelector(":scope > title")?.textContent;
  const by = (svg.getAttribute("aria-labelledby") ?? "").split(/\s+/).filter(Boolean);
  const missing = by.filter((id) => !document.getElementById(id)?.textContent.trim());
  if (svg.getAttribute("role") !== "img") return [`${look.name(svg)} is neither role="img" nor hidden from readers`];
  return missing.length || !(label || by.length) ? [`${look.name(svg)} has no name`] : [];
};

look.inside = (inner, outer, slack) =>
  inner.left >= outer.left - slack && inner.right <= outer.right + slack &&
  inner.top >= outer.top - slack && inner.bottom <= outer.bottom + slack;

look.painted = (shape) => {
  const { fill, stroke, strokeWidth } = getComputedStyle(shape);
  return fill !== "none" || (stroke !== "none" && parseFloat(strokeWidth) > 0);
};

// What stands for data says so when it is pointed at.
look.marks = (svg) => [...svg.querySelectorAll(":scope * > title")].map((title) => title.parentElement);
look.outlines = (mark) => [mark, ...mark.querySelectorAll("*")].filter((each) => each.matches(look.SHAPES));

look.SHAPES = "path, rect, circle, ellipse, polygon, polyline, line, use, text";

look.drawn = (svg) => {
  const shapes = look.all(look.SHAPES, svg).filter((shape) => shape.localName !== "text" && look.painted(shape));
  if (!shapes.length) return [`${look.name(svg)} is empty`];
  const found = [];
  for (const mark of look.marks(svg)) {
    const shown = look.outlines(mark).filter(look.seen);
    if (!shown.length) found.push(`${look.name(mark)} is not to be seen`);
    if (shown.some((shape) => !look.inside(look.box(shape), look.box(svg), 2)))
      found.push(`${look.name(mark)} sticks out of its drawing`);
  }
  return found;
};

// How many data a mark stands for: a line for as many as it has corners, whatever else for one.
look.data = (mark) => Math.max(1, ...look.outlines(mark).filter((shape) => !shape.closest("defs")).map(look.corners));

look.corners = (shape) =>
  getComputedStyle(shape).fill === "none" ? (shape.getAttribute("d")?.match(/[ML]/gi)?.length ?? 1) : 1;

// The table of a figure, folded or not, has no more rows than its drawings show.
look.complete = (figure) => {
  const svgs = look.all("svg", figure).filter((svg) => !look.decoration(svg));
  if (!svgs.length && !look.all("img, table, pre, video", figure).length) return [`${look.name(figure)} shows nothing`];
  const rows = figure.querySelectorAll("tbody tr").length;
  const shown = svgs.map((svg) => look.marks(svg).reduce((sum, mark) => sum + look.data(mark), 0));
  return shown
    .filter((count) => count < rows)
    .map((count) => `${look.name(figure)} shows ${count} of the ${rows} rows of its table`);
};

look.legible = (svg) => {
  const found = [];
  for (const text of look.texts(svg)) {
    const size = parseFloat(getComputedStyle(text).fontSize) * look.scale(text);
    if (size < look.SMALLEST - 0.05) found.push(`${look.name(text)} is ${size.toFixed(1)} pixels high`);
    if (!look.inside(look.box(text), look.box(svg), 1)) found.push(`${look.name(text)} sticks out of its drawing`);
  }
  return found;
};

// The corners of what a text covers, without the room above and below its letters.
look.covered = (text) => {
  const { x, y, width, height } = text.getBBox();
  const room = 0.2 * height;
  const onto = text.getScreenCTM();
  const at = (left, top) => new DOMPoint(left, top).matrixTransform(onto);
  return [at(x, y + room), at(x + width, y + room), at(x + width, y + height - room), at(x, y + height - room)];
};

// Two convex shapes are apart where a line along one of their sides separates them.
look.separated = (one, other) =>
  [one, other].some((corners) =>
    corners.some((corner, i) => {
      const next = corners[(i + 1) % corners.length];
      const along = ({ x, y }) => (y - corner.y) * (next.x - corner.x) - (x - corner.x) * (next.y - corner.y);
      const [a, b] = [one.map(along), other.map(along)];
      return Math.max(...a) <= Math.min(...b) || Math.max(...b) <= Math.min(...a);
    }),
  );

look.apart = (svg) => {
  const texts = look.texts(svg).map((text) => ({ text, corners: look.covered(text), box: look.box(text) }));
  const found = [];
  for (const [i, one] of texts.entries())
    for (const other of texts.slice(i + 1)) {
      const far = one.box.right < other.box.left || other.box.right < one.box.left ||
        one.box.bottom < other.box.top || other.box.bottom < one.box.top;
      if (!far && !look.separated(one.corners, other.corners))
        found.push(`${look.name(one.text)} is written over ${look.name(other.text)}`);
    }
  return found;
};

// The smallest letters of a drawing that is a file of its own.
look.legibleFile = async (image) => {
  if (!/\.svg\b|image\/svg/.test(image.currentSrc)) return [];
  const text = await (await fetch(image.currentSrc)).text();
  const root = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  const sizes = [...text.matchAll(/font[^;"']*?([\d.]+)px/g)].map(([, size]) => Number(size));
  const size = (Math.min(...sizes) * look.box(image).width) / root.viewBox.baseVal.width;
  return size < look.SMALLEST - 0.05 ? [`${look.name(image)} has letters that are ${size.toFixed(1)} pixels high`] : [];
};
