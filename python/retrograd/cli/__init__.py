"""The command line, `python -m retrograd`: one file for each command, and facts about the machine."""
