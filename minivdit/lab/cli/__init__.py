"""The command line: a command is its options and its action, side by side, in a file with its family."""
