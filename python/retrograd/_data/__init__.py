"""The user's arrays on their way to the core: coerced, checked and split. Nothing here knows a `Network`."""
