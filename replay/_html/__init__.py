"""``export --to html``: one page that needs no network."""
