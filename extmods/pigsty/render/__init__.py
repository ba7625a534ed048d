"""Pure renderers: from typed values to the lines of a configuration file."""
