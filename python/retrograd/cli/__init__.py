"""The command line, `python -m retrograd`: one file a command, and facts about the machine."""
