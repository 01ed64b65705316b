"""Filaments in a score map: ordered segments along each, for helical reconstruction."""
