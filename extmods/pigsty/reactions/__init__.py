"""What follows from an event: a module for each thing that events are about, and their table."""
