"""Pages for people: server-rendered, with small modules of our own JavaScript."""
