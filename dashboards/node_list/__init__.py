"""The list of nodes: what is asked (query) and known (index, looks), what is shown (selection, rows) and to whom."""
