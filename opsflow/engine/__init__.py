"""The engine: finds what is next, has it done, looks at what came of it."""
