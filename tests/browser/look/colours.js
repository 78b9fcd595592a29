// The contrast of all text. In drawings, which axe-core does not look at, against what was painted below it.
look.pixel = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
look.known = new Map();

// Any colour that CSS can say, as [red, green, blue, alpha].
look.rgba = (colour) => {
  if (!look.known.has(colour)) {
    look.pixel.clearRect(0, 0, 1, 1);
    look.pixel.fillStyle = colour;
    look.pixel.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = look.pixel.getImageData(0, 0, 1, 1).data;
    look.known.set(colour, [r, g, b, a / 255]);
  }
  return look.known.get(colour);
};

look.over = ([r, g, b, a], below) => [r, g, b].map((value, i) => a * value + (1 - a) * below[i]);

look.luminance = (colour) => {
  const [r, g, b] = colour.map((value) => value / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};

look.ratio = (one, other) => {
  const [dark, light] = [look.luminance(one), look.luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
};

// How opaque an element is, with all groups around it.
look.opacity = (element) =>
  [element, ...look.ancestors(element)].reduce((product, each) => product * getComputedStyle(each).opacity, 1);

look.paint = (element) => {
  const style = getComputedStyle(element);
  const [r, g, b, a] = look.rgba(style.fill);
  return [r, g, b, a * style.fillOpacity * look.opacity(element)];
};

// What is behind an HTML element: backgrounds from the canvas up.
look.behind = (element) => {
  const layers = [element, ...look.ancestors(element)].map((each) => look.rgba(getComputedStyle(each).backgroundColor));
  return layers.reduceRight((below, layer) => look.over(layer, below), look.canvas());
};

look.canvas = () => {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.background = "Canvas";
  const [r, g, b] = look.rgba(getComputedStyle(probe).backgroundColor);
  probe.remove();
  return [r, g, b];
};

// Whether a shape is painted at a point of the screen.
look.covers = (shape, point) => {
  const { left, right, top, bottom } = look.box(shape);
  if (point.x < left || point.x > right || point.y < top || point.y > bottom) return false;
  const there = point.matrixTransform(shape.getScreenCTM().inverse());
  return shape.isPointInFill(there);
};

// The points at which a text is compared: its middle and near to both ends of its line.
look.points = (text) => {
  const { x, y, width, height } = text.getBBox();
  const onto = text.getScreenCTM();
  return [0.05, 0.5, 0.95].map((part) => new DOMPoint(x + part * width, y + height / 2).matrixTransform(onto));
};

look.shapes = (svg) =>
  look
    .all("path, rect, circle, ellipse, polygon", svg)
    .filter((each) => !each.closest("defs, clipPath, mask, marker, symbol, pattern"))
    .filter((each) => getComputedStyle(each).fill !== "none");

look.needed = (style, scale) => {
  const size = parseFloat(style.fontSize) * scale;
  return size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
};

look.scale = (element) => {
  const { a, b, c, d } = element.getScreenCTM();
  return Math.sqrt(Math.abs(a * d - b * c));
};

look.texts = (svg) => look.all("text", svg).filter((text) => text.textContent.trim());

look.contrast = () => [...look.contrastOfWords(), ...look.contrastOfDrawings()];

look.contrastOfWords = () => {
  const found = [];
  for (const element of look.all("body *")) {
    if (!look.ownText(element) || element.closest("svg, :disabled, [aria-disabled=true]")) continue;
    const [style, under] = [getComputedStyle(element), look.behind(element)];
    const [r, g, b, a] = look.rgba(style.color);
    const ratio = look.ratio(look.over([r, g, b, a * look.opacity(element)], under), under);
    const needed = look.needed(style, 1);
    if (ratio < needed) found.push(`${look.name(element)} has a contrast of ${ratio.toFixed(2)}, needs ${needed}`);
  }
  return found;
};

look.contrastOfDrawings = () => {
  const found = [];
  for (const svg of look.drawings()) {
    const shapes = look.shapes(svg);
    const ground = look.behind(svg);
    for (const text of look.texts(svg)) {
      const before = (shape) => shape.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING;
      const below = shapes.filter((shape) => before(shape));
      const worst = Math.min(...look.points(text).map((point) => look.contrastAt(text, point, below, ground)));
      const needed = look.needed(getComputedStyle(text), look.scale(text));
      if (!(worst >= needed)) found.push(`${look.name(text)} has a contrast of ${worst.toFixed(2)}, needs ${needed}`);
    }
  }
  return found;
};

look.contrastAt = (text, point, below, ground) => {
  const painted = below.filter((shape) => look.covers(shape, point));
  if (painted.some((shape) => getComputedStyle(shape).fill.includes("url("))) return NaN; // nobody can tell
  const under = painted.reduce((colour, shape) => look.over(look.paint(shape), colour), ground);
  return look.ratio(look.over(look.paint(text), under), under);
};
