"""The command line. A command parses, makes one call into `opsflow.app`, prints, and gives the exit code."""
