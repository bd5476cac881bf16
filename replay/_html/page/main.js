// What binds the parts together: the current turn, the filters, the keys.

const FILTERS = ['search', 'by-actor', 'by-kind', 'by-origin', 'by-code', 'by-about'];
const OPTIONS_MAX = 400;

class Page {
  constructor(recording) {
    this.recording = recording;
    this.current = null;
    this.story = null;
    this.tab = 'list';
    this.trail = [];
    this.waiting = 0;
  }

  begin() {
    const { head, turns } = this.recording;
    this.list = new TurnList(byId('list'), byId('canvas'), (turn) => this.go(turn));
    document.title = `${head.log || 'rescind'} · recording`;
    byId('log').textContent = head.log || head.log_id;
    byId('span').textContent = spanText(head, turns);
    const notes = [...head.notes, ...head.damage];
    byId('notes').textContent = notes.join(' ');
    byId('notes').hidden = !notes.length;
    this.fillFilters();
    showCards();
    this.listen();
    this.openAt(head.focus);
  }

  openAt({ turn, about, cancel, chart }) {
    byId('by-about').value = about;
    this.filter();
    const wanted = /^#t?([0-9]{1,15})$/.exec(location.hash);
    const first = wanted ? Number(wanted[1]) : turn;
    const { byNumber, sequences, turns } = this.recording;
    if (!turns.length) return;
    this.go(byNumber.get(first) ?? this.list.turns[0] ?? turns[0], { isCentred: true });
    const story = sequences.find((one) => one.cancel === cancel);
    if (story && !wanted) this.openStory(story, { isStill: true });
    else if (byId(`chart-${chart}`)) this.openTabs(chart, '');
  }

  // --- where we are ------------------------------------------------------------------------------

  go(turn, options = {}) {
    this.current = turn;
    this.list.choose(turn, options);
    // The panes follow once per frame, however fast a key repeats.
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      showTurn(this.current);
      showState(this.current);
      markChart(this.current);
    });
  }

  /** Go where a link leads; `b` leads back. */
  jump(turn) {
    this.trail.push(this.current);
    if (this.list.turns[this.list.placeOf(turn)] !== turn) this.clearFilters();
    this.go(turn, { isCentred: true });
  }

  back() {
    const turn = this.trail.pop();
    if (turn) this.go(turn, { isCentred: true });
  }

  step(by) {
    const { turns } = this.list;
    const place = this.list.placeOf(this.current);
    const isListed = turns[place] === this.current;
    const next = isListed || by < 0 ? place + by : place + by - 1;
    if (turns.length) this.go(turns[Math.min(Math.max(next, 0), turns.length - 1)]);
  }

  goToNumber(text) {
    const number = Number(text);
    if (!text.trim() || !Number.isFinite(number)) return;
    const { turns } = this.recording;
    const nearest = turns.find((turn) => turn.number >= number) ?? turns.at(-1);
    if (nearest) this.jump(nearest);
  }

  // --- filters -----------------------------------------------------------------------------------

  fillFilters() {
    const { recording } = this;
    const kinds = new Set(recording.turns.flatMap((turn) => [turn.message?.name, ...turn.events.map((event) => event.name)]));
    kinds.delete(undefined);
    const option = (value, text = value) => el('option', { value }, text);
    byId('by-kind').append(...[...kinds].sort().slice(0, OPTIONS_MAX).map((kind) => option(kind)));
    byId('by-origin').append(...recording.head.origins.map((origin) => option(origin)));
    const codes = [...recording.codes].slice(0, OPTIONS_MAX);
    byId('by-code').append(...codes.map(([code, text]) => option(String(code), text)));
    const actors = new Set(recording.turns.map((turn) => turn.actor.label));
    byId('actors').append(...[...actors].slice(0, OPTIONS_MAX).map((label) => option(label)));
  }

  filter() {
    const value = (id) => byId(id).value;
    const words = value('search').toLowerCase().split(/\s+/).filter(Boolean);
    const about = value('by-about').trim();
    const number = selected(about);
    byId('by-about').setAttribute('aria-invalid', String(Boolean(about) && number === null));
    const found = this.recording.find({
      words,
      actor: value('by-actor').trim().toLowerCase(),
      kind: value('by-kind'),
      origin: value('by-origin'),
      code: value('by-code') ? Number(value('by-code')) : null,
      about: number,
    });
    const all = this.recording.turns.length;
    byId('matches').textContent = found.length === all ? count(all, 'turn')
      : `${found.length.toLocaleString('en')} of ${count(all, 'turn')}`;
    byId('clear').hidden = !FILTERS.some((id) => value(id));
    byId('nothing').hidden = this.tab !== 'list' || found.length > 0;
    this.list.show(found, words);
    if (this.current) this.list.choose(this.current, { isCentred: true });
  }

  filterAbout(selector) {
    byId('by-about').value = selector;
    this.filter();
    this.showPane('list');
    this.showTab('list');
  }

  clearFilters() {
    for (const id of FILTERS) byId(id).value = '';
    this.filter();
  }

  // --- cancellations -----------------------------------------------------------------------------

  openStory(one, { isStill = false } = {}) {
    this.story = one;
    showStory(one);
    this.openTabs(one.selector, `${one.selector} ${one.trigger}`);
    for (const button of document.querySelectorAll('.card')) {
      button.setAttribute('aria-current', String(Number(button.dataset.cancel) === one.cancel));
    }
    this.showTab(this.tab === 'chart' ? 'chart' : 'story');
    this.showPane('list');
    byId('story').scrollTop = 0;
    const asked = this.recording.byNumber.get(one.asked.turn);
    if (asked && !isStill) this.jump(asked);
    this.list.schedule();
  }

  openTabs(selector, title) {
    showChart(selector);
    const [, story] = byId('tabs').children;
    story.textContent = title;
    story.hidden = !this.story;
    byId('tabs').hidden = false;
  }

  nextStory(by) {
    const { sequences } = this.recording;
    const here = this.current.number;
    const next = this.story ? sequences[sequences.indexOf(this.story) + by]
      : by > 0 ? sequences.find((one) => one.asked.turn >= here)
        : sequences.findLast((one) => one.asked.turn < here);
    if (next) this.openStory(next);
  }

  isInWindow(turn) {
    if (!this.story) return this.recording.windows[turn.index];
    const { began, ended } = this.story.window;
    return Boolean(began) && began.turn <= turn.number && turn.number <= (ended?.turn ?? Infinity);
  }

  showTab(name) {
    const button = byId('tabs').querySelector(`[data-tab=${name}]`);
    if (byId('tabs').hidden || button.hidden) return;
    this.tab = name;
    for (const each of byId('tabs').children) {
      const isShown = each === button;
      each.setAttribute('aria-selected', String(isShown));
      byId(each.dataset.tab).hidden = !isShown;
    }
    byId('nothing').hidden = name !== 'list' || this.list.turns.length > 0;
    if (!this.current) return;
    if (name === 'list') this.list.choose(this.current, { isCentred: true });
    if (name === 'chart') markChart(this.current);
  }

  showPane(name) {
    document.body.dataset.pane = name;
    for (const button of byId('panes').children) {
      button.setAttribute('aria-current', String(button.dataset.pane === name));
    }
  }

  // --- hands -------------------------------------------------------------------------------------

  listen() {
    for (const id of FILTERS) byId(id).addEventListener('input', () => { this.showTab('list'); this.filter(); });
    byId('filters').addEventListener('submit', (event) => event.preventDefault());
    byId('filters').addEventListener('reset', (event) => { event.preventDefault(); this.clearFilters(); });
    byId('tabs').addEventListener('click', ({ target }) => { if (target.dataset.tab) this.showTab(target.dataset.tab); });
    byId('chart').addEventListener('click', ({ target }) => {
      const turn = this.recording.byNumber.get(Number(target.closest('[data-turn]')?.dataset.turn));
      if (turn) this.jump(turn);
    });
    byId('keys').addEventListener('click', () => byId('help').showModal());
    byId('panes').addEventListener('click', ({ target }) => { if (target.dataset.pane) this.showPane(target.dataset.pane); });
    byId('go').addEventListener('close', () => { this.goToNumber(byId('go-number').value); byId('go-number').value = ''; });
    byId('go').addEventListener('cancel', () => { byId('go-number').value = ''; });
    addEventListener('hashchange', () => this.goToNumber(location.hash.replace(/^#t?/, '')));
    document.addEventListener('keydown', (event) => this.key(event));
    this.showPane('list');
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
    const { target } = event;
    if (event.key === 'Escape') this.escape(target);
    else if (target.matches('input, select, textarea')) {
      if (event.key !== 'Enter' || !target.matches('input')) return;
      byId('list').focus();
    } else if (!this.current || !this.act(event)) return;
    event.preventDefault();
  }

  escape(target) {
    if (target.matches('input, select')) byId('list').focus();
    else if (this.tab !== 'list') this.showTab('list');
    else this.clearFilters();
  }

  /** Do what a key means; false when it means nothing here. */
  act({ key, target }) {
    const screen = this.list.rowsPerScreen;
    const isReading = target.closest('#story, #look, #cancels') !== null;
    const moves = { j: 1, k: -1 };
    if (!isReading) {
      Object.assign(moves, { ArrowDown: 1, ArrowUp: -1, PageDown: screen, PageUp: -screen, Home: -Infinity, End: Infinity });
    }
    const deeds = {
      '/': () => { byId('search').focus(); byId('search').select(); },
      '?': () => byId('help').showModal(),
      g: () => { byId('go').returnValue = ''; byId('go').showModal(); },
      c: () => { const cause = this.recording.causes(this.current)[0]; if (cause) this.jump(cause); },
      b: () => this.back(),
      n: () => this.nextStory(1),
      p: () => this.nextStory(-1),
      1: () => this.showTab('list'),
      2: () => this.showTab('story'),
      3: () => this.showTab('chart'),
    };
    if (Object.hasOwn(moves, key)) this.step(moves[key]);
    else if (Object.hasOwn(deeds, key)) deeds[key]();
    else return false;
    return true;
  }
}

function spanText(head, turns) {
  if (!turns.length) return 'no turns';
  const [first, last] = [turns[0].number, turns.at(-1).number];
  const number = (value) => value.toLocaleString('en');
  const isWhole = first === head.log_first && last === head.log_last;
  const span = isWhole ? `all ${count(turns.length, 'turn')}` : `turns ${number(first)} to ${number(last)} of ${number(head.log_last)}`;
  return `${span}, from ${head.begins}`;
}

const page = new Page(new Recording(
  JSON.parse(byId('recording').textContent), JSON.parse(byId('turns').textContent)));
page.begin();
