"""The only network code of the core: one small client per service, standard library first."""
