// What the page holds: turns and pools as `_html_rows.py` wrote them, read into objects with names.
// Nothing here knows the document; texts stay texts.

const [LIVE, OWED, OVER] = [0, 1, 2];

/** Read one message or event: kind, phrase, and its fields as pairs of texts. */
function readKind(wire, kinds) {
  if (wire === null) return null;
  const [number, text, ...values] = wire;
  const [name, names] = kinds[number];
  const fields = values.map((value, at) => [names[at] ?? String(at + 1), value]);
  return { name, text, fields };
}

/** Read one turn; `index` is its place in the page. */
function readTurn(row, index, pools) {
  const [number, offset, moment, actor, origin, cause, causeRequest, foreign, by, message, events,
    more, changes, ranges, codes, own] = row;
  const { kinds, things, origins, callers, logs } = pools;
  return {
    index, number, offset, moment, cause, causeRequest, more, ranges, codes, own,
    actor: things[actor],
    origin: origins[origin],
    foreign: foreign < 0 ? null : logs[foreign],
    by: by < 0 ? null : { who: callers[by][0], place: callers[by][1], file: callers[by][2] },
    message: readKind(message, kinds),
    events: events.map((event) => readKind(event, kinds)),
    changes: changes.map(([thing, phase, text]) => ({ thing: things[thing], phase, text })),
  };
}

/** All that a page holds. */
class Recording {
  constructor(head, rows) {
    this.head = head;
    this.things = head.things.map(([letter, number, label, owner]) => (
      { letter, number, label, owner, history: [], own: new Map() }));
    this.codes = new Map(head.codes);
    const pools = { ...head, things: this.things };
    for (const [thing, phase, text] of head.initial) {
      this.things[thing].history.push({ index: -1, phase, text });
    }
    for (const [thing, fields] of head.own) noteOwn(this.things[thing], fields, -1);
    this.turns = rows.map((row, index) => readTurn(row, index, pools));
    this.byNumber = new Map(this.turns.map((turn) => [turn.number, turn]));
    for (const turn of this.turns) {
      for (const { thing, phase, text } of turn.changes) {
        thing.history.push({ index: turn.index, phase, text });
      }
      noteOwn(turn.actor, turn.own, turn.index);
    }
    this.standing = this.things.filter((thing) => thing.history.length > 0);
    this.labels = new Map(this.things.map((thing) => [thing.number, thing.label]));
    this.sequences = head.sequences;
    this.windows = this.turns.map(() => false);
    for (const { window } of this.sequences) this.markWindow(window);
  }

  markWindow({ began, ended }) {
    if (!began) return;
    const last = ended ? ended.turn : Infinity;
    const first = this.turns.findIndex((turn) => turn.number >= began.turn);
    for (let at = first; at >= 0 && at < this.turns.length && this.turns[at].number <= last; at += 1) {
      this.windows[at] = true;
    }
  }

  /** The turns that a turn brought about, in their order. */
  effects(turn) {
    if (!this._effects) {
      this._effects = new Map();
      for (const one of this.turns) {
        if (one.cause && one.foreign === null) {
          const known = this._effects.get(one.cause);
          if (known) known.push(one); else this._effects.set(one.cause, [one]);
        }
      }
    }
    return this._effects.get(turn.number) ?? [];
  }

  /** The turns behind a turn, from its cause back to what came from outside. */
  causes(turn) {
    const found = [];
    let cause = turn;
    while (cause && cause.cause && cause.foreign === null) {
      cause = cause.cause < cause.number ? this.byNumber.get(cause.cause) : undefined;
      if (cause) found.push(cause);
    }
    return found;
  }

  /** How something stood behind the turn at a place of the page; null when it did not exist. */
  at(thing, index) {
    const { history } = thing;
    let [low, high] = [0, history.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (history[middle].index <= index) low = middle + 1; else high = middle;
    }
    return low ? { ...history[low - 1], was: low > 1 ? history[low - 2] : null } : null;
  }

  /** What an actor of the application held behind the turn at a place of the page, and before. */
  ownAt(thing, index) {
    const held = [];
    for (const [name, values] of thing.own) {
      const at = values.findLastIndex((one) => one.index <= index);
      if (at >= 0) held.push({ name, ...values[at], was: at ? values[at - 1].value : null });
    }
    return held;
  }

  /** All that stood behind a turn: what was not over, and what the turn itself changed. */
  stateAt(index) {
    const state = [];
    for (const thing of this.standing) {
      if (thing.history[0].index > index) continue;
      const now = this.at(thing, index);
      if (now.phase !== OVER || now.index === index) state.push({ thing, ...now });
    }
    return state;
  }

  /** All text of a turn in lower case, for the search. */
  text(turn) {
    turn.haystack ??= [
      turn.number, turn.actor.label, turn.origin, turn.message?.text,
      ...turn.message?.fields.flat() ?? [],
      ...turn.events.flatMap((event) => [event.text, ...event.fields.flat()]),
      turn.by?.who, turn.by?.file, turn.by?.place, turn.moment,
    ].join('\n').toLowerCase();
    return turn.haystack;
  }

  /** The turns that pass a filter. */
  find({ words, actor, kind, origin, code, about }) {
    return this.turns.filter((turn) => (
      (!origin || turn.origin === origin)
      && (code === null || turn.codes.includes(code))
      && (!kind || turn.message?.name === kind || turn.events.some((event) => event.name === kind))
      && (!actor || turn.actor.label.toLowerCase().includes(actor))
      && (about === null || concerns(turn, about))
      && words.every((word) => this.text(turn).includes(word))));
  }
}

/** Note what an actor of the application holds from a turn on; null is nothing. */
function noteOwn(thing, fields, index) {
  for (const [name, value] of fields) {
    if (!thing.own.has(name)) thing.own.set(name, []);
    thing.own.get(name).push({ index, value });
  }
}

/** Whether a turn is of a number, or mentions it. */
function concerns(turn, number) {
  if (turn.actor.number === number) return true;
  const { ranges } = turn;
  for (let at = 0; at < ranges.length; at += 2) {
    if (ranges[at] <= number && number <= ranges[at + 1]) return true;
  }
  return false;
}

/** The number in a selector such as r17; null when it is none. */
function selected(text) {
  const found = /^\s*[rca]?([0-9]{1,15})\s*$/.exec(text);
  return found ? Number(found[1]) : null;
}

/** A time span in the unit in which it is easiest to read, as on the terminal. */
function duration(ns) {
  if (ns < 0) return `-${duration(-ns)}`;
  for (const [unit, size] of [['s', 1e9], ['ms', 1e6], ['µs', 1e3]]) {
    if (ns >= size - size / 2000) {
      const value = ns / size;
      return `${Number(value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)).toLocaleString('en')} ${unit}`;
    }
  }
  return ns === 0 ? '0' : `${ns} ns`;
}

/** A number with its noun. */
function count(number, noun) {
  return `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
}
