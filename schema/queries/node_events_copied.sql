-- The place in the control DB's log up to which events of nodes are here; 0 before the first.
SELECT greatest(
    (SELECT max(seq) FROM node_events),
    (SELECT max(seq) FROM node_events_copied)
)
