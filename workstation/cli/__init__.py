"""The commands. Standard output is data, standard error is words, exit codes are in ``exit_codes``."""
