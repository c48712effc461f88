"""Screens compose, listen and delegate: the one place where a key becomes an engine command."""
