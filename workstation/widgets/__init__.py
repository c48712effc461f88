"""Widgets draw lines they are given and post messages upwards; they never touch the engine."""
