"""What goes wrong in the command by the user's input or the machine, not by a mistake in the program."""


class ApplyError(Exception):
    """Something the user is told in one sentence, without a traceback."""
