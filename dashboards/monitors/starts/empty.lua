-- Runs on each node of the target, every interval. What is beside this editor is all there is to call.
gauge("example.value", 42, { part = "a" })
status("example", "ok", "all is well")
