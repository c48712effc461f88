"""What a person sees and starts: commands, configuration, the terminal, and the place where all parts are joined."""
