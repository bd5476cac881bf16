// Small pieces of document.  What comes from a recording goes in as text nodes, and nowhere else.

/** Make an element; children are elements or texts, attributes are set as attributes. */
function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === 'onclick') made.addEventListener('click', value);
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  return fill(made, ...children);
}

/** Put children in place of what an element holds; null stands for no child. */
function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

const byId = (id) => document.getElementById(id);

/** A text whose names, such as r17, ask for what has to do with them. */
function named(text) {
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(/\b[rca][0-9]{1,15}\b/g)) {
    const label = page.recording.labels.get(Number(found[0].slice(1)));
    if (label === undefined) continue;
    parts.push(text.slice(end, found.index), nameLink(found[0], label));
    end = found.index + found[0].length;
  }
  parts.push(text.slice(end));
  return parts;
}

/** A name that asks for what has to do with it. */
function nameLink(selector, title) {
  return el('button', { type: 'button', class: 'name', title: `Only turns about ${title}`,
    onclick: () => page.filterAbout(selector) }, selector);
}

/** A turn's number that goes there. */
function turnLink(number, text = String(number)) {
  const turn = page.recording.byNumber.get(number);
  if (!turn) return el('span', { class: 'away', title: 'This turn is not in the page' }, text);
  return el('button', { type: 'button', class: 'jump', title: turn.message?.text ?? 'Turn',
    onclick: () => page.jump(turn) }, text);
}

/** A text with what was searched for marked. */
function marked(text, words) {
  if (!words.length) return [text];
  const lower = text.toLowerCase();
  if (lower.length !== text.length) return [text];  // some letters have no lower case of one letter
  const parts = [];
  let end = 0;
  while (end < text.length) {
    const hits = words.map((word) => [lower.indexOf(word, end), word]).filter(([at]) => at >= 0);
    if (!hits.length) break;
    const [at, word] = hits.sort(([a], [b]) => a - b)[0];
    parts.push(text.slice(end, at), el('mark', {}, text.slice(at, at + word.length)));
    end = at + word.length;
  }
  parts.push(text.slice(end));
  return parts;
}

/** A code as a small sign; a code is nearly always bad news. */
function codeSign(code) {
  return el('span', { class: 'code', title: page.recording.codes.get(code) ?? String(code) }, String(code));
}

const CHART_ELEMENTS = new Set(['svg', 'g', 'defs', 'title', 'desc', 'style', 'rect', 'line', 'path',
  'polyline', 'polygon', 'circle', 'ellipse', 'text', 'tspan', 'marker', 'pattern', 'clippath',
  'lineargradient', 'stop', 'use', 'symbol']);

/**
 * Read a chart.  It was drawn and escaped by the program that wrote this page; all the same it is
 * parsed apart from the page, and one with anything that acts or loads is not shown.
 */
function readChart(text) {
  const svg = new DOMParser().parseFromString(text, 'image/svg+xml').documentElement;
  for (const element of [svg, ...svg.querySelectorAll('*')]) {
    if (!CHART_ELEMENTS.has(element.localName.toLowerCase())) return null;
    for (const { name, value } of element.attributes) {
      const isLink = /href$/i.test(name) && !value.startsWith('#');
      if (/^on/i.test(name) || isLink || name === 'style') return null;
    }
  }
  return document.importNode(svg, true);
}
