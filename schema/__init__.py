"""Everything that touches a store; SQL and Lua live only here."""
