// The list of turns.  Only the rows that can be seen exist, so that its length costs nothing.

const ROW_PX = 44;
const SPARE_ROWS = 6;

class TurnList {
  constructor(box, canvas, onChoose) {
    this.box = box;
    this.canvas = canvas;
    this.turns = [];
    this.words = [];
    this.current = null;
    this.rows = new Map();
    this.causes = this.effects = new Set();
    box.addEventListener('scroll', () => this.schedule(), { passive: true });
    new ResizeObserver(() => this.schedule()).observe(box);
    canvas.addEventListener('click', (event) => {
      const row = event.target.closest('.row');
      if (row) onChoose(this.turns[Number(row.dataset.place)]);
    });
  }

  /** Show these turns. */
  show(turns, words) {
    this.turns = turns;
    this.words = words;
    this.rows.clear();
    this.canvas.replaceChildren();
    this.canvas.style.height = `${turns.length * ROW_PX}px`;
    this.schedule();
  }

  /** Mark a turn as the current one and, where it is in the list, have it seen. */
  choose(turn, { isCentred = false } = {}) {
    this.current = turn;
    this.causes = new Set(page.recording.causes(turn).slice(0, 200));
    this.effects = new Set(page.recording.effects(turn));
    const place = this.placeOf(turn);
    if (this.turns[place] === turn) this.reveal(place, isCentred);
    this.schedule();
  }

  /** The place of a turn among those shown, or of the first one behind it. */
  placeOf(turn) {
    let [low, high] = [0, this.turns.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.turns[middle].index < turn.index) low = middle + 1; else high = middle;
    }
    return low;
  }

  get rowsPerScreen() {
    return Math.max(1, Math.floor(this.box.clientHeight / ROW_PX) - 1);
  }

  reveal(place, isCentred) {
    const { box } = this;
    const [top, bottom] = [place * ROW_PX, (place + 1) * ROW_PX];
    const isSeen = top >= box.scrollTop && bottom <= box.scrollTop + box.clientHeight;
    if (isSeen) return;
    if (isCentred) box.scrollTop = top - (box.clientHeight - ROW_PX) / 2;
    else box.scrollTop = top < box.scrollTop ? top : bottom - box.clientHeight;
  }

  /** Draw with the next frame, once however often this is called. */
  schedule() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  /** Bring rows in and out of being, and mark how they are related to the current turn. */
  draw() {
    const from = Math.max(0, Math.floor(this.box.scrollTop / ROW_PX) - SPARE_ROWS);
    const to = Math.min(this.turns.length, from + Math.ceil(this.box.clientHeight / ROW_PX) + 2 * SPARE_ROWS);
    for (const [place, row] of this.rows) {
      if (place < from || place >= to) {
        row.remove();
        this.rows.delete(place);
      }
    }
    let isShown = false;
    for (let place = from; place < to; place += 1) {
      const turn = this.turns[place];
      if (!this.rows.has(place)) {
        this.rows.set(place, this.row(turn, place));
        this.canvas.append(this.rows.get(place));
      }
      this.mark(this.rows.get(place), turn);
      isShown ||= turn === this.current;
    }
    if (isShown) this.box.setAttribute('aria-activedescendant', `t${this.current.number}`);
    else this.box.removeAttribute('aria-activedescendant');
  }

  mark(row, turn) {
    const isCurrent = turn === this.current;
    row.setAttribute('aria-selected', String(isCurrent));
    row.classList.toggle('cause', !isCurrent && this.causes.has(turn));
    row.classList.toggle('effect', !isCurrent && this.effects.has(turn));
    row.classList.toggle('window', page.isInWindow(turn));
  }

  row(turn, place) {
    const before = this.turns[place - 1];
    const since = before ? `+${duration(turn.offset - before.offset)}`.replace('+-', '-') : '';
    const said = turn.events.map((event) => event.text).join(' · ');
    const text = (value) => marked(value, this.words);
    const row = el('div', {
      class: 'row', role: 'option', id: `t${turn.number}`, 'data-place': place,
      'aria-posinset': place + 1, 'aria-setsize': this.turns.length,
    },
      el('span', { class: 'number' }, text(String(turn.number))),
      el('span', { class: 'moment' }, turn.moment),
      el('span', { class: `actor ${turn.actor.letter}` }, text(turn.actor.label)),
      el('span', { class: 'message' }, text(turn.message?.text ?? 'nothing taken')),
      el('span', { class: 'codes' }, turn.codes.slice(0, 3).map(codeSign)),
      el('span', { class: 'because' }, turn.foreign ? '← log' : turn.cause ? `← ${turn.cause}` : ''),
      el('span', { class: 'since' }, since),
      el('span', { class: 'origin' }, text(turn.by ? `${turn.origin} ${turn.by.who}` : turn.origin)),
      el('span', { class: 'events' }, text(said)));
    row.style.top = `${place * ROW_PX}px`;
    return row;
  }
}
