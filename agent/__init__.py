"""The reference agent: measures its machine and knows only HTTP."""
